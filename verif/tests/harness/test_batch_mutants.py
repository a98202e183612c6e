"""Planted bugs that the batch harness must catch, by the very functions the real tests call."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from amxfp4.gen import verilog
from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.lib.formats import Threshold
from amxfp4.rtl.quantizer import key as quantizer_key
from amxfp4.verif.check import planted
from amxfp4.verif.sim.batch import check, exhaustive
from amxfp4.verif.sim.batch.check import Checked, Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError, Generated
from amxfp4.verif.sim.batch.randoms import check_random, check_resets
from amxfp4.verif.sim.batch.timing import TimingError, check_timing

QUANTIZER = QuantizerConfig(lanes=4)
DEQUANTIZER = DequantizerConfig(lanes=4)
BOTH: list[UnitConfig] = [QUANTIZER, DEQUANTIZER]
STALLS = {"stall_in": 0.3, "stall_out": 0.3, "seed": 1}
RESETS = STALLS | {"reset_chance": 0.05}


def run_checks(unit: Generated, rng: np.random.Generator, **options: Any) -> Checked:
    """Run what the random tests run."""
    return check_random(BatchDut(unit), rng, 2_000, **options)


@pytest.mark.parametrize("config", BOTH, ids=lambda c: c.unit)
def test_wrapper_alone_passes(rng: np.random.Generator, config: UnitConfig) -> None:
    """Without a fault the wrapper changes nothing: what is caught below is the fault."""
    unit = planted.wrapped(config, {})
    for options in ({}, STALLS, RESETS):
        assert run_checks(unit, rng, **options).count == 2_000
    assert check_resets(BatchDut(unit), rng, seed=1) >= 100
    check_timing(BatchDut(unit), rng)


@pytest.mark.parametrize(
    ("fault", "options", "found"),
    [
        ("payload changes under stall", STALLS, "o__payload changed"),
        ("valid falls under stall", STALLS, "o__valid fell"),
        ("valid depends on ready", STALLS, "o__valid depends on o__ready"),
        ("payload depends on ready", STALLS, "o__payload depends on o__ready"),
        ("output survives reset", RESETS, "o__valid is up after a reset"),
        ("beat taken twice", {}, "more outputs than the inputs account for"),
        ("stuck", {}, "stuck or a beat was dropped"),
    ],
)
@pytest.mark.parametrize("config", BOTH, ids=lambda c: c.unit)
def test_contract_fault_is_caught(
    rng: np.random.Generator, config: UnitConfig, fault: str, options: dict[str, Any], found: str
) -> None:
    """Every way to break the stream contract has its own message."""
    unit = planted.wrapped(config, planted.WRAPPERS[fault])
    if fault == "beat taken twice" and config is QUANTIZER:
        found = "stuck|more outputs"  # part of a block more: only the drain may show it
        with pytest.raises((ContractError, Mismatch)):
            run_checks(unit, rng, **options)
        return
    with pytest.raises(ContractError, match=found):
        run_checks(unit, rng, **options)


@pytest.mark.parametrize("config", BOTH, ids=lambda c: c.unit)
def test_dropped_beat_is_caught(rng: np.random.Generator, config: UnitConfig) -> None:
    """A beat that vanishes leaves the batch short of an output."""
    unit = planted.wrapped(config, planted.WRAPPERS["beat dropped"])
    with pytest.raises(ContractError, match="a beat was dropped"):
        run_checks(unit, rng)


@pytest.mark.parametrize("config", BOTH, ids=lambda c: c.unit)
def test_bubble_is_caught(rng: np.random.Generator, config: UnitConfig) -> None:
    """One cycle lost in sixty-four is not full throughput."""
    unit = planted.wrapped(config, planted.WRAPPERS["bubble"])
    assert run_checks(unit, rng).count == 2_000  # the numbers are right
    with pytest.raises(TimingError):
        check_timing(BatchDut(unit), rng)


@pytest.mark.parametrize("config", BOTH, ids=lambda c: c.unit)
def test_wrong_latency_is_caught(rng: np.random.Generator, config: UnitConfig) -> None:
    """A manifest that is one cycle off is not believed."""
    unit = planted.wrapped(config, {})
    wrong = planted.with_manifest(unit, latency=unit.manifest["latency"] + 1)
    with pytest.raises(TimingError, match="first_out must be"):
        check_timing(BatchDut(wrong), rng)


@pytest.mark.parametrize("config", BOTH, ids=lambda c: c.unit)
def test_missing_resets_are_caught(rng: np.random.Generator, seed: int, config: UnitConfig) -> None:
    """Each register that is reset needs its reset: stale state spoils what comes after."""
    count = planted.resets(config)
    assert count >= 3
    for index in range(count):
        unit = planted.without_reset(config, index)
        with pytest.raises((ContractError, Mismatch)):
            check_resets(BatchDut(unit), rng, seed)


@pytest.mark.parametrize("built", ["RNA", "RNE"])
@pytest.mark.parametrize("format", ["amxfp4", "amxfp4-e4m3", "mxfp4"])
def test_other_tie_rule_is_caught(rng: np.random.Generator, format: str, built: str) -> None:
    """Hardware of one tie rule against golden of the other: ties are hit, and told apart."""
    other = {"RNA": "RNE", "RNE": "RNA"}[built]
    config = QuantizerConfig(format=format, lanes=4, ties=built)
    unit = planted.with_manifest(planted.wrapped(config, {}), ties=other)
    with pytest.raises(Mismatch, match=r"<- differs"):
        run_checks(unit, rng)


def _moved(function: Callable[..., list[Threshold]], which: slice, by: Fraction) -> Any:
    def mutant(*args: Any) -> list[Threshold]:
        steps = list(function(*args))
        steps[which] = [Threshold(t.value * (1 + by), t.strict) for t in steps[which]]
        return steps

    return mutant


# E5M2 has four scales in a binade, and hardware that decides alike in all of them: one decision
# is moved in every binade. The subnormal scales and the last one are decided on their own.
SCALE_STEPS = [slice(1, 2), slice(2, 3), *(slice(4 + n, None, 4) for n in range(4))]
ELEMENT_STEPS = [slice(n, n + 1) for n in range(7)]


DECISIONS = [
    *(("scale_thresholds", steps) for steps in SCALE_STEPS),
    *(("element_thresholds", steps) for steps in ELEMENT_STEPS),
]


# By day every decision moves, one up and the next one down; at night each moves both ways.
@pytest.mark.parametrize(
    ("which", "moved", "direction"),
    [
        pytest.param(*decision, way, marks=() if way == (-1) ** n else pytest.mark.nightly)
        for n, decision in enumerate(DECISIONS)
        for way in (1, -1)
    ],
    ids=str,
)
def test_threshold_off_by_one_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
    which: str,
    moved: slice,
    direction: int,
) -> None:
    """A decision moved by one unit in the last place of BF16 is found by the exhaustive tests."""
    ulp = Fraction(direction, 1 << QUANTIZER.word.mantissa_bits)
    monkeypatch.setattr(quantizer_key, which, _moved(getattr(quantizer_key, which), moved, ulp))
    dut = BatchDut(verilog.generate(QUANTIZER))
    if which == "scale_thresholds":
        blocks = exhaustive.mix(rng, *exhaustive.maxima(rng, QUANTIZER), QUANTIZER)
    else:
        blocks, _ = exhaustive.companions(rng, QUANTIZER)
    with pytest.raises(Mismatch):
        check.check_quantizer(dut, blocks)


def test_scale_of_wrong_sign_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """The positive scale from the negative elements, and the other way round."""
    planted.bug(monkeypatch, "quantizer_maxima", "sign == n", "sign != n")
    with pytest.raises(Mismatch, match=r"scale_pos.*<- differs"):
        run_checks(verilog.generate(QUANTIZER), rng)


def test_element_scale_of_wrong_sign_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """The scales are right, but a lane takes the one of the other sign."""
    planted.bug(monkeypatch, "quantizer", "scales[-1], scales[0]", "scales[0], scales[-1]")
    with pytest.raises(Mismatch, match=r"element .*<- differs"):
        run_checks(verilog.generate(QUANTIZER), rng)


@pytest.mark.parametrize("side", [0, 1])
def test_nan_of_one_sign_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, side: int
) -> None:
    """A NaN makes both scales NaN: here it reaches one of them only."""
    new = f"chooser.nan.eq(whole.nan & (n == {side}))"
    planted.bug(monkeypatch, "quantizer", "chooser.nan.eq(whole.nan)", new)
    with pytest.raises(Mismatch, match=r"scale_(pos|neg).*<- differs"):
        run_checks(verilog.generate(QUANTIZER), rng)


def test_nan_as_infinity_is_caught(rng: np.random.Generator) -> None:
    """A NaN taken for an infinity: the largest scale in place of NaN."""
    word, lanes = QUANTIZER.word, QUANTIZER.lanes
    assert lanes is not None
    top = word.width - 2
    declarations = f"""
  reg [{word.width * lanes - 1}:0] quiet;
  integer j;
  always @(*) for (j = 0; j < {lanes}; j = j + 1) begin
    quiet[{word.width}*j +: {word.width}] = i__payload[{word.width}*j +: {word.width}];
    if (&i__payload[{word.width}*j+{word.mantissa_bits} +: {top - word.mantissa_bits + 1}])
      quiet[{word.width}*j +: {word.mantissa_bits}] = 0;
  end"""
    unit = planted.wrapped(QUANTIZER, {"x__payload": "quiet"}, declarations=declarations)
    with pytest.raises(Mismatch, match=r"scale_pos.*0x7f"):
        run_checks(unit, rng)


def _field(config: Any, number: int) -> str:
    start = config.row.element.width * config.row.block + config.row.scale.width * number
    return f"i__payload[{start} +: {config.row.scale.width}]"


@pytest.mark.parametrize(
    ("fault", "positive", "negative"),
    [
        ("scales swapped", "{neg}", "{pos}"),
        ("one NaN code taken as finite", "{pos} == 8'h7c ? 8'h7b : {pos}", "{neg}"),
        ("scale's sign bit not ignored", "{pos}", "{neg}[7] ? 8'h00 : {neg}"),
        ("smallest scale flushed", "{pos} == 8'h01 ? 8'h00 : {pos}", "{neg}"),
    ],
)
def test_dequantizer_scale_fault_is_caught(
    rng: np.random.Generator, fault: str, positive: str, negative: str
) -> None:
    """Scale codes read wrongly: by sign, as NaN, with a sign of their own, as subnormal."""
    names = {"pos": _field(DEQUANTIZER, 0), "neg": _field(DEQUANTIZER, 1)}
    negative = negative.replace("{neg}[7]", f"i__payload[{DEQUANTIZER.row.record_bits - 1}]")
    codes = f"i__payload[{DEQUANTIZER.row.element.width * DEQUANTIZER.row.block - 1}:0]"
    new = f"{{({negative.format(**names)}), ({positive.format(**names)}), {codes}}}"
    unit = planted.wrapped(DEQUANTIZER, {"x__payload": new})
    with pytest.raises(Mismatch, match="<- differs"):
        run_checks(unit, rng)


def test_negative_zero_is_caught(rng: np.random.Generator) -> None:
    """A zero is +0: here the first lane writes -0."""
    width = DEQUANTIZER.word.width
    spoiled = f"y__payload ^ ((y__payload[{width - 1}:0] == 0) << {width - 1})"
    unit = planted.wrapped(DEQUANTIZER, {"o__payload": spoiled})
    with pytest.raises(Mismatch, match="<- differs"):
        run_checks(unit, rng)


def test_report_names_the_block(rng: np.random.Generator) -> None:
    """The first wrong block is described: what went in, what was due, what came out."""
    unit = planted.wrapped(QUANTIZER, {"o__payload": "y__payload ^ (n[31:3] == 100)"})
    with pytest.raises(Mismatch) as caught:
        run_checks(unit, rng, seed=5)
    error = caught.value
    differing = np.flatnonzero(error.expected != error.got)
    assert differing.tolist() == [0]
    assert len(error.sent) == QUANTIZER.block
    assert f"block {error.block}" in str(error)
    assert "seed=5" in str(error)
    assert str(error).count("<- differs") == 1
