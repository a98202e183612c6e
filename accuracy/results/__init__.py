"""What rows have come to: kept, summed up, compared and judged. Nothing here runs a model.

- `store`: results by row, kept as they are done; tables of them as JSON and CSV.
- `statistics`: differences between rows, token by token, and how sure they are.
- `summaries`: figures of rows; `verdicts`: questions fixed in advance, and their answers;
  `claims`: what is claimed of formats, and whether it holds.
"""
