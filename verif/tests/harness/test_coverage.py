"""Functional coverage is a function of arrays, tested as one."""

from __future__ import annotations

import numpy as np
import pytest

from amxfp4.params.dot import DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.formats import BF16, FORMATS
from amxfp4.verif.sim.cocotb import coverage
from amxfp4.verif.sim.cocotb_engine import coverage_engine
from amxfp4.verif.sim.cocotb_engine.models_engine import EngineModel

ROW = FORMATS["amxfp4"]


def _arrays(words: list[int], codes: list[int], scales: list[int]) -> dict[str, np.ndarray]:
    return {
        "words": np.resize(np.array(words, np.uint16), (1, ROW.block)),
        "codes": np.resize(np.array(codes, np.uint8), (1, ROW.block)),
        "scales": np.array([scales], np.uint8),
    }


def test_bins() -> None:
    """A block of known content falls into known bins."""
    arrays = _arrays([0x3F80, 0x8000, 0x0001, 0xFF80], [2, 0, 0, 0xF], [0x3C, 0x01])
    counts = coverage.transactions("quantizer", ROW, BF16, arrays)
    assert counts["scale_pos"]["normal"] == counts["scale_neg"]["subnormal"] == 1
    assert counts["word"] == {
        "plus zero": 0, "minus zero": 8, "subnormal": 8, "normal": 8, "infinity": 8, "nan": 0,
    }  # fmt: skip
    assert counts["element_code"]["0xf"] == 8
    assert counts["signs_in_block"]["both"] == 1


def test_holes_are_named() -> None:
    """What was not hit is listed by name, and what cannot be hit is not asked for."""
    arrays = _arrays([0x3F80], [7], [0x3C, 0x3C])
    missed = coverage.holes(coverage.transactions("quantizer", ROW, BF16, arrays))
    assert "word: nan" in missed
    assert "scale_neg: subnormal" in missed
    assert "element_code: 0x7" not in missed
    assert "element_code: 0x8" not in missed
    assert "signs_in_block: positive only" not in missed


def test_merge_closes_holes() -> None:
    """Hits of one run fill the holes of another."""
    total: coverage.Counts = {}
    coverage.merge(total, coverage.handshake("o", idle=0, stalled=3, transfers=4))
    assert coverage.holes(total) == ["o_stream: idle"]
    coverage.merge(total, coverage.handshake("o", idle=1, stalled=0, transfers=4))
    assert coverage.holes(total) == []
    assert total["o_stream"]["transfer"] == 8


@pytest.mark.parametrize("name", FORMATS)
def test_every_bin_can_be_counted(name: str, rng: np.random.Generator) -> None:
    """Every word and every scale falls into a bin."""
    row = FORMATS[name]
    words = np.arange(1 << 16).astype(np.uint16).reshape(-1, row.block)
    assert sum(coverage._word_bins(BF16, words).values()) == 1 << 16
    scale = coverage._scale_bins(row.scale, rng.permutation(np.arange(256, dtype=np.uint8)))
    # The largest finite scale is named on its own and is normal too.
    assert sum(scale.values()) == 256 + scale["largest"]


def test_product_holes_are_named() -> None:
    """Sums of known content: what was hit is counted, what was not is listed by name."""
    codes = np.resize(np.arange(16, dtype=np.uint8), (1, 6, 32))
    scales = np.full((1, 6, 2), 0x3C, np.uint8)
    nan = scales.copy()
    nan[0, 3, 1] = 0x7F
    counts = coverage.products(
        DotConfig(acc="fixed"),
        {"a": (codes, scales), "b": (codes, nan)},
        np.array([1, 3, 2]),
        np.array([0, 0x7FC00000, 0xBF800000], np.uint32),
        np.array([[[False, False]], [[False, False]], [[True, False]]]),
    )
    assert counts["result"] == {"zero": 1, "positive": 0, "negative": 1, "nan": 1}
    assert counts["sum_length"] == {"1": 1, "2": 1, "3": 1, "4 or more": 0}
    assert counts["nan_block"] == {
        "only step": 0, "first step": 0, "step between": 0, "last step": 1,
    }  # fmt: skip
    assert counts["flags"] == {"neither": 2, "inexact": 1, "overflow": 0}
    missed = coverage.holes(counts)
    assert "flags: overflow" in missed
    assert "a_scale_neg: nan" in missed
    assert "b_scale_neg: nan" not in missed
    assert "b_element_code: 0xf" not in missed


def test_unbounded_products_have_more_bins() -> None:
    """Power-of-two scales reach the ends of FP32; bounded ones are not asked to."""
    for name, more in (("mxfp4", True), ("amxfp4", False)):
        bins = coverage._result_bins(
            DotConfig(format_a=name, format_b=name), np.array([1, 0x7F800000], np.uint32)
        )
        assert ("infinity" in bins) == ("subnormal" in bins) == more


def test_engine_holes_are_named(rng: np.random.Generator) -> None:
    """One job hits what it is; what it is not, and what no job is, are holes by name."""
    config = EngineConfig(rows=2, cols=2, lanes=16, block=16, acc="fixed", bytes_c=4)
    total = coverage_engine.empty()
    job = EngineModel(config).job(rng, (3, 2, 16), kind="clean", keep=True)
    coverage.merge(total, coverage_engine.job(config, job))
    assert total["m"] == {
        "one": 0, "whole tiles": 0, "several tiles": 1, "below a tile": 0, "ragged": 1,
    }  # fmt: skip
    assert total["b sent"] == {"each row tile": 0, "kept": 1, "reused": 0}
    assert total["flags of a job"] == {"neither": 1, "inexact": 0, "both": 0}
    assert total["tail of C"] == {"full": 1}
    missed = coverage.holes(total)
    assert "error: a_early" in missed
    assert "soft reset: loading" in missed
    assert "result: nan" in missed
    assert "n: whole tiles" not in missed
