"""What 4-bit formats cost a small language model, in nats per token.

A forward pass in NumPy whose operands golden quantizes, bit for bit. Imports golden, params and
util, and is imported by the commands alone.

- `model`: the forward pass of a language model; `loading`: its weights, from a GGUF file.
- `encoder`: the same of an encoder of sentences.
- `tokens`: the tokenizer that such a file holds, and texts to measure on.
- `quantized`: which operands a mode quantizes, and the rows of a table; `operands`: as blocks.
- `gptq`, `rotation`: weights quantized for what a layer computes; the same model in another basis.
  `prepared`: a model as a row wants it, from its options.
- `predictions`: losses, and how far predictions are from those of FP32; `tasks`: choices between
  continuations. `measures`: what of these is measured of a row.
- `results`: kept by row, compared, and judged.
- `runs`: rows measured in two processes, or elsewhere.
"""
