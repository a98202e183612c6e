"""Configuration of the engine behind a serial line: what is allowed, and what is said otherwise."""

import dataclasses
import re

import pytest

from amxfp4.params.engine import EngineConfig
from amxfp4.params.serial import PAYLOADS, EngineUartConfig
from amxfp4.params.units import UNITS


def test_registered():
    """The unit is there by name, and its configuration survives JSON."""
    assert UNITS["engine_uart"] is EngineUartConfig
    config = EngineUartConfig(rows=2, baud=115_200, payload=64)
    assert EngineUartConfig.from_dict(config.to_dict()) == config
    assert config.unit == "engine_uart"
    assert config.digest != EngineConfig(rows=2).digest


def test_defaults():
    """Those of docs/units/bridge.md."""
    config = EngineUartConfig()
    assert (config.clock, config.baud, config.payload) == (25_000_000, 1_000_000, 256)
    assert config.divisor == 25


@pytest.mark.parametrize(
    ("clock", "baud", "divisor"),
    [
        (1_000_000, 9_600, 104), (12_000_000, 115_200, 104), (25_000_000, 115_200, 217),
        (48_000_000, 12_000_000, 4), (500_000_000, 9_600, 52_083), (25_000_000, 3_000_000, 8)
    ],
)  # fmt: skip
def test_divisor(clock, baud, divisor):
    """The divisor is the nearest integer."""
    if abs(clock / divisor / baud - 1) <= 0.02:
        assert EngineUartConfig(clock=clock, baud=baud).divisor == divisor
    else:
        with pytest.raises(ValueError, match="baud must be within 2 %"):
            EngineUartConfig(clock=clock, baud=baud)


def test_error_of_two_per_cent():
    """Two per cent is allowed, and what is just above is not, on either side."""
    EngineUartConfig(clock=1_020_000, baud=100_000)
    EngineUartConfig(clock=980_000 * 2, baud=200_000)
    for clock in (1_020_001, 979_999 * 2):
        baud = 100_000 if clock < 1_500_000 else 200_000
        with pytest.raises(ValueError, match=r"^baud must be within 2 % of the clock over an"):
            EngineUartConfig(clock=clock, baud=baud)


SIZES = ", ".join(map(str, PAYLOADS))
OFF = (
    "baud must be within 2 % of the clock over an integer, 25000000 Hz / 5 being 5000000, "
    "not 5400000"
)


@pytest.mark.parametrize(
    ("error", "message", "fields"),
    [
        (ValueError, "clock must be from 1000000 to 500000000, not 999999", {"clock": 999_999}),
        (ValueError, "clock must be from 1000000 to 500000000, not 500000001",
         {"clock": 500_000_001}),
        (TypeError, "clock must be an integer, not 25000000.0", {"clock": 25e6}),
        (ValueError, "baud must be from 9600 to 12000000, not 9599", {"baud": 9_599}),
        (ValueError, "baud must be from 9600 to 12000000, not 12000001", {"baud": 12_000_001}),
        (TypeError, "baud must be an integer, not True", {"baud": True}),
        (ValueError, f"payload must be one of {SIZES}, not 100", {"payload": 100}),
        (TypeError, "payload must be an integer, not '64'", {"payload": "64"}),
        (ValueError,
         "payload must be at least 2 more than the widest stream's 64 bytes, not 64",
         {"payload": 64, "bytes_c": 64}),
        (ValueError,
         "baud must be at most a quarter of the clock, 6250000 of 25000000 Hz, not 12000000",
         {"baud": 12_000_000}),
        (ValueError, OFF, {"baud": 5_400_000}),
        (ValueError, "rows must be from 1 to 64, not 0", {"rows": 0}),
    ],
)  # fmt: skip
def test_wrong(error, message, fields):
    """Bad values are named, with what is allowed."""
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        EngineUartConfig(**fields)


def test_digest_differs_when_any_field_of_the_line_does():
    """Changing one field, whichever, changes the digest."""
    plain = EngineUartConfig()
    others = {"clock": 26_000_000, "baud": 500_000, "payload": 128}
    digests = {dataclasses.replace(plain, **{n: v}).digest for n, v in others.items()}
    assert len(digests | {plain.digest}) == 4
