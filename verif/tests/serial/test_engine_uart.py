"""Launches the serial unit's testbench, and shows that it can fail."""

from __future__ import annotations

import pytest

from amxfp4.verif.check import planted
from amxfp4.verif.sim import benches
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.line.talk import TINY
from amxfp4.verif.tests.serial import bugs

# By day the same checks, and all the bugs, run at the pins of the unit in Verilator (test_pins.py).
pytestmark = pytest.mark.nightly


def test_engine_uart(request: pytest.FixtureRequest) -> None:
    """The checks at the pins pass in the simulator, too."""
    summary = run_testbench(TINY, seed=request.config.getoption("--seed"))
    assert summary.tests == summary.passed >= len(benches.FIRST_LOOK["engine_uart"] or ())
    assert summary.transactions > summary.tests


@pytest.mark.parametrize(
    ("bug", "found"),
    [
        ("a bit too short", "bits on tx must have 4 cycles"),
        ("checksum not checked", "checksum bit 0: answered"),
    ],
)
def test_bug_is_caught(bug: str, found: str) -> None:
    """The testbench fails for the reason that is planted."""
    *_, check = bugs.BUGS[bug]
    with pytest.raises(TestbenchError, match=found):
        run_testbench(
            bugs.unit(), seed=1, tests=[f"pins/check={check}"], plusargs=[bugs.unit().wake(bug)]
        )


def test_another_manifest_is_caught() -> None:
    """A payload that the manifest does not state is not believed."""
    with pytest.raises(TestbenchError, match="1 of 1 tests of engine_uart failed"):
        run_testbench(
            planted.with_manifest(bugs.unit(), payload=128), seed=1, tests=["pins/check=hello"]
        )
