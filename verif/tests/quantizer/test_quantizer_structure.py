# amaranth: UnusedElaboratable=no
"""The quantizer as a stream: golden's records, at full speed, under stalls and after a reset."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import stimulus
from amxfp4.golden.formats import values
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.quantizer.quantizer import Quantizer


def _blocks(rng, config, count):
    """Beats of words, and the records that golden makes of them."""
    words = stimulus.blocks(rng, count, config.row.block, config.input)
    with np.errstate(invalid="ignore"):
        x = values(words, config.input)
    blocks = golden.quantize(x, config.format, ties=config.ties, block=config.block)
    beats = words.reshape(count * config.beats, config.lanes)
    raw = golden.pack(blocks).reshape(count, -1)
    return [[int.from_bytes(row.tobytes(), "little") for row in rows] for rows in (beats, raw)]


def _label(config) -> str:
    return "-".join(str(value) for value in config.to_dict().values())


@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    "config",
    [QuantizerConfig(lanes=8),
     QuantizerConfig(format="nvfp4", input="fp16", ties="RNE"),
     QuantizerConfig(format="mxfp4", block=16, lanes=1, input="fp32", maxima="scan"),
     QuantizerConfig(format="amxfp4-pot-roundup", block=128, lanes=16, input="fp16", ties="RNE"),
     QuantizerConfig(block=16, maxima="scan", pipeline=""),
     QuantizerConfig(block=16, maxima="scan", pipeline="maxima"),
     QuantizerConfig(format="mxfp4", block=16, pipeline="record")],
    ids=_label,
)  # fmt: skip
def test_sim_stream(rng, run_stream, config):
    """Blocks become golden's records: at one beat per cycle after `latency`, and under stalls."""
    beats, records = _blocks(rng, config, 6)
    cycles = len(beats) * 4 + 100
    traffic = run_stream(lambda: Quantizer(config), beats, cycles=len(beats) + 40)
    assert traffic.given == records
    assert traffic.taken_at == list(range(len(beats)))
    last = np.arange(1, len(records) + 1) * config.beats - 1
    assert traffic.given_at == list(last + Quantizer(config).latency)

    stalls = rng.random((2, cycles)) < 0.6
    stalled = run_stream(
        lambda: Quantizer(config), beats, cycles=cycles,
        offer=lambda cycle: stalls[0, cycle], accept=lambda cycle: stalls[1, cycle],
    )  # fmt: skip
    assert stalled.given == records


@pytest.mark.parametrize(
    ("lanes", "pipeline", "latency"),
    [(32, "", 0), (32, "maxima", 1), (32, "record", 1), (32, "maxima,record", 2),
     (16, "maxima,record", 3), (4, "maxima,record", 9), (1, "maxima,record", 33)],
)  # fmt: skip
def test_latency(lanes, pipeline, latency):
    """A cycle for the maxima and, for the record, one for every beat of a block."""
    assert Quantizer(QuantizerConfig(lanes=lanes, pipeline=pipeline)).latency == latency


@pytest.mark.by_day(3)
@pytest.mark.parametrize(
    ("lanes", "pipeline", "when"),
    [
        *((4, "maxima,record", when) for when in range(0, 20, 3)),
        # A block of one beat has no middle.
        *((16, pipeline, when) for pipeline in ("maxima", "record") for when in (0, 3)),
    ],
)
def test_sim_reset_in_flight(rng, run_stream, lanes, pipeline, when):
    """After a reset at any point of a block, the next word is the first of a new block."""
    config = QuantizerConfig(block=16, lanes=lanes, pipeline=pipeline)
    beats, records = _blocks(rng, config, 20 // config.beats)
    # A reset in a block's middle leaves nothing of it: send that much, then whole blocks.
    traffic = run_stream(
        lambda: Quantizer(config), beats[:when] + beats, cycles=100,
        offer=lambda cycle: cycle != when, reset=lambda cycle: cycle == when,
    )  # fmt: skip
    assert traffic.resets == 1
    assert traffic.given[-len(records) :] == records
