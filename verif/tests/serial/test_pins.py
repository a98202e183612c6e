"""The bridge at its pins: every check passes on the unit, and fails on one with a planted bug."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4.gen import verilog
from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.check import planted
from amxfp4.verif.sim.line.line import LineDut, LineError
from amxfp4.verif.sim.line.pins import CHECKS
from amxfp4.verif.sim.line.talk import TINY, Talk

NIGHTLY = 1_000_000
"""Blocks from which on the long tests run, as in ``make nightly``."""


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
        "frames", "& whole_length & (self.crc_value == _CRC_GOOD)", "& whole_length",
        "wrong_frames",
    ),
    "repeated request carried out twice": (
        "bridge", "with m.If(self.request & is_repeated):",
        "with m.If(self.request & is_repeated & 0):", "repeated",
    ),
    "TLAST dropped": (
        "bridge", "holder.last.eq(self._argument[8] & ends)", "holder.last.eq(0)", "packets_end",
    ),
    "escapes exchanged": (
        "frames", "Mux(escaped, Mux(self.byte == ESC_END, END, ESC), self.byte)",
        "Mux(escaped, Mux(self.byte == ESC_END, ESC, END), self.byte)", "escapes",
    ),
    "length not checked": (
        "frames", "& whole_length & (self.crc_value", "& (self.crc_value", "wrong_frames",
    ),
    "too long not checked": (
        "frames", "& (self.header.length <= self._payload) &", "&", "wrong_frames",
    ),
    "direction not checked": (
        "frames", " & ~self.header.operation[7]", "", "wrong_frames",
    ),
    "escape of anything": (
        "frames", "with m.If(escaped & ~unescapes):", "with m.If(escaped & ~unescapes & 0):",
        "wrong_frames",
    ),
    "answer's escapes exchanged": (
        "frames", "Mux(content == END, ESC_END, ESC_ESC)", "Mux(content == END, ESC_ESC, ESC_END)",
        "escapes",
    ),
    "hello from memory": (
        "bridge", "& (self.header.operation != Operation.HELLO)", "", "hello",
    ),
    "TKEEP always whole": (
        "bridge", "holder.real.eq(~ends)", "holder.real.eq(1)", "packets_end",
    ),
    "count of bytes taken wrong": (
        "bridge", "self._taken - 2", "self._taken - 1", "back_pressure",
    ),
    "refused write not told": (
        "bridge", "self._is_outside | (bus.bvalid & (bus.bresp != OKAY))", "self._is_outside",
        "registers",
    ),
    "address cut to twelve bits": (
        "bridge", "return self._argument[ADDRESS_BITS:].any()", "return self._argument[:0].any()",
        "registers",
    ),
    "C's TLAST dropped": (
        "bridge", "self._has_last.eq(beat.last),", "self._has_last.eq(0),", "receive_limits",
    ),
    "more of C than asked for": (
        "bridge", "with m.If((self._left == 0) | self._has_last):", "with m.If(self._has_last):",
        "receive_limits",
    ),
    "beat survives a reset": (
        "bridge", "holder.clear.eq(self._clears)", "holder.clear.eq(0)", "resets",
    ),
    "no stop bit needed": ("uart", "self.valid.eq(line)", "self.valid.eq(1)", "the_line_itself"),
    "start bit not looked at again": (
        "uart", "busy.eq(~line), was_idle", "busy.eq(1), was_idle", "the_line_itself",
    ),
    "half the patience": (
        "bridge", "self._patience - (self._patience != 0)", "self._patience >> 1", "back_pressure",
    ),
    "lamp never lit": (
        "engine_uart", "lamps.error_happens.eq(receiver.dropped)", "lamps.error_happens.eq(0)",
        "lamps",
    ),
    "led_alive twice as fast": (
        "engine_uart", "with m.If(ticks == _TICKS - 1):", "with m.If(ticks[:2] == 3):", "lamps",
    ),
}  # fmt: skip
ALWAYS = 4
"""Mutants that every run compiles; at night all."""


def mutated(monkeypatch: pytest.MonkeyPatch, config: EngineUartConfig, *bug: str) -> LineDut:
    """Compile a unit with a bug: module, text, what stands in its place."""
    planted.bug(monkeypatch, *bug)
    return LineDut(verilog.generate(config), optimize=False)


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_bug_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, blocks: int, name: str
) -> None:
    """Each bug in the RTL makes the check fail that is for it."""
    if blocks < NIGHTLY and list(MUTANTS).index(name) >= ALWAYS:
        pytest.skip("takes five seconds each: make nightly")
    *bug, check = MUTANTS[name]
    with pytest.raises((AssertionError, LineError)):
        CHECKS[check](mutated(monkeypatch, TINY, *bug), rng)


def test_bit_of_wrong_length_is_seen(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    """What judges tx is no receiver of bytes only: a bit a cycle too long is an error."""
    if blocks < NIGHTLY:
        pytest.skip("takes five seconds: make nightly")
    old = "m.d.sync += [bits.eq(bits >> 1), wait.eq(self._divisor - 1)]"
    dut = mutated(monkeypatch, TINY, "uart", old, old.replace("- 1)]", "- 2)]"))
    with pytest.raises((LineError, AssertionError)):
        Talk(dut).ask(0)


OTHERS = [
    EngineUartConfig(rows=2, cols=2, lanes=8, depth_a=2, depth_b=2, block=16, payload=4096,
                     bytes_a=64, bytes_b=32, bytes_c=16, clock=12_000_000, baud=115_200),
    EngineUartConfig(rows=1, cols=2, lanes=16, depth_a=4, depth_b=2, block=16, payload=128,
                     bytes_c=64, requantize="amxfp4", clock=1_000_000, baud=250_000),
]  # fmt: skip


@pytest.mark.parametrize("config", OTHERS, ids=lambda c: f"payload={c.payload}")
def test_other_widths(rng: np.random.Generator, blocks: int, config: EngineUartConfig) -> None:
    """The checks that know beats of every width, on other streams, payloads and rates."""
    if blocks < NIGHTLY:
        pytest.skip("takes a minute: make nightly")
    dut = LineDut(config)
    for name in (
        "hello", "wrong_frames", "escapes", "packets_end", "back_pressure", "receive_limits",
    ):  # fmt: skip
        CHECKS[name](dut, rng)
