"""Configuration of the dequantizer of weights, and the line that leads to it."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest

from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import FORMATS
from amxfp4.params.weight_dequantizer import WEIGHT_OUTPUTS, WeightDequantizerConfig
from amxfp4.params.weights import WEIGHT_FORMATS

LANES = "lanes must be one of 1, 2, 4, 8, 16, 32, 64, 128"


@pytest.mark.parametrize("format", WEIGHT_FORMATS)
def test_every_configuration(format):
    """Every format with every output and every number of lanes; all have digests of their own."""
    configs = [
        WeightDequantizerConfig(format=format, output=output, lanes=1 << n)
        for output, n in itertools.product(WEIGHT_OUTPUTS, range(8))
    ]
    assert len({config.digest for config in configs}) == len(configs)
    for config in configs:
        assert WeightDequantizerConfig.from_dict(config.to_dict()) == config
        assert config.beats * config.lanes == config.row.block == 128
        sides = 2 if format.startswith("afpq") else 1
        assert config.row.record_bits == 8 * config.row.record_bytes
        assert config.row.record_bits == 128 * int(format[-1]) + 16 * sides
        assert config.word.width == 16


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"lanes": 3}, ValueError, f"{LANES}, not 3"),
        ({"lanes": 256}, ValueError, f"{LANES}, not 256"),
        ({"lanes": 0}, ValueError, f"{LANES}, not 0"),
        ({"lanes": None}, TypeError, "lanes must be an integer, not None"),
        ({"lanes": True}, TypeError, "lanes must be an integer, not True"),
        ({"output": "fp32"}, ValueError, "output must be one of fp16, bf16, not 'fp32'"),
        ({"format": 4}, TypeError, "format must be a string, not 4"),
        (
            {"format": "amxfp4"}, ValueError,
            f"format must be one of {', '.join(WEIGHT_FORMATS)}, not 'amxfp4'",
        ),
    ],
)  # fmt: skip
def test_init_wrong_fields(fields, error, message):
    """Errors name the parameter, what it may be, and what it is."""
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        WeightDequantizerConfig(**fields)
    with pytest.raises(TypeError):
        dataclasses.replace(WeightDequantizerConfig(), block=128)


@pytest.mark.parametrize("format", WEIGHT_FORMATS)
def test_the_other_dequantizer_names_this_one(format):
    message = (
        f"format must be one of {', '.join(FORMATS)}, not {format!r}: "
        "weight_dequantizer takes weight formats"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DequantizerConfig(format=format)
