"""Commands on files of tensors, of one file or of a checkpoint; see `amxfp4.golden.files`.

- `quantize`, with `quantize_plan` (what becomes of each tensor) and `checkpoint` (shards, one after
  the other, and on from an interruption); `dequantize`.
- `info`, `stats`, `stats_page`: what a file holds. `compare`, `held`: two of them, in pieces.
- `matmul`: products. `tensors`: what these share.
"""
