"""Planted bugs in the quantizer's own source, caught by the checkers that the real tests call.

They are edits made in memory: what is looked for must stand there once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from amxfp4.gen import verilog
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.check import planted
from amxfp4.verif.sim.batch import exhaustive, rotation
from amxfp4.verif.sim.batch.check import Mismatch, check_quantizer
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.batch.randoms import check_random
from amxfp4.verif.sim.batch.timing import TimingError, check_timing

QUANTIZER = QuantizerConfig(lanes=4)
WHOLE = QuantizerConfig(block=16)
SCAN = QuantizerConfig(lanes=4, maxima="scan")
COMBINATIONAL = QuantizerConfig(block=16, pipeline="")
STALLS: dict[str, Any] = {"stall_in": 0.3, "stall_out": 0.3}

BUGS: dict[str, tuple[QuantizerConfig, str, str, str]] = {
    "NaN of an earlier beat forgotten": (
        QUANTIZER, "quantizer", "nans.append(so_far.nan)", "nans.append(C(0, 1))",
    ),
    "NaN of one lane forgotten": (
        WHOLE, "quantizer", "Cat(nans).any()", "Cat(nans)[:-1].any()",
    ),
    "maxima of the block before kept": (
        QUANTIZER, "quantizer", "Mux(buffer.is_last_in, 0, found.as_value())", "found.as_value()",
    ),
    "scales change while their block leaves": (
        QUANTIZER, "quantizer", "with m.If(buffer.is_last_in):", "with m.If(1):",
    ),
    "record of a part": (QUANTIZER, "quantizer", "leaving.valid & is_last)", "leaving.valid)"),
    "record overwritten": (
        WHOLE, "quantizer", "eq(~self.o.valid | self.o.ready)", "eq(1)",
    ),
    "elements of a NaN block": (
        QUANTIZER, "quantizer", "element.nan.eq(whole.nan)", "element.nan.eq(0)",
    ),
    "no record ever waits for its sink": (
        COMBINATIONAL, "quantizer", "leaving.ready.eq(self.o.ready)", "leaving.ready.eq(1)",
    ),
    "earlier beats not compared": (
        QUANTIZER, "quantizer_maxima", "[*values, self.so_far[n].as_value()]", "values",
    ),
    "loser of a pair goes on": (
        WHOLE, "quantizer_maxima", "flag & ~goes_on[0] for", "flag for",
    ),
    "winner of a pair of two signs stays": (
        WHOLE, "quantizer_maxima", "(first_wins | ~ours[-1])", "first_wins",
    ),
    "candidates never dropped": (SCAN, "arith", "c & (b | ~largest)", "c"),
    "all candidates dropped": (SCAN, "arith", "c & (b | ~largest)", "c & b"),
    "block leaves before it is whole": (
        QUANTIZER, "quantizer_buffer", "with m.If(self.is_last_in):", "with m.If(1):",
    ),
    "block follows itself": (
        QUANTIZER, "quantizer_buffer", "self.o.valid.eq(0)", "self.o.valid.eq(1)",
    ),
    "next block overtakes": (
        QUANTIZER, "quantizer_buffer", "| (place_in != place_out)", "| 1",
    ),
    "beats refused are written": (
        QUANTIZER, "quantizer_buffer", "write.en.eq(enters)", "write.en.eq(self.i.valid)",
    ),
    "only beat replaced before it left": (
        WHOLE, "quantizer_buffer", "enters):\n                m.d.sync += held",
        "1):\n                m.d.sync += held",
    ),
    "small words left in the window": (
        QUANTIZER, "quantizer_key", "If(~above & ~beyond.all())", "If(C(0, 1))",
    ),
    "large words left in the window": (
        QUANTIZER, "quantizer_key", "If(above & beyond.any())", "If(C(0, 1))",
    ),
    "small words made zero": (
        QUANTIZER, "quantizer_key", "return is_small, field[end:-1]", "return is_small, C(0, 0)",
    ),
    "dropped fraction of small words lost": (
        QUANTIZER, "quantizer_key", "Cat(dropped, moved).any()", "moved.any()",
    ),
    "saturation one binade late": (
        QUANTIZER, "quantizer_element", "a >= keys.saturated", "a > keys.saturated",
    ),
}  # fmt: skip


def run_checks(dut: BatchDut, rng: np.random.Generator, seed: int) -> None:
    """Run what the real tests run, in little: random blocks, stalls, every maximum, alone too."""
    check_random(dut, rng, 2_000)
    check_random(dut, rng, 2_000, seed=seed, **STALLS)
    pos, neg = exhaustive.maxima(rng, dut.config)
    check_quantizer(dut, exhaustive.mix(rng, pos, neg, dut.config))
    check_quantizer(dut, exhaustive.alone(rng, dut.config))


@pytest.mark.parametrize("config", [QUANTIZER, WHOLE, SCAN, COMBINATIONAL], ids=rotation.label)
def test_wrapper_alone_passes(rng: np.random.Generator, seed: int, config: QuantizerConfig) -> None:
    """Without a bug everything passes: what is caught below is the bug."""
    run_checks(BatchDut(planted.wrapped(config, {})), rng, seed)


@pytest.mark.parametrize("bug", BUGS)
def test_bug_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, seed: int, bug: str
) -> None:
    """What is wrong in keys, maxima, scan, buffer or record is found."""
    config, module, old, new = BUGS[bug]
    planted.bug(monkeypatch, module, old, new)
    dut = BatchDut(verilog.generate(config))
    with pytest.raises((ContractError, Mismatch)):
        run_checks(dut, rng, seed)


def test_bug_in_throughput_is_caught(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, seed: int
) -> None:
    """A buffer that is empty before it takes the next block gives right records, too late."""
    planted.bug(monkeypatch, "quantizer_buffer", "| leaves | (place_in != place_out)", "")
    dut = BatchDut(verilog.generate(QUANTIZER))
    run_checks(dut, rng, seed)
    with pytest.raises(TimingError):
        check_timing(dut, rng)
