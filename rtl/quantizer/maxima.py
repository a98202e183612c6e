"""The largest keys of a block: by a tree of comparisons, or bit by bit."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.lib.arith import balanced_max, scan_max
from amxfp4.rtl.quantizer.key import KeyFormat

__all__ = ["Maxima"]


class Maxima(wiring.Component):
    """Largest magnitude among the keys of a beat, of each sign if that matters. Combinational.

        p = max(0, max x_i), n = max(0, max -x_i), or one maximum of both

    With two scales, or a zero point, pairs of keys meet first, in a comparison that serves both
    sides: of two keys of one sign the larger goes on, two of different signs both go on, each to
    its own side. What is left of each side meets in a tree of comparisons (`maxima="tree"`), or is
    searched from the highest bit down (`maxima="scan"`), in fewer gates and more time.

    Parameters
    ----------
    keys : KeyFormat

    Members
    -------
    keys : In(array of `lanes` keys)
    so_far : In(`KeyFormat.maxima_layout`), maxima of the block's beats before this one;
        there only if a block takes several beats
    maxima : Out(`KeyFormat.maxima_layout`), first that of the positive keys
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        config = keys.config
        magnitudes = keys.maxima_layout
        members = {
            "keys": In(data.ArrayLayout(keys.layout, config.lanes)),
            "maxima": Out(magnitudes),
        }
        if config.beats > 1:
            members["so_far"] = In(magnitudes)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self._keys.config
        largest = balanced_max if config.maxima == "tree" else scan_max
        for n, values in enumerate(self._leaves(m)):
            if config.beats > 1:
                values = [*values, self.so_far[n].as_value()]
            m.d.comb += self.maxima[n].eq(largest(m, values, f"maximum_{n}"))
        return m

    def _leaves(self, m: Module) -> list[list[Value]]:
        """Candidates of each side: magnitudes, or what is left of pairs of them."""
        magnitudes = [key.magnitude.as_value() for key in self.keys]
        if self._keys.sides == 1:
            return [magnitudes]
        sides: list[list[Value]] = [[], []]
        for lane in range(0, len(magnitudes), 2):
            pair = range(lane, min(lane + 2, len(magnitudes)))
            first_wins = Signal(name=f"first_wins_{lane}")
            m.d.comb += first_wins.eq(magnitudes[pair[0]] >= magnitudes[pair[-1]])
            for n, side in enumerate(sides):
                ours = [self.keys[k].sign == n for k in pair]
                goes_on = [ours[0] & (first_wins | ~ours[-1])]
                goes_on += [flag & ~goes_on[0] for flag in ours[1:]]
                leaf = Signal(len(magnitudes[lane]), name=f"leaf_{n}_{lane}")
                chosen = [
                    Mux(flag, magnitudes[k], 0) for flag, k in zip(goes_on, pair, strict=True)
                ]
                m.d.comb += leaf.eq(reduce(or_, chosen))
                side.append(leaf)
        return sides
