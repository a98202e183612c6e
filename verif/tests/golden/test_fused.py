"""Sums as tensor cores make them: a published model's words, fractions, and what must not pass."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import formats, reference, stimulus
from amxfp4.golden.products import fused
from amxfp4.golden.rounding import round_to_fp32
from amxfp4.params.formats import FORMATS, FP32, OUTPUTS, block_format
from amxfp4.params.fused import PRESETS, FusedStep, fused_step
from amxfp4.verif.tests.golden.oracle import DATA, blocks_of, exact_blocks

STARTS = (0, 0x80000000, 0x00000001, 0x3F800000, 0xC2F70000, 0x7F7FFFFF, 0x7F800000, 0xFF800000,
          0x7FC00000, 0x80800001)  # fmt: skip
"""Words that sums begin with: zeros, subnormals, ordinary numbers, the largest, specials."""


@pytest.fixture(scope="module")
def vectors() -> Any:
    return np.load(DATA / "vectors" / "blackwell_public.npz")


def _published(vectors: Any, kind: str, steps: int) -> tuple[golden.Blocks, golden.Blocks]:
    block, count = FORMATS[kind].block, 64 * steps

    def side(name: str) -> golden.Blocks:
        codes = vectors[f"{kind}|{name}_codes"][:, :count].reshape(320, -1, block)
        scales = vectors[f"{kind}|{name}_scales"][:, : count // block]
        return golden.Blocks(codes, scales, None, kind, (320, count))

    return side("a"), side("b")


@pytest.mark.parametrize("kind", ["mxfp4", "nvfp4"])
def test_published_model_of_a_tensor_core(vectors: Any, kind: str) -> None:
    """Every word of every step of every family, from any word."""
    start = vectors[f"{kind}|c_start"].view(np.float32)
    for steps in range(1, 7):
        found = golden.dot(*_published(vectors, kind, steps), acc="fused", c=start)
        assert np.array_equal(found.view(np.uint32), vectors[f"{kind}|c_steps"][:, steps - 1])
    # One step at a time is the same: nothing but the word is kept between steps.
    a, b = _published(vectors, kind, 6)
    total = start
    for first in range(0, a.codes.shape[1], 64 // a.block):
        part = np.s_[:, first : first + 64 // a.block]
        x, y = (
            golden.Blocks(o.codes[part], o.scale_pos[part], None, kind, (320, 64)) for o in (a, b)
        )
        total = golden.dot(x, y, acc="fused", preset="blackwell", c=total)
    assert np.array_equal(total.view(np.uint32), vectors[f"{kind}|c_steps"][:, -1])


def _check(a: golden.Blocks, b: golden.Blocks, how: FusedStep, start: Any, out: str) -> int:
    """Compare a matrix product with fractions; return how many results that were."""
    found = golden.matmul(
        a, b, "fused", out, step=how.step, group=how.group, window=how.window,
        rounding=how.rounding, c=start,
    )  # fmt: skip
    words = formats.words(found, out)
    left, right, n = exact_blocks(a), exact_blocks(b), a.codes.shape[1]
    for i, j in np.ndindex(found.shape):
        first = reference.word_value(int(start.view(np.uint32)[i, j]), FP32)
        rows = left[i * n : i * n + n], right[j * n : j * n + n]
        *_, wanted = reference.fused_sums(*rows, (a.row, b.row), how, first)
        if wanted != wanted:
            expected = fused.NAN if out == "fp32" else 0x7FC0
        else:
            expected = reference.round_to_word(wanted, OUTPUTS[out])
        assert words[i, j] == expected, (a.format, b.format, how, out, i, j)
    return found.size


STEPS = [
    *PRESETS.values(),
    FusedStep(step=16, group=16, window=24, rounding="RNE"),
    FusedStep(step=32, group=8, window=3),
    FusedStep(step=48, group=16, window=60, rounding="RNE"),
    FusedStep(step=4, group=4, window=0),
    FusedStep(step=128, group=16, window="exact"),
]
HARDWARE = list(
    {(r.scale.name, r.scales, r.element.name): r.name for r in FORMATS.values()}.values()
)


@pytest.mark.by_day(3)
@pytest.mark.parametrize("how", STEPS, ids=lambda h: f"{h.step}-{h.group}-{h.window}-{h.rounding}")
@pytest.mark.parametrize("format_a", HARDWARE)
def test_fractions(rng: np.random.Generator, format_a: str, how: FusedStep) -> None:
    """Any format beside any other, records of every kind, some NaN, from any word."""
    n = HARDWARE.index(format_a)
    format_b = HARDWARE[(n + STEPS.index(how)) % len(HARDWARE)]
    a, b = (
        blocks_of(stimulus.records(rng, 4 * 5, block_format(name, 16), nan=0.01), name, 4)
        for name in (format_a, format_b)
    )
    start = np.resize(np.array(STARTS, np.uint32), (4, 4)).view(np.float32)
    assert _check(a, b, how, start, ("fp32", "bf16")[n % 2]) == 16


def test_exact_window_in_one_step_is_exact_mode(rng: np.random.Generator) -> None:
    """A step as long as the sum, from +0, rounded to nearest: what `exact` returns."""
    spread = np.exp2(rng.integers(-10, 10, (64, 3))).repeat(32, axis=1)
    x = (rng.standard_normal((64, 96)) * spread).astype(np.float32)
    for name in ("amxfp4", "nvfp4", "int4"):
        a, b = golden.quantize(x[:32], name), golden.quantize(x[32:], name)
        one = golden.matmul(a, b, "fused", step=96, window="exact", rounding="RNE")
        assert np.array_equal(one, golden.matmul(a, b))
    a, b = golden.quantize(x[:32], "amxfp4"), golden.quantize(x[32:], "amxfp4")
    assert not np.array_equal(golden.matmul(a, b, "fused"), golden.matmul(a, b))


def test_what_decides_an_exponent() -> None:
    """Products that cancel hold the window up; a zero scale and zero elements do not."""
    codes = np.zeros((1, 4, 16), np.uint8)
    codes[0, 0, :2] = 2, 10  # 1 and -1, which cancel
    codes[0, 1, 0] = 2  # 1, times 2^-6
    ones = np.where(codes > 0, np.uint8(2), codes)

    def result(codes: Any, scale: int) -> float:
        """Return the sum in a window of 2 bits; the other side's first scale is 448, too."""
        small, large = np.full((2, 1, 4), 0x38, np.uint8)
        small[0, :2], large[0, 0] = (scale, 0x08), 0x7E
        a = golden.Blocks(codes, small, None, "nvfp4", (1, 64))
        b = golden.Blocks(ones, large, None, "nvfp4", (1, 64))
        return float(golden.dot(a, b, "fused", step=64, group=16, window=2)[0])

    alone = codes.copy()
    alone[0, 0] = 0
    assert result(codes, 0x7E) == 0
    assert result(alone, 0x7E) == 2.0**-6
    # By its exponent alone a scale of zero, a subnormal, would hold 2^-6 * 2^8 up.
    assert result(codes, 0x00) == 2.0**-6
    assert result(codes, 0x01) == 0


