"""Multiples of one number by constants, in few additions."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Signal, Value

from amxfp4.rtl.lib.arith import assign_low

__all__ = ["Addition", "multiples", "odd_part", "plan"]


def odd_part(x: int) -> int:
    """Odd part of `x` > 0."""
    return x // (x & -x)


@dataclass(frozen=True)
class Addition:
    """One addition of two known multiples: `value` is the odd part of u + v or |u - v|, shifted."""

    value: int
    u: int
    v: int
    shift: int
    """Places by which v is shifted."""
    minus: bool

    @property
    def whole(self) -> int:
        """The sum or the difference, with its sign."""
        return self.u + (-1 if self.minus else 1) * (self.v << self.shift)


def _near(known: list[int], places: int) -> dict[int, Addition]:
    """Odd numbers below 2^places that one addition makes of known ones."""
    found: dict[int, Addition] = {}
    for u in known:
        for v in known:
            for shift in range(places):
                for minus in (False, True):
                    step = Addition(0, u, v, shift, minus)
                    if step.whole and (value := odd_part(abs(step.whole))) < 1 << places:
                        found.setdefault(value, Addition(value, u, v, shift, minus))
    return found


def plan(targets: set[int]) -> list[Addition]:
    """Products of one number with odd constants in few additions, which have parts in common.

    What is one addition away comes first. Where nothing is, the number is made that most of the
    constants are one addition away from (after RAG-n, Dempster and Macleod, IEEE TCAS-II 42, 1995).

    Returns
    -------
    Additions, each of 1 and of values before it.
    """
    known, steps = [1], []
    left = targets - {1}
    places = max(left, default=1).bit_length() + 1
    shifts = [(n, 0) for n in range(places)] + [(0, n) for n in range(1, places)]
    while left:
        near = _near(known, places)
        new = sorted(left & near.keys())
        if not new:
            # What a constant lacks to a known number is one addition away from it.
            votes = dict.fromkeys(sorted(near.keys() - set(known)), 0)
            for target in left:
                sums = (
                    (target << up) + sign * (u << down)
                    for u in known for up, down in shifts for sign in (1, -1)
                )  # fmt: skip
                for value in {odd_part(abs(x)) for x in sums if x} & votes.keys():
                    votes[value] += 1
            new = [max(votes, key=lambda value: votes[value])]
        known += new
        steps += [near[value] for value in new]
        left -= set(new)
    return steps


def multiples(
    m: Module, number: Value, largest: int, factors: set[int], name: str
) -> dict[int, Value]:
    """Odd multiples of `number`, at most `largest`, as signals of `m`, by factor."""
    products: dict[int, Value] = {1: number}
    for step in plan(factors):
        u, v = products[step.u], products[step.v] << step.shift
        total = u + v if not step.minus else u - v if step.whole > 0 else v - u
        products[step.value] = Signal(range(step.value * largest + 1), name=f"{name}_{step.value}")
        # The bits below are zeros.
        zeros = (abs(step.whole) // step.value).bit_length() - 1
        m.d.comb += assign_low(products[step.value], total[zeros:])
    return products
