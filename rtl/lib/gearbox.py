"""From beats of one width to windows of another, without gaps: packing and unpacking of streams."""

from __future__ import annotations

from math import gcd

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from amxfp4.rtl.lib.arith import assign_low

__all__ = ["Packer", "Unpacker", "entry_layout"]


def entry_layout(unit_bits: int, entry: int) -> data.StructLayout:
    """Describe what enters: the first `count` of up to `entry` units.

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


class Unpacker(wiring.Component):
    """Full beats of units enter and are seen through a window that moves over them.

    A ring of beats: what enters stays where it is, and one multiplexer per bit moves the window.
    The consumer says how many units it takes in this cycle. Packets do not mix: behind the end of
    one, nothing enters until its last unit has been taken, and each begins at the ring's start.
    Within a packet it keeps pace with either side.

    Parameters
    ----------
    unit_bits : int
    entry, window : int
        Units of a beat, a power of two, and of the window.
    whole : bool
        The window is taken as a whole; otherwise any part of it, and it is no longer than a beat.

    Members
    -------
    i : In(stream of `entry_layout`), all full but a packet's last; `i.ready` is combinational
        from `take`
    units : Out(window * unit_bits), the next units; beyond `level` without meaning
    level : Out, how many units are inside; more than `window` of them may be
    ended : Out(1), the end of the packet is inside
    cut : Out(1), with `ended`: bytes follow that make no whole unit
    take : In, how many to take, at most `level`; with `whole`, one bit

    Raises
    ------
    ValueError
        Parts of a window longer than a beat are to be taken.
    """

    def __init__(self, unit_bits: int, entry: int, window: int, *, whole: bool) -> None:
        if not whole and window > entry:
            raise ValueError(f"window must be at most {entry} (a beat), not {window!r}")
        self._unit_bits, self._entry, self._window = unit_bits, entry, window
        self._whole = whole
        # Wherever in a beat a window can begin, it must be able to end.
        latest = entry - (gcd(entry, window) if whole else 1)
        self._slots = -(-(latest + window) // entry)
        super().__init__(
            {
                "i": In(stream.Signature(entry_layout(unit_bits, entry))),
                "units": Out(data.ArrayLayout(unit_bits, window)),
                "level": Out(range(self._slots * entry + 1)),
                "ended": Out(1),
                "cut": Out(1),
                "take": In(1 if whole else range(window + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        entry, window, slots = self._entry, self._window, self._slots
        places = slots * entry
        i = self.i.payload
        ring = [Signal(i.units.as_value().shape(), name=f"beat_{n}", reset_less=True)
                for n in range(slots)]  # fmt: skip
        bits = Cat(ring)

        # Where the window begins, and where it can begin.
        at = Signal(range(max(places, 2)))  # at least a bit: Yosys takes no switch on none
        taken = Signal(range(window + 1))
        left = Signal.like(self.level)
        step = gcd(window, places) if self._whole else 1
        with m.Switch(at):
            for place in range(0, places, step):
                with m.Case(place):
                    units = [
                        bits.word_select((place + n) % places, self._unit_bits)
                        for n in range(window)
                    ]
                    m.d.comb += self.units.as_value().eq(Cat(units))
        m.d.comb += [
            taken.eq(Mux(self.take, window, 0) if self._whole else self.take),
            assign_low(left, self.level - taken),  # never more than there are
        ]

        # A beat's slot is free when the window has moved past it.
        filled = Signal(range(slots + 1))
        write = Signal(range(slots))
        passed = Signal(range(slots + 1))
        ends = Signal()
        next_at, shift = at + taken, exact_log2(entry)
        m.d.comb += [
            assign_low(passed, (next_at >> shift) - (at >> shift)),
            ends.eq(self.ended & (self.level != 0) & (left == 0)),
            self.i.ready.eq((filled != slots + passed) & ~self.ended),
        ]
        enters = self.i.valid & self.i.ready
        m.d.sync += [
            assign_low(self.level, left + Mux(enters, i.count, 0)),
            assign_low(filled, filled - passed + enters),
            assign_low(at, Mux(next_at >= places, next_at - places, next_at)),
        ]
        with m.If(enters):
            m.d.sync += [
                self.ended.eq(i.last),
                self.cut.eq(i.cut),
                assign_low(write, Mux(write == slots - 1, 0, write + 1)),
            ]
            for n in range(slots):
                with m.If(write == n):
                    m.d.sync += ring[n].eq(i.units.as_value())
        with m.If(ends):
            m.d.sync += [self.ended.eq(0), filled.eq(0), at.eq(0), write.eq(0)]
        return m


def _shifted_up(m: Module, value: Value, by: Value, step: int, width: int, name: str):
    """Shift `value` up by ``by * step`` bits into `width` bits; what is lost above is zero."""
    for n in range(len(by)):
        moved = Cat(Const(0, step << n), value)
        level = Signal(min(max(len(value), len(moved)), width), name=f"{name}_{n}")
        m.d.comb += assign_low(level, Mux(by[n], moved, value))
        value = level
    return value


class Packer(wiring.Component):
    """Beats of any number of units enter, full windows leave.

    Behind the end of a packet nothing enters until its last window, which need not be full, has
    been taken.

    Parameters
    ----------
    unit_bits : int
    entry, window : int
        Units that enter at a time, at most, and units of a window.

    Members
    -------
    i : In(stream of `entry_layout`), units beyond `count` zero; `i.ready` is combinational from
        `take`
    units : Out(window * unit_bits), the next units; zero beyond `level`
    level : Out, how many units are inside; more than `window` of them may be
    ended : Out(1), the end of the packet is inside
    take : In(1), take the window: a full one, or what there is of a packet's last
    """

    def __init__(self, unit_bits: int, entry: int, window: int) -> None:
        self._unit_bits, self._entry, self._window = unit_bits, entry, window
        super().__init__(
            {
                "i": In(stream.Signature(entry_layout(unit_bits, entry))),
                "units": Out(data.ArrayLayout(unit_bits, window)),
                "level": Out(range(window + entry)),
                "ended": Out(1),
                "take": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits, window = self._unit_bits, self._window
        width = (window + self._entry - 1) * bits
        # Beyond `level` the buffer is zero, so that entering units need not be selected.
        buffer = Signal(width)
        remains = Signal(width)
        left = Signal.like(self.level)
        # With single units entering, a window is all there is room for.
        beyond = Mux(self.level > window, self.level - window, 0) if self._entry > 1 else 0
        i = self.i.payload
        m.d.comb += [
            self.units.as_value().eq(buffer[: window * bits]),
            remains.eq(Mux(self.take, buffer[window * bits :], buffer)),
            assign_low(left, Mux(self.take, beyond, self.level)),
            self.i.ready.eq((left < window) & ~self.ended),
        ]
        # What enters finds fewer than a window inside.
        place = left[: bits_for(window - 1)]
        entering = _shifted_up(m, i.units.as_value(), place, bits, width, "entering")
        m.d.sync += [buffer.eq(remains), self.level.eq(left)]
        with m.If(self.take & self.ended & (left == 0)):
            m.d.sync += self.ended.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                buffer.eq(remains | entering),
                assign_low(self.level, left + i.count),
                self.ended.eq(i.last),
            ]
        return m
