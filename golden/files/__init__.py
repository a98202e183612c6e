"""Files: tensors in, blocks out and in again (safetensors; NumPy's and llama.cpp's for input).

A file is opened by its header alone: what it declares is checked against its size before anything
is allocated, and a tensor's bytes are read when they are asked for. Anything wrong with a file is
a ``ValueError`` that names it. This room imports
NumPy, the model, the parameters, and how files are replaced whole.

- `tensor_file`: what every open file has: types and shapes by name, and elements when asked for.
- `numpy_file`, `safetensors_file`, `gguf_file`: the kinds of files; safetensors are written, too.
- `checkpoint`: the shards of a folder, with or without an index, as one file.
- `layouts`: which entries of a file are a tensor of codes, ours or somebody else's.
- `tensors`: a file of any kind by its suffix.
"""

from .checkpoint import STATE, Checkpoint, is_plain
from .layouts import LAYOUTS, OURS, Layout, Stored, as_stored, layout, stored
from .safetensors_file import Writer
from .tensor_file import Entry, Tensor, TensorFile
from .tensors import (
    is_checkpoint,
    load_blocks,
    load_tensors,
    open_file,
    save_blocks,
    save_tensors,
    writer,
)

__all__ = [
    "LAYOUTS",
    "OURS",
    "STATE",
    "Checkpoint",
    "Entry",
    "Layout",
    "Stored",
    "Tensor",
    "TensorFile",
    "Writer",
    "as_stored",
    "is_checkpoint",
    "is_plain",
    "layout",
    "load_blocks",
    "load_tensors",
    "open_file",
    "save_blocks",
    "save_tensors",
    "stored",
    "writer",
]
