"""The golden model: what every unit computes, in NumPy, bit for bit.

Codes and bit patterns are integers, sums are exact, and rounding happens once, in one place.
`reference` says the same again in exact fractions: the file to read first. This package imports
NumPy and the shared parameters; never the hardware, nor ml_dtypes or safetensors, which check it.

Examples
--------
>>> import numpy as np
>>> from amxfp4 import golden
>>> a = golden.quantize(np.linspace(-6, 6, 64, dtype=np.float32).reshape(2, 32))
>>> a.codes.shape, [hex(s) for s in a.scale_neg[:, 0]]
((2, 1, 32), ['0x3c', '0x3c'])
>>> golden.matmul(a, a)
array([[ 413.25, -198.  ],
       [-198.  ,  413.25]], dtype=float32)
"""

from .blocks import Blocks
from .dequantizer import dequantize, dequantize_words
from .files import Tensor, load_blocks, load_tensors, save_blocks, save_tensors
from .packing import pack, unpack
from .products import dot, matmul
from .quantizer import quantize
from .weights import WeightBlocks, weight_words

__all__ = [
    "Blocks",
    "Tensor",
    "WeightBlocks",
    "dequantize",
    "dequantize_words",
    "dot",
    "load_blocks",
    "load_tensors",
    "matmul",
    "pack",
    "quantize",
    "save_blocks",
    "save_tensors",
    "unpack",
    "weight_words",
]
