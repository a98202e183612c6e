"""The largest keys of a block: by a tree of comparisons, or bit by bit."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.rtl.arith import balanced_max, scan_max
from amxfp4.rtl.quantizer_key import KeyFormat

__all__ = ["Maxima"]


class Maxima(wiring.Component):
    """Largest magnitude among the keys of a beat, for each scale. Combinational.

        p = max(0, max x_i), n = max(0, max -x_i), or one maximum of both

    With `maxima="tree"` keys meet in pairs. With two scales a first comparison serves both: of two
    keys of one sign the larger goes on, two of different signs both go on, each to its own side.
    With `maxima="scan"` every side finds its maximum from the highest bit down, in fewer gates and
    more time.

    Parameters
    ----------
    keys : KeyFormat

    Members
    -------
    keys : In(array of `lanes` keys)
    so_far : In(array of a magnitude for each scale), maxima of the block's beats before this one;
        there only if a block takes several beats
    maxima : Out(array of a magnitude for each scale), first that of the positive keys
    """

    def __init__(self, keys: KeyFormat) -> None:
        self._keys = keys
        config = keys.config
        magnitudes = data.ArrayLayout(keys.magnitude_layout, config.row.scales)
        members = {"keys": In(data.ArrayLayout(keys.layout, config.lanes)), "maxima": Out(magnitudes)}
        if config.beats > 1:
            members["so_far"] = In(magnitudes)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self._keys.config
        tree = config.maxima == "tree"
        leaves = self._leaves(m) if tree else []
        for n in range(config.row.scales):
            before = [self.so_far[n].as_value()] if config.beats > 1 else []
            name = f"maximum_{n}"
            if tree:
                largest = balanced_max(m, leaves[n] + before, name)
            else:
                among = [self._is_of(key, n) for key in self.keys] + [C(1, 1)] * len(before)
                values = [key.magnitude.as_value() for key in self.keys] + before
                largest = scan_max(m, values, among, name)
            m.d.comb += self.maxima[n].eq(largest)
        return m

    def _is_of(self, key: data.View, n: int) -> Value:
        """Whether a key is of side `n` (0: positive, 1: negative); there may be one side only."""
        return key.sign == n if self._keys.config.row.asymmetric else C(1, 1)

    def _leaves(self, m: Module) -> list[list[Value]]:
        """What the tree of each side starts from: magnitudes, or what is left of pairs of them."""
        magnitudes = [key.magnitude.as_value() for key in self.keys]
        if not self._keys.config.row.asymmetric:
            return [magnitudes]
        sides: list[list[Value]] = [[], []]
        for lane in range(0, len(magnitudes), 2):
            pair = range(lane, min(lane + 2, len(magnitudes)))
            first_wins = Signal(name=f"first_wins_{lane}")
            m.d.comb += first_wins.eq(magnitudes[pair[0]] >= magnitudes[pair[-1]])
            for n, side in enumerate(sides):
                ours = [self._is_of(self.keys[k], n) for k in pair]
                goes_on = Signal(len(pair), name=f"goes_on_{n}_{lane}")
                m.d.comb += goes_on[0].eq(ours[0] & (first_wins | ~ours[-1]))
                m.d.comb += goes_on[1:].eq(Cat(ours[1:]) & ~goes_on[0])
                leaf = Signal(len(magnitudes[lane]), name=f"leaf_{n}_{lane}")
                m.d.comb += leaf.eq(
                    reduce(or_, (Mux(goes_on[k - lane], magnitudes[k], 0) for k in pair))
                )
                side.append(leaf)
        return sides
