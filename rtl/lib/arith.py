"""Small combinational pieces that every step of the data path uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, floor
from operator import add

from amaranth.hdl import C, Cat, Module, Mux, Shape, Signal, Value
from amaranth.utils import bits_for

__all__ = [
    "assign_low",
    "at_least",
    "balanced",
    "balanced_max",
    "balanced_sum",
    "count_ones",
    "gated",
    "scan_max",
    "shift_left",
    "shift_right",
    "times_small",
]


def assign_low(target: Value, value: Value):
    """Assign the low bits of `value`: it is known to fit, or meant to wrap.

    Amaranth would drop the others without a word. Here that is visible, and
    `verif/tests/lib/test_widths.py` finds every assignment that loses bits and does not say so.
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


def balanced(
    m: Module, values: Sequence[Value], name: str, combine: Callable[[Value, Value], Value]
) -> Value:
    """Combine one or more `values` in a balanced tree of two-input operators in `m`.

    Each node is a signal, ``name_level_index``: a node may be used several times, and as a nested
    expression it would be written out as often.
    """
    layer = list(values)
    level = 0
    while len(layer) > 1:
        nodes = []
        for n, (a, b) in enumerate(zip(layer[::2], layer[1::2], strict=False)):
            result = combine(a, b)
            nodes.append(Signal(result.shape(), name=f"{name}_{level}_{n}"))
            m.d.comb += nodes[-1].eq(result)
        layer = nodes + ([layer[-1]] if len(layer) % 2 else [])
        level += 1
    return layer[0]


def balanced_max(m: Module, values: Sequence[Value], name: str) -> Value:
    """Largest of one or more unsigned `values`, as a balanced tree in `m`."""
    return balanced(m, values, name, lambda a, b: Mux(a >= b, a, b))


def balanced_sum(m: Module, values: Sequence[Value], name: str) -> Value:
    """Add `values` exactly, as a balanced tree of two-input additions in `m`."""
    return balanced(m, values, name, add)


def count_ones(flags: Sequence[Value]) -> Value:
    """How many of the one-bit `flags` are 1."""
    total: Value = C(0, 0)
    for flag in flags:
        total = total + flag
    # Each addition is a bit wider than its operands; the count is not.
    return total[: bits_for(len(flags))]


def gated(value: Value, gate: Value, shape: Shape) -> Value:
    """`value` where `gate` is 1, else zero, in `shape`: an OR of such words is a choice."""
    extended = Value.cast(value)
    fill = extended[-1] if extended.shape().signed else C(0, 1)
    bits = Cat(extended, fill.replicate(shape.width - len(extended)))
    masked = bits & gate.replicate(shape.width)
    return masked.as_signed() if shape.signed else masked


def times_small(m: Module, value: Value, factor: Value, name: str) -> Value:
    """`value` times a `factor` of a few bits, exact, as an expression wide enough for it.

    Two bits of the factor at a time are a digit out of -1, 0, 1 and 2, with 3 = 4 - 1 and 4 = 4 + 0
    carried into the next digit: half the additions that single bits would need.
    """
    shape = value.shape()
    signed = Shape(shape.width + 1 + (not shape.signed), signed=True)
    total: Value | None = None
    carry: Value = C(0, 1)
    for place in range(0, len(factor), 2):
        bits = factor[place : place + 2]
        plus_one = Signal(name=f"{name}_plus_one_{place}")
        plus_two = Signal(name=f"{name}_plus_two_{place}")
        minus_one = Signal(name=f"{name}_minus_one_{place}")
        if len(bits) == 1:
            m.d.comb += [plus_one.eq(bits ^ carry), plus_two.eq(bits & carry), minus_one.eq(0)]
            carry = C(0, 1)
        else:
            odd = bits[0] ^ carry
            high = bits[1] ^ (bits[0] & carry)
            m.d.comb += [
                plus_one.eq(odd & ~high),
                plus_two.eq(~odd & high),
                minus_one.eq(odd & high),
            ]
            carry = bits[1] & (bits[0] | carry)
        digit = Signal(signed, name=f"{name}_digit_{place}")
        m.d.comb += digit.eq(
            gated(value, plus_one | minus_one, signed) | gated(value << 1, plus_two, signed)
        )
        word = (digit.as_unsigned() ^ minus_one.replicate(len(digit))).as_signed()
        part = (word << place) + (minus_one << place)
        total = part if total is None else total + part
    if len(factor) % 2 == 0:
        total = total + (gated(value, carry, shape) << len(factor))
    return total


def shift_left(m: Module, bits: Value, amount: Value, width: int, name: str) -> tuple[Value, Value]:
    """Shift `bits` left by `amount` into `width` bits: the word, and whether a 1 was lost above.

    The small steps come first, while the word is short.
    """
    # A word that is too long as it is has lost what stands above, shifted or not.
    word, lost = bits[:width], [bits[width:].any()]
    for n in range(len(amount)):
        step = 1 << n
        lost.append(amount[n] & word[max(width - step, 0) :].any())
        moved = Signal(min(len(word) + step, width), name=f"{name}_{step}")
        m.d.comb += moved.eq(Mux(amount[n], Cat(C(0, step), word), word)[: len(moved)])
        word = moved
    return word, Cat(lost).any()


def shift_right(m: Module, bits: Value, amount: Value, name: str) -> tuple[Value, Value]:
    """`bits` shifted right by `amount`, and whether a 1 was lost, bit by bit of the amount."""
    lost: list[Value] = []
    for n in reversed(range(len(amount))):
        step = 1 << n
        lost.append(amount[n] & bits[:step].any())
        shifted = Signal(len(bits), name=f"{name}_{step}")
        m.d.comb += shifted.eq(Mux(amount[n], bits[step:], bits))
        bits = shifted
    return bits, Cat(lost).any()


def scan_max(m: Module, values: Sequence[Value], name: str) -> Value:
    """Largest of one or more `values`, from the highest bit down.

    A bit of the maximum is 1 if any candidate has it; then those without it are candidates no
    longer. A few gates for each bit of each value, where `balanced_max` takes a comparison and a
    choice, but no bit is known before the one above it.
    """
    candidates: list[Value] = [C(1, 1)] * len(values)
    found: list[Value] = []
    for n in reversed(range(max(map(len, values)))):
        bits = [value[n] if n < len(value) else C(0, 1) for value in values]
        largest = Signal(name=f"{name}_{n}")
        m.d.comb += largest.eq(Cat(c & b for c, b in zip(candidates, bits, strict=True)).any())
        found.insert(0, largest)
        remaining = Signal(len(values), name=f"{name}_candidates_{n}")
        m.d.comb += remaining.eq(
            Cat(c & (b | ~largest) for c, b in zip(candidates, bits, strict=True))
        )
        candidates = list(remaining)
    return Cat(found)
