"""The golden model: NumPy, bit exact, integer arithmetic on codes and bit patterns."""

from .blocks import Blocks
from .dequantizer import dequantize, dequantize_words
from .packing import pack, unpack
from .quantizer import quantize

__all__ = ["Blocks", "dequantize", "dequantize_words", "pack", "quantize", "unpack"]
