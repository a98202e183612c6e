"""Products of quantized operands, one way through, from codes to rounded values.

    operands (decode) ─▶ terms of a block's product ─▶ an accumulator for each mode ─▶ one rounding

`operands` and `accumulators` are the model as numerics.md writes it; `limbs` is how the exact mode
becomes fast; `multiply` has the functions that users call. Imports the rest of golden, no more.
"""

from .multiply import dot, matmul, scaled

__all__ = ["dot", "matmul", "scaled"]
