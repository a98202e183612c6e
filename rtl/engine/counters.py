"""Performance counters that a 32-bit bus reads without tearing them."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.registers import COUNTER_BITS
from amxfp4.rtl.lib.arith import assign_low

__all__ = ["PerformanceCounters"]


class PerformanceCounters(wiring.Component):
    """Counters that start from zero with a job; they wrap.

    The upper bits of a counter are copied aside when its lower ones are read.

    Parameters
    ----------
    steps : dict of str to int
        Names of the counters, and what each adds at a time.

    Members
    -------
    clear : In(1)
    NAME_counts : In(1)
    NAME_low : Out(32)
    NAME_reads : In(1), the lower bits are read in this cycle
    high : Out, the upper bits of the counter whose lower ones were read last
    """

    def __init__(self, steps: dict[str, int]) -> None:
        self._steps = steps
        members: dict[str, wiring.Member] = {"clear": In(1), "high": Out(COUNTER_BITS - 32)}
        for name in steps:
            members |= {f"{name}_counts": In(1), f"{name}_reads": In(1), f"{name}_low": Out(32)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for name, step in self._steps.items():
            count = Signal(COUNTER_BITS, name=name)
            m.d.comb += getattr(self, f"{name}_low").eq(count[:32])
            with m.If(getattr(self, f"{name}_counts")):
                m.d.sync += assign_low(count, count + step)
            with m.If(self.clear):
                m.d.sync += count.eq(0)
            with m.If(getattr(self, f"{name}_reads")):
                m.d.sync += self.high.eq(count[32:])
        return m
