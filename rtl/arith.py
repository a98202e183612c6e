"""Small combinational pieces that every step of the data path uses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

from amaranth.hdl import C, Module, Mux, Signal, Value
from amaranth.utils import bits_for

__all__ = ["assign_low", "at_least", "balanced_max", "count_ones"]


def assign_low(target: Value, value: Value):
    """Assign the low bits of `value`: it is known to fit, or meant to wrap.

    Amaranth would drop the others without a word. Here that is visible, and
    `verif/unit/test_widths.py` finds every assignment that loses bits and does not say so.
    """
    value = Value.cast(value)
    if len(value) < len(target):
        # Nothing to drop; a slice would lose the sign.
        return target.eq(value)
    low = value[: len(target)]
    return target.eq(low.as_signed() if target.shape().signed else low)


def at_least(fraction: Value, bits: int, bound: Fraction, *, strict: bool = False) -> Value:
    """Whether a `bits`-bit fixed-point fraction reaches `bound` (exceeds it, if `strict`).

    `fraction` stands for ``fraction / 2**bits``; `bound` may lie outside [0, 1), where the answer
    is a constant.
    """
    scaled = bound * (1 << bits)
    # The smallest integer that passes.
    first = floor(scaled) + 1 if strict else ceil(scaled)
    if first <= 0:
        return C(1, 1)
    if first >= 1 << bits:
        return C(0, 1)
    return fraction >= first


def balanced_max(m: Module, values: Sequence[Value], name: str) -> Value:
    """Largest of one or more `values`, as a balanced tree of compare-and-select in `m`.

    Each node is a signal, ``name_level_index``: a node is used three times, and as a nested
    expression it would be written out as often.
    """
    layer = list(values)
    level = 0
    while len(layer) > 1:
        following = []
        for n, (a, b) in enumerate(zip(layer[::2], layer[1::2], strict=False)):
            node = Signal(max(len(a), len(b)), name=f"{name}_{level}_{n}")
            m.d.comb += node.eq(Mux(a >= b, a, b))
            following.append(node)
        layer = following + ([layer[-1]] if len(layer) % 2 else [])
        level += 1
    return layer[0]


def count_ones(flags: Sequence[Value]) -> Value:
    """How many of the one-bit `flags` are 1."""
    total: Value = C(0, 0)
    for flag in flags:
        total = total + flag
    # Each addition is a bit wider than its operands; the count is not.
    return total[: bits_for(len(flags))]
