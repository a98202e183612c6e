"""The testbench of every unit: its module, its tests by name, and a configuration to begin with."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from amxfp4.params.config import UnitConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.units import UNITS
from amxfp4.verif.sim.line.talk import TINY

__all__ = ["CONFIGS", "FIRST_LOOK", "module", "names", "select", "tests", "with_bug"]

CONFIGS: dict[str, UnitConfig] = {
    **{unit: config() for unit, config in UNITS.items() if not unit.startswith("engine")},
    # Of a size that is compiled in seconds.
    "engine": EngineConfig(rows=2, cols=2, lanes=8, depth_a=4, depth_b=4),
    "engine_uart": TINY,
}
"""What `make sim` builds of each unit."""

FIRST_LOOK: dict[str, Sequence[str] | None] = {
    **dict.fromkeys(CONFIGS),
    "engine": (
        "reset_values", "strobes", "shapes", "random_jobs/pattern=random", "special_values",
        "kept_b", "throughput", "latency", "refused", "faults/name=a_early", "faults/name=b_keep",
        "commands_at_once", "mixtures/pattern=bursts",
    ),
    "engine_uart": tuple(
        f"pins/check={name}"
        for name in ("hello", "escapes", "registers", "malformed", "back_pressure", "packets_end")
    ),
}  # fmt: skip
"""Tests that `make sim` runs; ``None`` for all of them."""


_MODULES = {
    **dict.fromkeys(("quantizer", "dequantizer", "weight_dequantizer"), "cocotb.tb_blocks"),
    **dict.fromkeys(("dot", "array"), "cocotb.tb_products"),
    "engine": "cocotb_engine.tb_engine",
    "engine_uart": "line.tb_engine_uart",
}


def module(unit: str) -> str:
    """Name of the module that holds the tests of a unit."""
    return f"amxfp4.verif.sim.{_MODULES[unit]}"


def tests(unit: str) -> list[Any]:
    """Every test of a unit, as cocotb holds them, in the order in which they run."""
    held = vars(importlib.import_module(module(unit))).values()
    return [t for v in held if hasattr(v, "generate_tests") for t in v.generate_tests()]


def names(unit: str) -> list[str]:
    """Name every test of a unit, in the order in which they run."""
    return [test.name for test in tests(unit)]


def with_bug(number: int) -> str:
    """Name of the test that runs while the planted bug of that number is awake."""
    return f"bug_{number}"


def select(unit: str, test: str) -> list[str]:
    """Find a test by its name, or all tests that a name without parameters stands for.

    Raises
    ------
    ValueError
        The unit has no such test.
    """
    known = names(unit)
    found = [name for name in known if test in (name, name.split("/")[0])]
    if not found:
        raise ValueError(f"test must be one of {', '.join(known)}, not {test!r}")
    return found
