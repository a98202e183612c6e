"""Planted bugs that the batch harness must catch, by the very functions the real tests call."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from amxfp4.gen import verilog
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.lib.formats import Threshold
from amxfp4.rtl.quantizer import key as quantizer_key
from amxfp4.verif.check import planted
from amxfp4.verif.sim.batch import check, exhaustive, rotation
from amxfp4.verif.sim.batch.check import Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.batch.randoms import check_random, check_resets
from amxfp4.verif.sim.batch.timing import TimingError, check_timing
from amxfp4.verif.sim.sources import source
from amxfp4.verif.tests.harness.faulty import QUANTIZER, faulty

BOTH = pytest.mark.parametrize("unit", ["quantizer", "dequantizer"])
STALLS = {"stall_in": 0.3, "stall_out": 0.3, "seed": 1}
RESETS = STALLS | {"reset_chance": 0.05}
COUNT = 2_000


def awake(unit: str, fault: str) -> BatchDut:
    """Wake one of the faults of a unit."""
    made = faulty(unit)
    return BatchDut(made, plusarg=made.wake(fault))


@BOTH
def test_nothing_is_caught_while_bugs_sleep(rng: np.random.Generator, unit: str) -> None:
    """What is caught below is the fault that is awake."""
    dut = BatchDut(faulty(unit))
    settings: tuple[dict[str, Any], ...] = ({}, STALLS, RESETS)
    for options in settings:
        assert check_random(dut, rng, COUNT, **options).count == COUNT
    assert check_resets(dut, rng, seed=1) >= 100
    check_timing(dut, rng)


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
@BOTH
def test_contract_fault_is_caught(
    rng: np.random.Generator, unit: str, fault: str, options: dict[str, Any], found: str
) -> None:
    """Every way to break the stream contract has its own message."""
    dut = awake(unit, fault)
    if fault == "beat taken twice" and unit == "quantizer":
        # Part of a block more: only the drain may show it.
        with pytest.raises((ContractError, Mismatch)):
            check_random(dut, rng, COUNT, **options)
        return
    with pytest.raises(ContractError, match=found):
        check_random(dut, rng, COUNT, **options)


@BOTH
def test_dropped_beat_is_caught(rng: np.random.Generator, unit: str) -> None:
    """A beat that vanishes leaves the batch short of an output."""
    with pytest.raises(ContractError, match="a beat was dropped"):
        check_random(awake(unit, "beat dropped"), rng, COUNT)


@BOTH
def test_bubble_is_caught(rng: np.random.Generator, unit: str) -> None:
    """One cycle lost in sixty-four is not full throughput."""
    dut = awake(unit, "bubble")
    assert check_random(dut, rng, COUNT).count == COUNT  # the numbers are right
    with pytest.raises(TimingError):
        check_timing(dut, rng)


@BOTH
def test_wrong_latency_is_caught(rng: np.random.Generator, unit: str) -> None:
    """A manifest that is one cycle off is not believed."""
    made = faulty(unit)
    wrong = planted.with_manifest(made, latency=made.manifest["latency"] + 1)
    with pytest.raises(TimingError, match="first_out must be"):
        check_timing(BatchDut(wrong), rng)


@BOTH
def test_missing_resets_are_caught(rng: np.random.Generator, seed: int, unit: str) -> None:
    """Each register that is reset needs its reset: stale state spoils what comes after."""
    resets = [name for name in faulty(unit).names if name.startswith("reset ")]
    assert len(resets) >= 3
    for reset in resets:
        with pytest.raises((ContractError, Mismatch)):
            check_resets(awake(unit, reset), rng, seed)


# By day on units that the tests of numbers build, too.
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, marks=() if rotation.by_day(config) else pytest.mark.nightly)
        for config in (
            QuantizerConfig(format=format, lanes=4, ties=ties)
            for format in ("amxfp4", "amxfp4-e4m3", "mxfp4")
            for ties in ("RNA", "RNE")
        )
    ],
    ids=rotation.label,
)
def test_other_tie_rule_is_caught(rng: np.random.Generator, config: QuantizerConfig) -> None:
    """Hardware of one tie rule against golden of the other: ties occur and differ."""
    other = {"RNA": "RNE", "RNE": "RNA"}[config.ties]
    made = source(config)
    with pytest.raises(Mismatch, match=r"<- differs"):
        check_random(BatchDut(planted.with_manifest(made, ties=other)), rng, COUNT)


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


# Widths follow from the decisions, so that each of these is a unit of its own. By day one of
# either kind moves, one up and one down; at night each moves both ways.
@pytest.mark.parametrize(
    ("which", "moved", "direction"),
    [
        pytest.param(
            *decision, way,
            marks=() if (n, way) == (9, -1) else pytest.mark.nightly,
        )
        for n, decision in enumerate(DECISIONS)
        for way in (1, -1)
    ],
    ids=str,
)  # fmt: skip
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
    dut = BatchDut(verilog.generate(QUANTIZER), optimize=False)
    if which == "scale_thresholds":
        blocks = exhaustive.mix(rng, *exhaustive.maxima(rng, QUANTIZER), QUANTIZER)
    else:
        blocks, _ = exhaustive.companions(rng, QUANTIZER)
    with pytest.raises(Mismatch):
        check.check_quantizer(dut, blocks)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("scale of the other sign", r"scale_pos.*<- differs"),
        ("element by the scale of the other sign", r"element .*<- differs"),
        ("NaN of the positive scale only", r"scale_(pos|neg).*<- differs"),
        ("NaN of the negative scale only", r"scale_(pos|neg).*<- differs"),
        ("NaN as infinity", r"scale_pos.*0x7f"),
    ],
)
def test_quantizer_scale_fault_is_caught(rng: np.random.Generator, fault: str, found: str) -> None:
    """Scales exchanged, or a NaN that does not reach both of them; the report says where."""
    with pytest.raises(Mismatch, match=found):
        check_random(awake("quantizer", fault), rng, COUNT)


@pytest.mark.parametrize(
    "fault",
    [
        "scales swapped", "one NaN code taken as finite", "scale's sign bit not ignored",
        "smallest scale flushed", "negative zero",
    ],
)  # fmt: skip
def test_dequantizer_fault_is_caught(rng: np.random.Generator, fault: str) -> None:
    """Scale codes read wrongly: by sign, as NaN, with a sign of their own, as subnormal; -0."""
    with pytest.raises(Mismatch, match="<- differs"):
        check_random(awake("dequantizer", fault), rng, COUNT)


def test_report_names_the_block(rng: np.random.Generator) -> None:
    """The first wrong block is described: what went in, what was due, what came out."""
    with pytest.raises(Mismatch) as caught:
        check_random(awake("quantizer", "one bit of one record"), rng, COUNT, seed=5)
    error = caught.value
    differing = np.flatnonzero(error.expected != error.got)
    assert differing.tolist() == [0]
    assert len(error.sent) == QUANTIZER.block
    assert f"block {error.block}" in str(error)
    assert "seed=5" in str(error)
    assert str(error).count("<- differs") == 1
