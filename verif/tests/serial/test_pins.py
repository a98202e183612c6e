"""The bridge at its pins: every check passes on the unit, and fails on one with a planted bug."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.check import planted
from amxfp4.verif.check.planted import Planted
from amxfp4.verif.sim.line.line import LineDut, LineError
from amxfp4.verif.sim.line.pins import CHECKS
from amxfp4.verif.sim.line.talk import TINY, Talk


@pytest.fixture(scope="module")
def unit() -> LineDut:
    """Compile the unit once; every check begins with a reset."""
    return LineDut(TINY)


@pytest.mark.parametrize("name", CHECKS)
def test_pins(unit: LineDut, rng: np.random.Generator, name: str) -> None:
    """The unit does what docs/bridge.md says."""
    CHECKS[name](unit, rng)


@pytest.mark.parametrize("drift", [-0.02, 0.02])
def test_host_whose_clock_is_off(rng: np.random.Generator, drift: float) -> None:
    """Bits may be 2 % longer or shorter than the unit's, even with four cycles a bit."""
    dut = LineDut(TINY, drift=drift)
    for name in ("registers", "escapes", "packets_end"):
        CHECKS[name](dut, rng)


def test_host_whose_clock_is_far_off(rng: np.random.Generator) -> None:
    """The test above can fail: at 8 % nobody is understood."""
    with pytest.raises(AssertionError):
        CHECKS["registers"](LineDut(TINY, drift=0.08), rng)


# What is wrong, as module, text and what stands in its place; and the check that must see it.
MUTANTS: dict[str, tuple[str, str, str, str]] = {
    "checksum not checked": (
        "serial.frames", "& whole_length & (self.crc_value == _CRC_GOOD)", "& whole_length",
        "wrong_frames",
    ),
    "repeated request carried out twice": (
        "serial.bridge", "with m.If(self.request & is_repeated):",
        "with m.If(self.request & is_repeated & 0):", "repeated",
    ),
    "TLAST dropped": (
        "serial.bridge", "holder.last.eq(self._argument[8] & ends)", "holder.last.eq(0)",
        "packets_end",
    ),
    "escapes exchanged": (
        "serial.frames", "Mux(escaped, Mux(self.byte == ESC_END, END, ESC), self.byte)",
        "Mux(escaped, Mux(self.byte == ESC_END, ESC, END), self.byte)", "escapes",
    ),
    "length not checked": (
        "serial.frames", "& whole_length & (self.crc_value", "& (self.crc_value", "wrong_frames",
    ),
    "too long not checked": (
        "serial.frames", "& (self.header.length <= self._payload) &", "&", "wrong_frames",
    ),
    "direction not checked": (
        "serial.frames", " & ~self.header.operation[7]", "", "wrong_frames",
    ),
    "escape of anything": (
        "serial.frames", "with m.If(escaped & ~unescapes):", "with m.If(escaped & ~unescapes & 0):",
        "wrong_frames",
    ),
    "answer's escapes exchanged": (
        "serial.frames", "Mux(content == END, ESC_END, ESC_ESC)",
        "Mux(content == END, ESC_ESC, ESC_END)",
        "escapes",
    ),
    "hello from memory": (
        "serial.bridge", "& (self.header.operation != Operation.HELLO)", "", "hello",
    ),
    "TKEEP always whole": (
        "serial.bridge", "holder.real.eq(~ends)", "holder.real.eq(1)", "packets_end",
    ),
    "count of bytes taken wrong": (
        "serial.bridge", "self._taken - 2", "self._taken - 1", "back_pressure",
    ),
    "refused write not told": (
        "serial.bridge", "self._is_outside | (bus.bvalid & (bus.bresp != OKAY))",
        "self._is_outside",
        "registers",
    ),
    "address cut to twelve bits": (
        "serial.bridge", "return self._argument[ADDRESS_BITS:].any()",
        "return self._argument[:0].any()",
        "registers",
    ),
    "C's TLAST dropped": (
        "serial.bridge", "self._has_last.eq(beat.last),", "self._has_last.eq(0),", "receive_limits",
    ),
    "more of C than asked for": (
        "serial.bridge", "with m.If((self._left == 0) | self._has_last):",
        "with m.If(self._has_last):",
        "receive_limits",
    ),
    "beat survives a reset": (
        "serial.bridge", "holder.clear.eq(self._clears)", "holder.clear.eq(0)", "resets",
    ),
    "no stop bit needed": (
        "serial.uart", "self.valid.eq(line)", "self.valid.eq(1)", "the_line_itself",
    ),
    "start bit not looked at again": (
        "serial.uart", "busy.eq(~line), was_idle", "busy.eq(1), was_idle", "the_line_itself",
    ),
    "half the patience": (
        "serial.bridge", "self._patience - (self._patience != 0)", "self._patience >> 1",
        "back_pressure",
    ),
    "lamp never lit": (
        "serial.engine_uart", "lamps.error_happens.eq(receiver.dropped)",
        "lamps.error_happens.eq(0)",
        "lamps",
    ),
    "led_alive twice as fast": (
        "serial.engine_uart", "with m.If(ticks == _TICKS - 1):", "with m.If(ticks[:2] == 3):",
        "lamps",
    ),
}  # fmt: skip
LONG_BIT = (
    "serial.uart", "bits.eq(bits >> 1), wait.eq(self._divisor - 1)",
    "bits.eq(bits >> 1), wait.eq(self._divisor - 2)",
)  # fmt: skip


@cache
def faulty() -> Planted:
    """Make the unit in which all bugs sleep."""
    edits = {name: edit for name, (*edit, _) in MUTANTS.items()}
    return planted.asleep(TINY, rtl=edits | {"bit of wrong length": LONG_BIT})


def awake(bug: str) -> LineDut:
    """Wake one of the bugs."""
    made = faulty()
    return LineDut(made, plusarg=made.wake(bug))


def test_nothing_is_caught_while_bugs_sleep(rng: np.random.Generator) -> None:
    """What is caught below is the bug that is awake."""
    dut = LineDut(faulty())
    for name in {check for *_, check in MUTANTS.values()}:
        CHECKS[name](dut, rng)


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_bug_is_caught(rng: np.random.Generator, name: str) -> None:
    """Each bug in the RTL makes the check fail that is for it."""
    with pytest.raises((AssertionError, LineError)):
        CHECKS[MUTANTS[name][-1]](awake(name), rng)


def test_bit_of_wrong_length_is_seen() -> None:
    """What judges tx is no receiver of bytes only: a bit a cycle too long is an error."""
    with pytest.raises((LineError, AssertionError)):
        Talk(awake("bit of wrong length")).ask(0)


OTHERS = [
    EngineUartConfig(rows=2, cols=2, lanes=8, depth_a=2, depth_b=2, block=16, payload=4096,
                     bytes_a=64, bytes_b=32, bytes_c=16, clock=12_000_000, baud=115_200),
    EngineUartConfig(rows=1, cols=2, lanes=16, depth_a=4, depth_b=2, block=16, payload=128,
                     bytes_c=64, requantize="amxfp4", clock=1_000_000, baud=250_000),
]  # fmt: skip


@pytest.mark.nightly  # a minute each
@pytest.mark.parametrize("config", OTHERS, ids=lambda c: f"payload={c.payload}")
def test_other_widths(rng: np.random.Generator, config: EngineUartConfig) -> None:
    """The checks that know beats of every width, on other streams, payloads and rates."""
    dut = LineDut(config)
    for name in (
        "hello", "wrong_frames", "escapes", "packets_end", "back_pressure", "receive_limits",
    ):  # fmt: skip
        CHECKS[name](dut, rng)
