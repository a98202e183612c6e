# amaranth: UnusedElaboratable=no
"""The quantizer as a stream: golden's records, at full speed, under stalls and after a reset."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.gen.config import QuantizerConfig
from amxfp4.golden import stimulus
from amxfp4.golden.formats import values
from amxfp4.rtl.quantizer import Quantizer


def _blocks(rng, config, count):
    """Beats of words, and the records that golden makes of them."""
    words = stimulus.blocks(rng, count, config.row.block, config.input)
    with np.errstate(invalid="ignore"):
        x = values(words, config.input)
    blocks = golden.quantize(x, config.format, ties=config.ties, block=config.block)
    beats = words.reshape(count * config.beats, config.lanes)
    raw = golden.pack(blocks).reshape(count, -1)
    return [[int.from_bytes(row.tobytes(), "little") for row in rows] for rows in (beats, raw)]


@pytest.mark.parametrize(
    ("format", "block", "lanes", "input", "ties"),
    [("amxfp4", 32, 8, "bf16", "RNA"), ("nvfp4", 16, 16, "fp16", "RNE"),
     ("mxfp4", 16, 1, "fp32", "RNA"), ("amxfp4-pot-roundup", 64, 32, "fp16", "RNE")],
)  # fmt: skip
def test_sim_stream(rng, run_stream, format, block, lanes, input, ties):
    """Blocks become golden's records: at one beat per cycle after `latency`, and under stalls."""
    config = QuantizerConfig(format=format, block=block, lanes=lanes, input=input, ties=ties)
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


@pytest.mark.parametrize("when", range(0, 20, 3))
def test_sim_reset_in_flight(rng, run_stream, when):
    """After a reset at any point of a block, the next word is the first of a new block."""
    config = QuantizerConfig(lanes=8)
    beats, records = _blocks(rng, config, 5)
    # A reset in a block's middle leaves nothing of it: send that much, then whole blocks.
    traffic = run_stream(
        lambda: Quantizer(config), beats[:when] + beats, cycles=100,
        offer=lambda cycle: cycle != when, reset=lambda cycle: cycle == when,
    )  # fmt: skip
    assert traffic.resets == 1
    assert traffic.given[-len(records) :] == records
