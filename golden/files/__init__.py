"""Files: tensors in, blocks out and in again (safetensors; NumPy's formats for input).

A file is opened by its header alone: what it declares is checked against its size before anything
is allocated, and a tensor's bytes are read when they are asked for. Anything wrong with a file is
a ``ValueError`` that names it. This room imports
NumPy, the model, the parameters, and how files are replaced whole.

- `tensor_file`: what every open file has: types and shapes by name, and elements when asked for.
- `numpy_file`, `safetensors_file`: the kinds of files, and how safetensors files are written.
- `tensors`: a file of any kind by its suffix.
- `blocks`: quantized tensors as entries of a safetensors file.
"""

from .blocks import FIELDS, block_names, declared, describe, load_blocks, read_blocks, save_blocks
from .safetensors_file import Writer
from .tensor_file import Entry, Tensor, TensorFile
from .tensors import load_tensors, open_file, save_tensors

__all__ = [
    "FIELDS",
    "Entry",
    "Tensor",
    "TensorFile",
    "Writer",
    "block_names",
    "declared",
    "describe",
    "load_blocks",
    "load_tensors",
    "open_file",
    "read_blocks",
    "save_blocks",
    "save_tensors",
]
