"""From beats of one width to windows of another, without gaps: packing and unpacking of streams."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.rtl.arith import assign_low

__all__ = ["Gearbox", "entry_layout"]


def entry_layout(unit_bits: int, entry: int) -> data.StructLayout:
    """Describe what enters a gearbox: up to `entry` units, the first ones; units beyond are zero.

    `last` marks the end of a packet, `cut` that bytes follow there that make no whole unit.
    """
    return data.StructLayout(
        {
            "units": data.ArrayLayout(unit_bits, entry),
            "count": range(entry + 1),
            "last": 1,
            "cut": 1,
        }
    )


def _shifted(m: Module, value: Value, by: Value, step: int, width: int, name: str, *, up: bool):
    """Shift `value` by ``by * step`` bits into `width` bits; what would be lost above is zero."""
    for n in range(len(by)):
        distance = step << n
        moved = Cat(Const(0, distance), value) if up else value[distance:]
        longest = max(len(value), len(moved)) if up else len(value)
        level = Signal(min(longest, width), name=f"{name}_{n}")
        m.d.comb += assign_low(level, Mux(by[n], moved, value))
        value = level
    return value


class Gearbox(wiring.Component):
    """Units enter in beats of up to `entry` and are seen through a window of `window` units.

    The window shows the oldest units inside, lowest first; what lies beyond `level` is zero. The
    consumer says how many of them it takes in this cycle. Packets do not mix: behind the end of
    one, nothing enters until its last unit has been taken. Within a packet it keeps pace with
    either side: a beat enters whenever less than a window stays behind.

    Parameters
    ----------
    unit_bits : int
    entry, window : int
        Units of a beat and of the window.
    whole : bool
        A window is taken as a whole (at the end of a packet, what there is of it): one
        multiplexer in place of a shifter.

    Members
    -------
    i : In(stream of `entry_layout`), `i.ready` combinational from `take`
    units : Out(window * unit_bits)
    level : Out, how many units are inside; more than `window` of them may be
    ended : Out(1), the end of the packet is inside
    cut : Out(1), with `ended`: bytes follow that make no whole unit
    take : In, how many to take, at most `level`; with `whole`, one bit
    """

    def __init__(self, unit_bits: int, entry: int, window: int, *, whole: bool = False) -> None:
        self._unit_bits, self._entry, self._window = unit_bits, entry, window
        self._whole = whole
        self._capacity = window + entry - 1
        super().__init__(
            {
                "i": In(stream.Signature(entry_layout(unit_bits, entry))),
                "units": Out(data.ArrayLayout(unit_bits, window)),
                "level": Out(range(self._capacity + 1)),
                "ended": Out(1),
                "cut": Out(1),
                "take": In(1 if whole else bits_for(window)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits, window, width = self._unit_bits, self._window, self._capacity * self._unit_bits
        # Beyond `level` the buffer is zero, so that entering units need not be selected.
        buffer = Signal(width)
        remains, left = Signal(width), Signal.like(self.level)
        m.d.comb += self.units.as_value().eq(buffer[: window * bits])
        if self._whole:
            # With single units entering, a window is all there is room for.
            beyond = Mux(self.level > window, self.level - window, 0) if self._entry > 1 else 0
            m.d.comb += [
                remains.eq(Mux(self.take, buffer[window * bits :], buffer)),
                assign_low(left, Mux(self.take, beyond, self.level)),
            ]
        else:
            m.d.comb += [
                remains.eq(_shifted(m, buffer, self.take, bits, width, "remains", up=False)),
                assign_low(left, self.level - self.take),  # never more than there are
            ]
        i = self.i.payload
        # What enters finds fewer than a window inside.
        place = left[: bits_for(window - 1)]
        entering = _shifted(m, i.units.as_value(), place, bits, width, "entering", up=True)
        m.d.comb += self.i.ready.eq((left < window) & ~self.ended)
        m.d.sync += [buffer.eq(remains), self.level.eq(left)]
        with m.If(self.ended & (self.level != 0) & (left == 0)):
            m.d.sync += self.ended.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                buffer.eq(remains | entering),
                assign_low(self.level, left + i.count),
                self.ended.eq(i.last),
                self.cut.eq(i.cut),
            ]
        return m
