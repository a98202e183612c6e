"""The widest arrays: how many rows fit beside so many columns, and what is said of one more."""

import re

import pytest

from amxfp4.params.array import WIDEST, ArrayConfig
from amxfp4.params.units import UNITS

LONG = {"cols": 64, "output": "bf16", "block": 128}
"""Small results of the longest blocks."""


@pytest.mark.parametrize(
    ("unit", "most", "what", "limit", "fields"),
    [
        ("array", 45, "results", 65_536, {"cols": 45}),
        ("array", 32, "results", 65_536, {"cols": 64}),
        ("array", 30, "results", 65_536, {"cols": 64, "acc": "fixed"}),
        ("array", 56, "results", 65_536, {"cols": 64, "acc": "fixed", "output": "bf16"}),
        ("array", 60, "blocks of a step", 65_536, LONG),
        ("array", 61, "blocks of a step", 65_536, LONG | {"format_b": "nvfp4"}),
        ("engine", 31, "results", 65_504, {"cols": 64}),
        ("engine", 63, "results", 65_504, {"cols": 64, "output": "bf16"}),
        ("engine", 60, "blocks of a step", 65_536, LONG),
        ("engine_uart", 31, "results", 65_504, {"cols": 64}),
    ],
)
def test_init_wrong_width(unit, most, what, limit, fields):
    """No port of an array has more bits than Verilog promises, and in an engine a few less."""
    assert UNITS[unit](rows=most, **fields).rows == most
    message = (
        f"rows must be from 1 to {most} with cols = {fields['cols']}, as all {what} are one port "
        f"of at most {limit} bits, not {most + 1}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        UNITS[unit](rows=most + 1, **fields)


@pytest.mark.parametrize("fields", [{"cols": 32}, {"cols": 64, "output": "bf16"}])
def test_widest_array(fields):
    """A port may have all the bits that it can have."""
    config = ArrayConfig(rows=64, **fields)
    assert config.rows * config.cols * config.result_bits == WIDEST
