"""What formats cost an encoder of sentences: how far embeddings move, and whether neighbours stay.

- `bert`: weights from safetensors, and the forward pass.
- `sentences`: sentences of a text, and their tokens.
- `similarity`: what is measured of a row.
"""
