"""Weight formats of AFPQ: codes of a table of values, and scales that are numbers.

`golden.quantize` and `golden.dequantize` come here for formats of `amxfp4.params.weights`. Hardware
turns their records into words (`weight_dequantizer`); its array multiplies E2M1 elements with
8-bit scales alone.
"""

from .blocks import WeightBlocks, check_plain, groups_shape, refuse_weights
from .dequantizer import dequantize
from .packing import bytes_of, pack_codes, unpack_codes
from .quantizer import quantize
from .records import pack_records, unpack_records
from .words import weight_words

__all__ = [
    "WeightBlocks",
    "bytes_of",
    "check_plain",
    "dequantize",
    "groups_shape",
    "pack_codes",
    "pack_records",
    "quantize",
    "refuse_weights",
    "unpack_codes",
    "unpack_records",
    "weight_words",
]
