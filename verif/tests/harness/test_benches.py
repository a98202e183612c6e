"""The table of testbenches names what exists."""

from __future__ import annotations

import pytest

from amxfp4.params.units import UNITS
from amxfp4.verif.sim import benches


def test_every_unit_has_a_testbench() -> None:
    """Every unit is simulated by `make sim`, with tests that exist."""
    assert list(benches.CONFIGS) == list(benches.FIRST_LOOK) == list(UNITS)
    for unit, chosen in benches.FIRST_LOOK.items():
        assert set(chosen or ()) <= set(benches.names(unit))


def test_select() -> None:
    """A name stands for one test, or for all that differ in parameters only."""
    assert benches.select("engine", "shapes") == ["shapes"]
    assert benches.select("engine", "faults/name=a_late") == ["faults/name=a_late"]
    assert len(benches.select("engine", "faults")) == 6
    assert len(benches.select("engine_uart", "pins")) == len(benches.names("engine_uart"))


@pytest.mark.parametrize("wrong", ["shape", "faults/name=none", "", "FAULTS", ".*"])
def test_select_refuses(wrong: str) -> None:
    """A name that is none is an error that lists those that are."""
    with pytest.raises(ValueError, match=rf"test must be one of reset_values, .*, not {wrong!r}"):
        benches.select("engine", wrong)
