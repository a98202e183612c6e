"""Configurations: what they refuse and how they say it, JSON in and out, digests."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxfp4.params.checks import choose
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import (
    BLOCK_SIZES,
    FORMATS,
    INPUTS,
    OUTPUTS,
    Ties,
    block_format,
)
from amxfp4.params.quantizer import MAXIMA, QUANTIZER_PIPELINE, QuantizerConfig
from amxfp4.params.units import UNITS

PIPELINES = ("", "maxima", "record", "maxima,record")
units = pytest.mark.parametrize("unit", UNITS)
blocks = pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != "weight_dequantizer"])
streams = pytest.mark.parametrize("unit", ["quantizer", "dequantizer"])


@st.composite
def _configs(draw):
    block = draw(st.sampled_from([None, *BLOCK_SIZES]))
    fields = {
        "format": draw(st.sampled_from([*FORMATS, "amxfp4-e5m2"])),
        "block": block,
        "lanes": draw(st.sampled_from([None, 1, 2, 4, 8, 16, *([block] if block else [])])),
    }
    if draw(st.booleans()):
        return DequantizerConfig(**fields, output=draw(st.sampled_from(list(OUTPUTS))))
    ties = draw(st.sampled_from([*Ties, *map(str, Ties)]))
    fields |= {"input": draw(st.sampled_from(list(INPUTS))), "ties": ties}
    fields["maxima"] = draw(st.sampled_from(MAXIMA))
    config = QuantizerConfig(**fields)
    if config.beats > 1:
        return config
    return QuantizerConfig(**fields, pipeline=draw(st.sampled_from(PIPELINES)))


@settings(max_examples=200, deadline=None)
@given(_configs())
def test_round_trip(config):
    """What `to_dict` writes, `from_dict` reads; fields are normalised, plain and all present."""
    fields = config.to_dict()
    again = type(config).from_dict(fields)
    assert again == config
    assert (again.digest, hash(again)) == (config.digest, hash(config))
    assert fields["unit"] == config.unit
    assert {type(value) for value in fields.values()} <= {str, int}
    assert config.beats * config.lanes == config.block == config.row.block


@settings(max_examples=200, deadline=None)
@given(_configs(), _configs())
def test_digests_tell_configurations_apart(one, other):
    """Digests are equal exactly when configurations are."""
    assert (one.digest == other.digest) == (one == other)
    assert re.fullmatch("[0-9a-f]{16}", one.digest)


@streams
def test_digest_differs_when_any_field_does(unit):
    """Changing one field, whichever, changes the digest."""
    config = UNITS[unit]()
    others = {
        "format": "mxfp4", "block": 64, "lanes": 16, "input": "fp16", "ties": "RNE",
        "output": "fp32", "maxima": "scan", "second": 1, "pipeline": "record",
    }  # fmt: skip
    names = [field.name for field in dataclasses.fields(config)]
    changed = [dataclasses.replace(config, **{name: others[name]}) for name in names]
    digests = [c.digest for c in (config, *changed)]
    assert len(set(digests)) == len(names) + 1


def test_digest_differs_between_units():
    """The unit is part of the digest."""
    assert QuantizerConfig().digest != DequantizerConfig().digest


@streams
def test_defaults_and_aliases_are_normalised(unit):
    """Equal hardware has equal configurations, however it was asked for."""
    kind = UNITS[unit]
    plain = kind()
    assert (plain.format, plain.block, plain.lanes) == ("amxfp4", 32, 32)
    assert kind(format="amxfp4-e5m2") == kind(block=32) == kind(lanes=32) == plain
    assert kind(format="nvfp4") == kind(format="nvfp4", block=16, lanes=16)
    assert block_format("amxfp4-e5m2") == FORMATS["amxfp4"]
    assert QuantizerConfig(ties=Ties.RNE) == QuantizerConfig(ties="RNE")
    assert type(QuantizerConfig(ties=Ties.RNE).ties) is str


@streams
@pytest.mark.parametrize("format", FORMATS)
def test_init_every_block_and_lanes(unit, format):
    """Every block size with every power of two of lanes up to it is a configuration."""
    for block, shift in itertools.product(BLOCK_SIZES, range(9)):
        lanes = 1 << shift
        if lanes <= block:
            config = UNITS[unit](format=format, block=block, lanes=lanes)
            row = config.row
            assert config.beats == block // lanes
            assert row.record_bits == 4 * block + 8 * row.shared == 8 * row.record_bytes
        else:
            with pytest.raises(ValueError, match="lanes must be"):
                UNITS[unit](format=format, block=block, lanes=lanes)


def _check_wrong(unit, error, message, **fields):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        UNITS[unit](**fields)


@streams
def test_init_wrong_format(unit):
    """An unknown format is named, with those there are; another type is a type error."""
    allowed = ", ".join(FORMATS)
    _check_wrong(unit, ValueError, f"format must be one of {allowed}, not 'fp4'", format="fp4")
    _check_wrong(unit, TypeError, "format must be a string, not 4", format=4)
    _check_wrong(unit, TypeError, "format must be a string, not None", format=None)


@blocks
@pytest.mark.parametrize("block", [0, 8, 24, 256, -32])
def test_init_wrong_block(unit, block):
    """Blocks of other sizes are errors."""
    message = f"block must be one of 16, 32, 64, 128, not {block}"
    _check_wrong(unit, ValueError, message, block=block)


@blocks
@pytest.mark.parametrize("parameter", ["block", "lanes"])
@pytest.mark.parametrize("value", [32.0, "32", True])
def test_init_wrong_integer(unit, parameter, value):
    """Numbers that are no integers are type errors, booleans too."""
    message = f"{parameter} must be an integer, not {value!r}"
    _check_wrong(unit, TypeError, message, **{parameter: value})


@blocks
@pytest.mark.parametrize("lanes", [0, -1, 3, 31, 64])
def test_init_wrong_lanes(unit, lanes):
    """Lanes are a power of two, up to the block."""
    message = f"lanes must be a power of two from 1 to 32 (the block size), not {lanes}"
    _check_wrong(unit, ValueError, message, lanes=lanes)


@pytest.mark.parametrize(
    ("unit", "parameter", "allowed"),
    [
        ("quantizer", "input", INPUTS),
        ("quantizer", "ties", Ties),
        ("quantizer", "maxima", MAXIMA),
        ("quantizer", "pipeline", QUANTIZER_PIPELINE),
        ("dequantizer", "output", OUTPUTS),
    ],
)
def test_init_wrong_choice(unit, parameter, allowed):
    """Words and ties that do not exist are named, with those that do."""
    message = f"{parameter} must be one of {', '.join(allowed)}, not 'rne'"
    _check_wrong(unit, ValueError, message, **{parameter: "rne"})
    _check_wrong(unit, TypeError, f"{parameter} must be a string, not 16", **{parameter: 16})


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_pipeline_is_normalised(pipeline):
    """Names of registers are written once each, in the order of the data path."""
    config = QuantizerConfig(pipeline=pipeline)
    assert config.pipeline == pipeline
    assert config.cuts == set(filter(None, pipeline.split(",")))
    written = ",".join(reversed(pipeline.split(",")))
    assert QuantizerConfig(pipeline=f"{written},,{written}") == config
    assert (config == QuantizerConfig()) == (pipeline == "maxima,record")


@pytest.mark.parametrize("pipeline", ["", "record", "maxima"])
@pytest.mark.parametrize("lanes", [1, 16])
def test_init_wrong_pipeline(pipeline, lanes):
    """A block of several beats waits in every register."""
    message = "pipeline must be maxima,record unless lanes is 32 (the block size)"
    _check_wrong(
        "quantizer", ValueError, f"{message}, not {pipeline!r}", pipeline=pipeline, lanes=lanes
    )
    assert QuantizerConfig(pipeline="record,maxima", lanes=lanes) == QuantizerConfig(lanes=lanes)


@units
def test_from_dict_wrong_fields(unit):
    """Fields of another unit, and fields of none, are errors."""
    kind = UNITS[unit]
    with pytest.raises(ValueError, match=rf"^unit must be '{unit}', not 'adder'$"):
        kind.from_dict({"unit": "adder"})
    known = ", ".join(sorted(field.name for field in dataclasses.fields(kind)))
    message = f"field of {unit} must be one of {known}, not 'depth'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind.from_dict({"depth": 4})
    fields = {"unit": unit, "lanes": 8}
    assert kind.from_dict(fields) == kind(lanes=8)
    assert fields == {"unit": unit, "lanes": 8}


def test_choose():
    """A choice is looked up by name."""
    assert choose("colour", "red", {"red": 1}) == 1
    with pytest.raises(ValueError, match=r"^colour must be one of red, blue, not 'green'$"):
        choose("colour", "green", {"red": 1, "blue": 2})


@units
def test_configurations_are_immutable(unit):
    """A configuration cannot be changed after it was checked."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        UNITS[unit]().lanes = 3
