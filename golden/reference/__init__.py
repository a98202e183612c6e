"""The reference: the definitions as they are written, in exact fractions, one block at a time.

The room to read first: what the rest of golden computes fast is here in its plainest form, from
quantizing a block to rounding a sum of dot products, and the tests compare the two bit for bit.
Nothing is shared but the parameters in `amxfp4.params`. A nearest value is found by its distance to
every candidate, and a sum is a sum of fractions. Finite values are `fractions.Fraction`; infinities
and NaN are Python floats.
"""

from __future__ import annotations

from .fused import fused_sums
from .quantizer import ExactBlock, dequantize_block, quantize_block
from .sums import accumulate, dot_terms, round_to_word
from .words import Number, word_value

__all__ = [
    "ExactBlock",
    "Number",
    "accumulate",
    "dequantize_block",
    "dot_terms",
    "fused_sums",
    "quantize_block",
    "round_to_word",
    "word_value",
]
