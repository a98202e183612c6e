"""Both units in a row against the paper's reference code, without asking golden."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from amxfp4.golden import formats
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import FORMATS, Ties
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.sim.batch import beats, rotation
from amxfp4.verif.sim.batch.dut import BatchDut

LANES = 4
# Those of the reference code, which has no blocks of 16, and other scales for integers.
CONFIGS = [
    QuantizerConfig(format=name, input=word, ties=ties, lanes=LANES)
    for name, row in FORMATS.items()
    if row.block == 32 and row.element.exponent_bits and name not in ("mxfp4-rceil", "amxfp4-ue5m3")
    for word in ("bf16", "fp32")
    for ties in Ties
]


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(
            c, marks=() if rotation.by_day(c) and c.input == "bf16" else pytest.mark.nightly
        )
        for c in CONFIGS
    ],
    ids=rotation.label,
)
def test_reference_vectors(config: QuantizerConfig) -> None:
    """What leaves the dequantizer is what the reference makes of what entered the quantizer.

    Blocks in which its definitions differ (division by a zero scale, E4M3 beyond 448) are marked
    in the vectors and left out.
    """
    format, word, row = config.format, config.input, config.row
    path = resources.files("amxfp4.verif") / "data" / "vectors" / "reference_public.npz"
    with path.open("rb") as file, np.load(file) as data:
        x, due = data[f"x_{word}"], data[f"{format}|{word}|{config.ties}|y"]
        same = data[f"{format}|{word}|{config.ties}|ok"]
    sent = beats.words_to_beats(formats.words(x, word), LANES)
    records = BatchDut(config).run(sent, len(x)).outputs
    back = BatchDut(DequantizerConfig(format=format, output="fp32", lanes=LANES))
    words = back.run(records, len(x) * back.config.beats).outputs
    values = beats.to_words(words, 32, LANES, row.block).view(np.float32)
    assert same.sum() > 400
    np.testing.assert_array_equal(values[same], due[same])
