"""Tests of another testbench, each with a planted bug awake; runs inside the simulator.

Starting Python and cocotb takes longer than most tests: bugs that sleep in one unit are woken one
after the other in one simulation.
"""

from __future__ import annotations

import json
import os
from typing import Any

import cocotb
from cocotb._decorators import Test

from amxfp4.verif.sim import benches
from amxfp4.verif.sim.cocotb.environment import BUGS


def _awake(number: int, test: Test) -> Any:
    """Make a test that wakes a bug; every test begins with a reset, with the bug awake already."""

    async def run(dut: Any) -> None:
        dut.bug.value = number
        await test.func(dut, *test.args, **test.kwargs)

    return cocotb.test(name=benches.with_bug(number))(run)


_wanted = json.loads(os.environ[BUGS])
_tests = {test.name: test for test in benches.tests(_wanted["unit"])}
for _number, _name in _wanted["bugs"]:
    globals()[benches.with_bug(_number)] = _awake(_number, _tests[_name])
