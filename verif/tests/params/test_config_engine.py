"""The engine's configuration: what it is made of, and what it refuses."""

import dataclasses
import re

import pytest

from amxfp4.params.array import ArrayConfig
from amxfp4.params.engine import DEPTHS, STREAM_BYTES, EngineConfig
from amxfp4.params.formats import FORMATS, INPUTS
from amxfp4.params.units import UNITS


def test_is_a_unit():
    assert UNITS["engine"] is EngineConfig
    config = EngineConfig(rows=2, cols=16, requantize="nvfp4", depth_b=8)
    assert EngineConfig.from_dict(config.to_dict()) == config
    assert config.digest != ArrayConfig(rows=2, cols=16).digest


def test_digest_differs_when_any_field_does():
    config = EngineConfig()
    others = {
        "input": "records", "ties": "RNE", "requantize": "mxfp4", "depth_a": 2, "depth_b": 2,
        "bytes_a": 4, "bytes_b": 4, "bytes_c": 4, "rows": 1,
    }  # fmt: skip
    changed = [dataclasses.replace(config, **{name: value}) for name, value in others.items()]
    assert len({c.digest for c in (config, *changed)}) == len(others) + 1


def test_parts():
    """The array's configuration, and those of both quantizers."""
    config = EngineConfig(
        rows=2, cols=4, lanes=8, format_a="mxfp4-e5m2", requantize="nvfp4", ties="RNE",
        output="bf16", acc="fixed", frac_bits=9, bytes_a=16,
    )  # fmt: skip
    assert config.array == ArrayConfig(
        rows=2, cols=4, lanes=8, format_a="mxfp4-e5m2", output="bf16", acc="fixed", frac_bits=9
    )
    a, c = config.quantizer, config.requantizer
    assert (a.format, a.block, a.lanes, a.input, a.ties) == ("mxfp4-e5m2", 32, 8, "bf16", "RNE")
    assert (c.format, c.block, c.lanes, c.input, c.ties) == ("nvfp4", 32, 4, "bf16", "RNE")
    assert config.row_c.record_bytes == 17
    assert EngineConfig(input="records").quantizer is None
    assert EngineConfig().requantizer is None
    assert EngineConfig().row_c is None


@pytest.mark.parametrize(("bytes_a", "word", "lanes"), [
    (4, "fp32", 1), (4, "bf16", 2), (64, "bf16", 16), (32, "fp32", 8), (32, "fp16", 16),
])  # fmt: skip
def test_lanes_of_a(bytes_a, word, lanes):
    """A beat's words, but no more than a block has."""
    assert EngineConfig(bytes_a=bytes_a, input=word, block=16).quantizer.lanes == lanes


def test_largest_k():
    """The smaller memory limits it; the shortest exact accumulator, 4096 blocks, never does."""
    assert EngineConfig(depth_a=4, depth_b=64, block=128).largest_k == 512
    assert EngineConfig(depth_a=64, depth_b=4, block=128).largest_k == 512
    assert max(DEPTHS) <= 4096
    with pytest.raises(ValueError, match="max_blocks must be from 4096"):
        EngineConfig(max_blocks=4095)


@pytest.mark.parametrize(("error", "message", "fields"), [
    (ValueError, f"input must be one of {', '.join([*INPUTS, 'records'])}, not 'fp8'",
     {"input": "fp8"}),
    (ValueError, "ties must be one of RNA, RNE, not 'up'", {"ties": "up"}),
    (ValueError, f"requantize must be one of none, {', '.join(FORMATS)}, not 'fp4'",
     {"requantize": "fp4"}),
    (TypeError, "requantize must be a string, not None", {"requantize": None}),
    (ValueError, "cols must divide the block size 32 to requantize, not 3",
     {"requantize": "mxfp4", "cols": 3}),
    (ValueError, "cols must divide the block size 16 to requantize, not 32",
     {"requantize": "mxfp4", "cols": 32, "block": 16}),
    (ValueError, f"depth_a must be one of {', '.join(map(str, DEPTHS))}, not 3", {"depth_a": 3}),
    (TypeError, "depth_b must be an integer, not '4'", {"depth_b": "4"}),
    *((ValueError, f"bytes_{s} must be one of {', '.join(map(str, STREAM_BYTES))}, not {n}",
       {f"bytes_{s}": n}) for s in "abc" for n in (0, 2, 128)),
    (ValueError, "rows must be from 1 to 64, not 0", {"rows": 0}),
])  # fmt: skip
def test_init_wrong(error, message, fields):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        EngineConfig(**fields)
