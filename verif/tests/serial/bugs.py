"""Bugs to plant in the serial unit, and the checks at its pins that must fail with them."""

from __future__ import annotations

from functools import cache

from amxfp4.verif.check import planted
from amxfp4.verif.check.planted import Edit, Planted
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.talk import TINY

__all__ = ["BUGS", "OF_PRODUCTS", "SHORT_BITS", "unit", "woken"]

SHORT_BITS = "at another rate"
"""A check with bits that are 2 % too short."""
BUGS: dict[str, tuple[str, str, str, str]] = {
    # The line.
    "no stop bit needed": (
        "serial.uart", "self.valid.eq(line)", "self.valid.eq(1)", "the_line_itself",
    ),
    "start bit not checked in its middle": (
        "serial.uart", "busy.eq(~line), was_idle", "busy.eq(1), was_idle",
        "the_line_itself",
    ),
    "a bit too short": (
        "serial.uart", "bits >> 1), countdown.eq(self._divisor - 1)]",
        "bits >> 1), countdown.eq(self._divisor - 2)]", "hello",
    ),
    "bits sampled late": (
        "serial.uart", "countdown.eq((self._divisor - 1) // 2 - 1)",
        "countdown.eq((self._divisor - 1) // 2 + 1)", SHORT_BITS,
    ),
    # Frames.
    "checksum not checked": (
        "serial.frames", "(self.crc_value == _CRC_GOOD)", "C(1, 1)",
        "wrong_frames",
    ),
    "length not checked": (
        "serial.frames", "& whole_length", "& C(1, 1)", "wrong_frames",
    ),
    "too long not checked": (
        "serial.frames", "& (self.header.length <= self._payload)",
        "& C(1, 1)", "wrong_frames",
    ),
    "direction not checked": (
        "serial.frames", "& ~self.header.operation[7]", "& C(1, 1)",
        "wrong_frames",
    ),
    "escape of anything": (
        "serial.frames", "with m.If(escaped & ~unescapes):",
        "with m.If(C(0, 1)):", "wrong_frames",
    ),
    "escape of nothing": (
        "serial.frames", "& ~escaped &", "& C(1, 1) &", "wrong_frames",
    ),
    "empty frame counts as dropped": (
        "serial.frames", "((place != first) | escaped)", "C(1, 1)",
        "wrong_frames",
    ),
    "frame after a wrong one dropped": (
        "serial.frames", "lost.eq(0), escaped.eq(0)]",
        "lost.eq(lost), escaped.eq(0)]", "wrong_frames",
    ),
    "escapes exchanged": (
        "serial.frames", "Mux(self.octet == ESC_END, END, ESC)",
        "Mux(self.octet != ESC_END, END, ESC)", "escapes",
    ),
    "answer's escapes exchanged": (
        "serial.frames", "Mux(content == END, ESC_END, ESC_ESC)",
        "Mux(content != END, ESC_END, ESC_ESC)", "escapes",
    ),
    "request taken while busy": (
        "serial.engine_uart", "receiver.closed.eq(bridge.busy)",
        "receiver.closed.eq(0)", "busy_means_deaf",
    ),
    # Sequence numbers.
    "repeated request carried out twice": (
        "serial.bridge", "with m.If(self.request & is_repeated):",
        "with m.If(C(0, 1)):", "repeated",
    ),
    "malformed request carried out twice": (
        "serial.bridge", "carried_out & (self.header.sequence",
        "carried_out & (self.status != Status.MALFORMED) & (self.header.sequence",
        "repeated",
    ),
    "bit of the sequence number lost": (
        "serial.bridge", "self._sequence.eq(self.header.sequence)",
        "self._sequence.eq(self.header.sequence & ~C(64, 8))", "random_requests",
    ),
    "hello from memory": (
        "serial.bridge", "(self.header.operation != Operation.HELLO)",
        "C(1, 1)", "hello",
    ),
    "hello not remembered": (
        "serial.bridge", "carried_out.eq(1)",
        "carried_out.eq(self.header.operation != Operation.HELLO)", "hello",
    ),
    "hello answers something else": (
        "serial.bridge", "C(byte, 8) for byte in text", "C(byte ^ 1, 8) for byte in text",
        "hello",
    ),
    # Registers.
    "read of no register": (
        "serial.bridge", "(count != 0) & fits", "fits",
        "malformed",
    ),
    "half a register written": (
        "serial.bridge", "& (length[:2] == 2)", "& C(1, 1)", "malformed",
    ),
    "registers before a refused one not returned": (
        "serial.bridge", "answer.length.eq(filled)",
        "answer.length.eq(Mux(self.status == Status.REFUSED, 1, filled))", "registers",
    ),
    "refused write not reported": (
        "serial.words", "(bus.bvalid & (bus.bresp != OKAY))",
        "C(0, 1)", "registers",
    ),
    "address cut to twelve bits": (
        "serial.words", "bridge.argument[ADDRESS_BITS:].any()", "C(0, 1)", "registers",
    ),
    # Streams.
    "stream 2 is one": (
        "serial.bridge", "(stream_of <= Stream.B)", "C(1, 1)",
        "malformed",
    ),
    "half a beat sent": (
        "serial.bridge", "(last[0] | is_whole)", "C(1, 1)", "malformed",
    ),
    "streams exchanged": (
        "serial.bridge", "is_b = self.argument[0]", "is_b = ~self.argument[0]",
        "packets_end",
    ),
    "TLAST dropped": (
        "serial.bridge", "holder.last.eq(self.argument[8] & ends)",
        "holder.last.eq(0)", "packets_end",
    ),
    "TKEEP always whole": (
        "serial.bridge", "holder.keep.eq(~ends)", "holder.keep.eq(~C(0, 1))", "packets_end",
    ),
    "count of bytes taken wrong": (
        "serial.bridge", "self.taken - 2", "self.taken - 1", "back_pressure",
    ),
    "half the timeout": (
        "serial.bridge", "self._timeout - (self._timeout != 0)",
        "self._timeout >> 1", "back_pressure",
    ),
    "C's TLAST dropped": (
        "serial.bridge", "self._has_last.eq(beat.last),", "self._has_last.eq(0),",
        "receive_limits",
    ),
    "bytes without TKEEP returned": (
        "serial.bridge", "with m.If(beat.keep.bit_select(index, 1)):",
        "with m.If(C(1, 1)):", "packets_end",
    ),
    "more of C than asked for": (
        "serial.bridge", "with m.If((self.left == 0) | self._has_last):",
        "with m.If(self._has_last):", "receive_limits",
    ),
    "number asked for cut": (
        "serial.bridge", "Mux(argument > most, most, argument)",
        "argument", "receive_limits",
    ),
    "less than a beat asked for": (
        "serial.bridge", "with m.If(argument >= config.bytes_c):",
        "with m.If(C(1, 1)):", "malformed",
    ),
    # Resets.
    "beat survives a reset": (
        "serial.bridge", "holder.clear.eq(self._clears)", "holder.clear.eq(0)",
        "resets",
    ),
    "engine not reset": (
        "serial.bridge", "self.resets.eq(1)", "self.resets.eq(0)", "resets",
    ),
    # LEDs.
    "led_link never lit": (
        "serial.engine_uart", "leds.link_happens.eq(bridge.send)",
        "leds.link_happens.eq(0)", "leds",
    ),
    "led_busy never lit": (
        "serial.engine_uart", "leds.busy_happens.eq(engine.busy)",
        "leds.busy_happens.eq(0)", "leds",
    ),
    "led_error not lit by a dropped frame": (
        "serial.engine_uart", "leds.error_happens.eq(receiver.dropped)",
        "leds.error_happens.eq(0)", "wrong_frames",
    ),
    "led_error not lit by a failed job": (
        "serial.engine_uart", "leds.error | engine.failed",
        "leds.error", "packets_end",
    ),
    "LEDs on for too short a time": (
        "serial.engine_uart", "left.eq(_GLOW)", "left.eq(1)", "leds",
    ),
    "led_alive twice as fast": (
        "serial.engine_uart", "with m.If(ticks == _TICKS - 1):",
        "with m.If(ticks[:2] == 3):", "leds",
    ),
}  # fmt: skip
"""By what is wrong: module of the RTL, text, what to put instead, and the check that must fail."""
CAUGHT = {f"pins/check={check}" for *_, check in BUGS.values() if check != SHORT_BITS}
"""Tests of the testbench that a bug makes fail: test_verification_plan.py asks for all."""
OF_PRODUCTS: dict[str, Edit] = {
    "columns of the array share an operand": (
        "array", "step.b[c]", "step.b[0]",
    ),
    "NaN scale read as a number": (
        "dot.fp32", "with m.If(self.terms.is_nan):", "with m.If(C(0, 1)):",
    ),
}  # fmt: skip
"""Bugs that the selftest must find."""


@cache
def unit() -> Planted:
    """Generate the unit with all bugs asleep."""
    edits = {n: (module, old, new) for n, (module, old, new, _) in BUGS.items()}
    return planted.asleep(TINY, rtl=edits | OF_PRODUCTS)


def woken(name: str | None = None, *, drift: float = 0.0) -> LineDut:
    """Compile a unit in which one bug is awake, or none; all share one build."""
    return LineDut(unit(), plusarg=unit().wake(name) if name else "", drift=drift)
