"""Launches the serial unit's testbench, and shows that it can fail."""

from __future__ import annotations

import re

import pytest

from amxfp4.verif.check import planted
from amxfp4.verif.sim import benches
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.line.talk import TINY
from amxfp4.verif.sim.sources import Source, source


def test_engine_uart(request: pytest.FixtureRequest, at_night: bool) -> None:
    """The checks at the pins pass in the simulator, too; by day those of `make sim`."""
    tests = None if at_night else benches.FIRST_LOOK["engine_uart"]
    summary = run_testbench(TINY, seed=request.config.getoption("--seed"), tests=tests)
    assert summary.tests == summary.passed >= len(benches.FIRST_LOOK["engine_uart"] or ())
    assert summary.transactions > summary.tests


def _late_falls() -> Source:
    """Put the unit into a wrapper in which tx falls a cycle late, and rises in time."""
    made = source(TINY)
    text, count = re.subn(r"(?m)^module engine_uart\(", "module engine_uart_whole(", made.text)
    assert count == 1
    ports = [port["name"] for port in made.manifest["ports"] if port["name"] != "tx"]
    lamps = ", ".join(f"output {name}" for name in ports if name.startswith("led_"))
    inside = ", ".join(f".{name}({name})" for name in ports)
    wrapper = f"""
module engine_uart(input clk, input rst, input rx, output tx, {lamps});
  wire level; reg was = 1;
  always @(posedge clk) was <= level;
  assign tx = level | was;
  engine_uart_whole whole({inside}, .tx(level));
endmodule
"""
    return Source(text + wrapper, made.manifest)


def test_wrong_unit_is_caught() -> None:
    """A bit that is too short is seen, and so is a payload that the manifest does not state."""
    tests = ["pins/check=hello"]
    with pytest.raises(TestbenchError, match="bits on tx must have 4 cycles"):
        run_testbench(_late_falls(), seed=1, tests=tests)
    with pytest.raises(TestbenchError, match="1 of 1 tests of engine_uart failed"):
        run_testbench(planted.with_manifest(source(TINY), payload=128), seed=1, tests=tests)
