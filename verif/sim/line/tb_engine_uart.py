"""Testbench of the engine behind its serial line; runs inside the simulator.

The same checks run at the pins of the unit as compiled for `line.py`, far faster and with
bugs planted; here they are for whoever wants to see a request in waves.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge

from amxfp4.verif.sim.cocotb.environment import REPORT
from amxfp4.verif.sim.line.agents_line import SimulatedLine
from amxfp4.verif.sim.line.pins import CHECKS

_total = {"transactions": 0, "tests": 0}


@cocotb.test()
@cocotb.parametrize(check=[cocotb.Param(name, name) for name in CHECKS])
async def pins(dut: Any, check: str) -> None:
    """Do at the pins what docs/units/bridge.md says, and see that the unit does too."""
    line: Any = SimulatedLine(dut)  # with the members of LineDut
    await bridge(CHECKS[check])(line, np.random.default_rng(cocotb.RANDOM_SEED))
    _total["transactions"] += line.answers
    _total["tests"] += 1
    Path(os.environ[REPORT]).write_text(json.dumps(_total))
