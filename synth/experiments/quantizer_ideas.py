"""Ways to build parts of the quantizer that were tried and lost, to measure them against ours.

docs/units/microarchitecture.md says what came of each. All of them are exact, and tested to be.
"""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value

from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.lib.arith import balanced_max
from amxfp4.rtl.quantizer.key import KeyFormat
from amxfp4.rtl.quantizer.maxima import Maxima

__all__ = ["IDEAS", "MaskedTrees", "SharedScan"]


class MaskedTrees(Maxima):
    """A tree for each scale over all keys, with zeros for those of the other sign."""

    def elaborate(self, platform):
        m = Module()
        for n in range(2):
            largest = balanced_max(m, self._masked(n), f"maximum_{n}")
            m.d.comb += self.maxima[n].eq(largest)
        return m

    def _masked(self, n: int) -> list[Value]:
        masked = [Mux(key.sign == n, key.magnitude.as_value(), 0) for key in self.keys]
        return masked + ([self.so_far[n].as_value()] if hasattr(self, "so_far") else [])


class SharedScan(Maxima):
    """Both maxima bit by bit, from the highest, with one set of candidates among all keys.

    A key is compared with the bit that the maximum of its own sign has.
    """

    def elaborate(self, platform):
        m = Module()
        keys = [(key.sign, key.magnitude.as_value()) for key in self.keys]
        found: list[list[Value]] = [[], []]
        candidates: list[Value] = [C(1, 1)] * len(keys)
        before = [self.so_far[n].as_value() for n in range(2)] if hasattr(self, "so_far") else []
        still: list[Value] = [C(1, 1)] * len(before)
        for place in reversed(range(len(keys[0][1]))):
            bits = []
            for n in range(2):
                bit = Signal(name=f"maximum_{n}_{place}")
                ones = [
                    c & (sign == n) & magnitude[place]
                    for c, (sign, magnitude) in zip(candidates, keys, strict=True)
                ]
                ones += [still[n] & before[n][place]] if before else []
                m.d.comb += bit.eq(Cat(ones).any())
                bits.append(bit)
                found[n].insert(0, bit)
            remaining = Signal(len(keys), name=f"candidates_{place}")
            m.d.comb += remaining.eq(
                Cat(
                    c & ~(magnitude[place] ^ Mux(sign, bits[1], bits[0]))
                    for c, (sign, magnitude) in zip(candidates, keys, strict=True)
                )
            )
            candidates = list(remaining)
            still = [s & ~(b[place] ^ bit) for s, b, bit in zip(still, before, bits, strict=False)]
        for n in range(2):
            m.d.comb += self.maxima[n].eq(Cat(found[n]))
        return m


def _maxima(kind: type[Maxima]) -> Callable[[QuantizerConfig], Maxima]:
    def build(config: QuantizerConfig) -> Maxima:
        if not config.row.asymmetric:
            raise ValueError(f"format must be asymmetric for this idea, not {config.format}")
        return kind(KeyFormat(config))

    return build


IDEAS: dict[str, Callable[[QuantizerConfig], Maxima]] = {
    "maxima_in_masked_trees": _maxima(MaskedTrees),
    "maxima_by_shared_scan": _maxima(SharedScan),
}
"""How to build each, by name."""
