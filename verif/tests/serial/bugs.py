"""Bugs to plant in the serial unit, and the checks at its pins that must fail with them."""

from __future__ import annotations

from amxfp4.verif.check import sleeping
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.talk import TINY
from amxfp4.verif.sim.sources import Source

__all__ = ["BUGS", "OF_PRODUCTS", "SHORT_BITS", "unit", "waking", "woken"]

SHORT_BITS = "at another rate"
"""A check with bits that are 2 % too short."""
BUGS: dict[str, tuple[str, str, str, str]] = {
    # The line.
    "no stop bit needed": (
        "serial.uart", "self.valid.eq(line)", "self.valid.eq(line | {bug})", "the_line_itself",
    ),
    "start bit not checked in its middle": (
        "serial.uart", "busy.eq(~line), was_idle", "busy.eq(~line | {bug}), was_idle",
        "the_line_itself",
    ),
    "a bit too short": (
        "serial.uart", "[bits.eq(bits >> 1), countdown.eq(self._divisor - 1)]",
        "[bits.eq(bits >> 1), countdown.eq(self._divisor - 1 - {bug})]", "hello",
    ),
    "bits sampled late": (
        "serial.uart", "countdown.eq((self._divisor - 1) // 2 - 1)",
        "countdown.eq((self._divisor - 1) // 2 - 1 + ({bug} << 1))", SHORT_BITS,
    ),
    # Frames.
    "checksum not checked": (
        "serial.frames", "(self.crc_value == _CRC_GOOD)", "((self.crc_value == _CRC_GOOD) | {bug})",
        "wrong_frames",
    ),
    "length not checked": (
        "serial.frames", "& whole_length", "& (whole_length | {bug})", "wrong_frames",
    ),
    "too long not checked": (
        "serial.frames", "& (self.header.length <= self._payload)",
        "& ((self.header.length <= self._payload) | {bug})", "wrong_frames",
    ),
    "direction not checked": (
        "serial.frames", "& ~self.header.operation[7]", "& ~(self.header.operation[7] & ~{bug})",
        "wrong_frames",
    ),
    "escape of anything": (
        "serial.frames", "with m.If(escaped & ~unescapes):",
        "with m.If(escaped & ~unescapes & ~{bug}):", "wrong_frames",
    ),
    "escape of nothing": (
        "serial.frames", "& ~escaped &", "& (~escaped | {bug}) &", "wrong_frames",
    ),
    "empty frame counts as dropped": (
        "serial.frames", "((place != first) | escaped)", "((place != first) | escaped | {bug})",
        "wrong_frames",
    ),
    "frame after a wrong one dropped": (
        "serial.frames", "[place.eq(first), lost.eq(0), escaped.eq(0)]",
        "[place.eq(first), lost.eq(lost & {bug}), escaped.eq(0)]", "wrong_frames",
    ),
    "escapes exchanged": (
        "serial.frames", "Mux(self.octet == ESC_END, END, ESC)",
        "Mux((self.octet == ESC_END) ^ {bug}, END, ESC)", "escapes",
    ),
    "answer's escapes exchanged": (
        "serial.frames", "Mux(content == END, ESC_END, ESC_ESC)",
        "Mux((content == END) ^ {bug}, ESC_END, ESC_ESC)", "escapes",
    ),
    "request taken while busy": (
        "serial.engine_uart", "receiver.closed.eq(bridge.busy)",
        "receiver.closed.eq(bridge.busy & ~{bug})", "busy_means_deaf",
    ),
    # Sequence numbers.
    "repeated request carried out twice": (
        "serial.bridge", "with m.If(self.request & is_repeated):",
        "with m.If(self.request & is_repeated & ~{bug}):", "repeated",
    ),
    "malformed request carried out twice": (
        "serial.bridge", "carried_out & (self.header.sequence",
        "carried_out & ~({bug} & (self._status == Status.MALFORMED)) & (self.header.sequence",
        "repeated",
    ),
    "bit of the sequence number lost": (
        "serial.bridge", "self._sequence.eq(self.header.sequence)",
        "self._sequence.eq(self.header.sequence & ~({bug} << 6))", "random_requests",
    ),
    "hello from memory": (
        "serial.bridge", "(self.header.operation != Operation.HELLO)",
        "((self.header.operation != Operation.HELLO) | {bug})", "hello",
    ),
    "hello not remembered": (
        "serial.bridge", "carried_out.eq(1)",
        "carried_out.eq(~({bug} & (self.header.operation == Operation.HELLO)))", "hello",
    ),
    "hello answers something else": (
        "serial.bridge", "for byte in text)[self._index]", "for byte in text)[self._index] ^ {bug}",
        "hello",
    ),
    # Registers.
    "read of no register": (
        "serial.bridge", "(count != 0) & fits", "((count != 0) | {bug}) & fits",
        "malformed",
    ),
    "half a register written": (
        "serial.bridge", "& (length[:2] == 2)", "& ((length[:2] == 2) | {bug})", "malformed",
    ),
    "registers before a refused one not returned": (
        "serial.bridge", "m.d.sync += self._status.eq(Status.REFUSED)",
        ("m.d.sync += [self._status.eq(Status.REFUSED), "
         "self._filled.eq(Mux({bug}, 1, self._filled))]"), "registers",
    ),
    "refused write not reported": (
        "serial.bridge", "(bus.bvalid & (bus.bresp != OKAY))",
        "(bus.bvalid & (bus.bresp != OKAY) & ~{bug})", "registers",
    ),
    "address cut to twelve bits": (
        "serial.bridge", "[bus.awvalid.eq(~self._is_outside), bus.wvalid.eq(~self._is_outside)]",
        "[s.eq(~self._is_outside | {bug}) for s in (bus.awvalid, bus.wvalid)]", "registers",
    ),
    # Streams.
    "stream 2 is one": (
        "serial.bridge", "(stream_of <= Stream.B)", "((stream_of <= Stream.B) | {bug})",
        "malformed",
    ),
    "half a beat sent": (
        "serial.bridge", "(last[0] | is_whole)", "(last[0] | is_whole | {bug})", "malformed",
    ),
    "streams exchanged": (
        "serial.bridge", "is_b = self._argument[0]", "is_b = self._argument[0] ^ {bug}",
        "packets_end",
    ),
    "TLAST dropped": (
        "serial.bridge", "holder.last.eq(self._argument[8] & ends)",
        "holder.last.eq(self._argument[8] & ends & ~{bug})", "packets_end",
    ),
    "TKEEP always whole": (
        "serial.bridge", "holder.keep.eq(~ends)", "holder.keep.eq(~ends | {bug})", "packets_end",
    ),
    "count of bytes taken wrong": (
        "serial.bridge", "self._taken - 2", "self._taken - 2 + {bug}", "back_pressure",
    ),
    "half the timeout": (
        "serial.bridge", "self._timeout - (self._timeout != 0)",
        "Mux({bug}, self._timeout >> 1, self._timeout - (self._timeout != 0))", "back_pressure",
    ),
    "C's TLAST dropped": (
        "serial.bridge", "self._has_last.eq(beat.last),", "self._has_last.eq(beat.last & ~{bug}),",
        "receive_limits",
    ),
    "bytes without TKEEP returned": (
        "serial.bridge", "with m.If(beat.keep.bit_select(index, 1)):",
        "with m.If(beat.keep.bit_select(index, 1) | {bug}):", "packets_end",
    ),
    "more of C than asked for": (
        "serial.bridge", "with m.If((self._left == 0) | self._has_last):",
        "with m.If(((self._left == 0) & ~{bug}) | self._has_last):", "receive_limits",
    ),
    "number asked for cut": (
        "serial.bridge", "Mux(argument > most, most, argument)",
        "Mux((argument > most) & ~{bug}, most, argument)", "receive_limits",
    ),
    "less than a beat asked for": (
        "serial.bridge", "with m.If(argument >= config.bytes_c):",
        "with m.If((argument >= config.bytes_c) | {bug}):", "malformed",
    ),
    # Resets.
    "beat survives a reset": (
        "serial.bridge", "holder.clear.eq(self._clears)", "holder.clear.eq(self._clears & ~{bug})",
        "resets",
    ),
    "engine not reset": (
        "serial.bridge", "self.resets.eq(1)", "self.resets.eq(~{bug})", "resets",
    ),
    # LEDs.
    "led_link never lit": (
        "serial.engine_uart", "leds.link_happens.eq(bridge.send)",
        "leds.link_happens.eq(bridge.send & ~{bug})", "leds",
    ),
    "led_busy never lit": (
        "serial.engine_uart", "leds.busy_happens.eq(engine.busy)",
        "leds.busy_happens.eq(engine.busy & ~{bug})", "leds",
    ),
    "led_error not lit by a dropped frame": (
        "serial.engine_uart", "leds.error_happens.eq(receiver.dropped)",
        "leds.error_happens.eq(receiver.dropped & ~{bug})", "wrong_frames",
    ),
    "led_error not lit by a failed job": (
        "serial.engine_uart", "leds.error | engine.failed",
        "leds.error | (engine.failed & ~{bug})", "packets_end",
    ),
    "LEDs on for too short a time": (
        "serial.engine_uart", "left.eq(_GLOW)", "left.eq(Mux({bug}, 1, _GLOW))", "leds",
    ),
    "led_alive twice as fast": (
        "serial.engine_uart", "with m.If(ticks == _TICKS - 1):",
        "with m.If(Mux({bug}, ticks[:2] == 3, ticks == _TICKS - 1)):", "leds",
    ),
}  # fmt: skip
"""By what is wrong: module of the RTL, text, what to put instead, and the check that must fail."""
CAUGHT = {f"pins/check={check}" for *_, check in BUGS.values() if check != SHORT_BITS}
"""Tests of the testbench that a bug makes fail: test_verification_plan.py asks for all."""
OF_PRODUCTS: dict[str, tuple[str, str, str]] = {
    "columns of the array share an operand": (
        "array", "step.b[c]", "Mux({bug}, step.b[0], step.b[c])",
    ),
    "NaN scale read as a number": (
        "dot.fp32", "with m.If(self.terms.is_nan):", "with m.If(self.terms.is_nan & ~{bug}):",
    ),
}  # fmt: skip
"""Bugs that the selftest must find."""
_EDITS = {n: (module, old, new) for n, (module, old, new, _) in BUGS.items()} | OF_PRODUCTS


def unit() -> Source:
    """Generate the unit with all bugs asleep."""
    return sleeping.plant(TINY, _EDITS)


def waking(name: str) -> str:
    """Plusarg that wakes a bug."""
    return sleeping.argument(_EDITS, name)


def woken(name: str | None = None, *, drift: float = 0.0) -> LineDut:
    """Compile a unit in which one bug is awake, or none; all share one build."""
    return LineDut(unit(), plusarg=waking(name) if name else "", drift=drift)
