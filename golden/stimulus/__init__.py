"""Seeded random blocks with structure: uniform bits are a poor model of activations.

`blocks` gives raw input words for quantizers, `records` gives element and scale codes for
everything behind them, `weight_records` those of AFPQ's formats. All draw from a
`numpy.random.Generator`, so a seed repeats them.
"""

from .families import FAMILIES, blocks
from .records import records
from .weights import weight_records

__all__ = ["FAMILIES", "blocks", "records", "weight_records"]