def test_exponent_of_zero() -> None:
    """It holds the window up where all others are lower still: 2^-148 is below 2^(-139 - 8)."""
    how: dict[str, Any] = {"step": 32, "group": 16, "window": 8}
    codes = np.zeros((1, 1, 32), np.uint8)
    codes[0, 0, 0] = 2
    small = golden.Blocks(codes, np.array([[127 - 100]], np.uint8), None, "mxfp4", (1, 32))
    for other, wanted in ((-47, 2.0**-147), (-48, 0.0)):
        b = golden.Blocks(codes, np.array([[127 + other]], np.uint8), None, "mxfp4", (1, 32))
        assert golden.dot(small, b, "fused", **how)[0] == wanted
        # Alone in a step, without a sum so far below it, nothing holds the window up but zeros.
        assert _check(small, b, FusedStep(**how), np.zeros((1, 1), np.float32), "fp32") == 1


def test_planted_bugs_are_found(
    vectors: Any, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """What the published words and fractions must not let pass."""
    cases = [
        (
            _published(vectors, kind, 6),
            vectors[f"{kind}|c_start"],
            vectors[f"{kind}|c_steps"][:, -1],
        )
        for kind in ("mxfp4", "nvfp4")
    ]

    def differs(**options: Any) -> bool:
        def words(a: golden.Blocks, b: golden.Blocks, start: Any) -> Any:
            found: Any = golden.dot(a, b, acc="fused", c=start.view(np.float32), **options)
            return found.view(np.uint32)

        return any((words(*both, start) != wanted).any() for both, start, wanted in cases)

    assert not differs()
    bugs: dict[str, tuple[Any, str, Any]] = {
        "zeros have an exponent as others": (fused, "ZERO_EXPONENT", 30),
        "the sum so far is one binade up": (
            fused, "_exponent_of", lambda x, f=fused._exponent_of: f(x) + 1
        ),
        "results are rounded to nearest": (
            fused, "_round", lambda x, _: round_to_fp32(x) + 0.0
        ),
    }  # fmt: skip
    for what, (module, name, value) in bugs.items():
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert differs(), what
    for option in ({"window": 34}, {"group": 8}, {"step": 32}, {"rounding": "RNE"}):
        assert differs(**option), option


WRONG = [
    ({"step": 24}, ValueError, "step must be a multiple of group, 16, not 24"),
    ({"step": 0}, ValueError, "step must be from 1 to 1024, not 0"),
    ({"group": 64}, ValueError, "group must divide the block of 32 elements, not 64"),
    ({"group": 2.0}, TypeError, r"group must be an integer, not 2\.0"),
    ({"window": -1}, ValueError, "window must be from 0 to 128, not -1"),
    ({"window": "all"}, ValueError, "window must be exact or from 0 to 128, not 'all'"),
    ({"rounding": "RNA"}, ValueError, "rounding must be one of RZ, RNE, not 'RNA'"),
    ({"preset": "hopper"}, ValueError, "preset must be one of blackwell, mxdotp, not 'hopper'"),
    ({"preset": "mxdotp", "step": 32}, ValueError, "step must be None beside preset='mxdotp'"),
    ({"c": np.zeros((2, 3), np.float64)}, TypeError, "c must be "),
    ({"c": np.zeros((3, 2), np.float32)}, ValueError, r"c must be of shape \(2,.*not \(3, 2\)"),
    ({"frac_bits": 3}, ValueError, "frac_bits must be None unless acc is fixed, not 3"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_wrong_parameters(options: Any, error: Any, message: str) -> None:
    b = golden.quantize(np.ones((2, 64), np.float32))
    for call in (golden.matmul, golden.dot):
        with pytest.raises(error, match=message):
            call(b, b, "fused", **options)
    with pytest.raises(ValueError, match="step must be None unless acc is fused, not 64"):
        golden.matmul(b, b, "exact", step=64)


def test_presets_are_what_their_parameters_say() -> None:
    assert fused_step() == fused_step("blackwell") == FusedStep()
    assert fused_step(window="exact", rounding="RNE", step=32) == PRESETS["mxdotp"]
    x = golden.quantize(np.ones((1, 32), np.float32), "mxfp4")
    assert golden.matmul(x, x, "fused", preset="mxdotp")[0, 0] == Fraction(32)
