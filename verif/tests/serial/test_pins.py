"""The bridge at its pins: every check passes on the unit, and fails on one with a planted bug."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.line.line import LineDut, LineError
from amxfp4.verif.sim.line.pins import CHECKS
from amxfp4.verif.sim.line.talk import TINY
from amxfp4.verif.tests.serial.bugs import BUGS, SHORT_BITS, woken


@pytest.fixture(scope="session")
def unit() -> LineDut:
    """Compile the unit once; every check begins with a reset."""
    return LineDut(TINY)


@pytest.mark.nightly  # by day the unit of the planted bugs does while they sleep
@pytest.mark.parametrize("name", CHECKS)
def test_pins(unit: LineDut, rng: np.random.Generator, name: str) -> None:
    """The unit does what docs/units/bridge.md says."""
    CHECKS[name](unit, rng)


def at_another_rate(dut: LineDut, rng: np.random.Generator) -> None:
    """Run checks that move bytes of every value in both directions."""
    for name in ("registers", "escapes", "packets_end"):
        CHECKS[name](dut, rng)


# Slower by day is in `test_nothing_fails_while_bugs_sleep`.
@pytest.mark.parametrize("drift", [pytest.param(-0.02, marks=pytest.mark.nightly), 0.02])
def test_host_whose_clock_is_off(rng: np.random.Generator, drift: float) -> None:
    """Bits may be 2 % longer or shorter than the unit's, even with four cycles a bit."""
    at_another_rate(woken(drift=drift), rng)


def test_host_whose_clock_is_far_off(rng: np.random.Generator) -> None:
    """The test above can fail: at 8 % nothing is understood."""
    with pytest.raises(AssertionError):
        at_another_rate(woken(drift=0.08), rng)


def test_nothing_fails_while_bugs_sleep(rng: np.random.Generator) -> None:
    """Every check that must fail with a bug passes without one."""
    dut = woken()
    for name in sorted({check for *_, check in BUGS.values()} - {SHORT_BITS}):
        CHECKS[name](dut, rng)
    at_another_rate(woken(drift=-0.02), rng)


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_caught(rng: np.random.Generator, name: str) -> None:
    """Each bug in the RTL makes the check fail that is for it."""
    *_, check = BUGS[name]
    drift, run = (-0.02, at_another_rate) if check == SHORT_BITS else (0.0, CHECKS[check])
    with pytest.raises((AssertionError, LineError)):
        run(woken(name, drift=drift), rng)


def test_every_check_can_fail() -> None:
    """No check at the pins is without a bug that it catches."""
    assert set(CHECKS) <= {check for *_, check in BUGS.values()}


OTHERS = [
    EngineUartConfig(rows=2, cols=2, lanes=8, depth_a=2, depth_b=2, block=16, payload=4096,
                     bytes_a=64, bytes_b=32, bytes_c=16, clock=12_000_000, baud=115_200),
    EngineUartConfig(rows=1, cols=2, lanes=16, depth_a=4, depth_b=2, block=16, payload=128,
                     bytes_c=64, requantize="amxfp4", clock=1_000_000, baud=250_000),
]  # fmt: skip


@pytest.mark.nightly  # a minute of compiling and of bits of a hundred cycles
@pytest.mark.parametrize("config", OTHERS, ids=lambda c: f"payload={c.payload}")
def test_other_widths(rng: np.random.Generator, config: EngineUartConfig) -> None:
    """The checks that know beats of every width, on other streams, payloads and rates."""
    dut = LineDut(config)
    for name in (
        "hello", "wrong_frames", "escapes", "packets_end", "back_pressure", "receive_limits",
    ):  # fmt: skip
        CHECKS[name](dut, rng)
