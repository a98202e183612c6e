# amaranth: UnusedElaboratable=no
"""The maxima of a beat against NumPy: by tree and by scan, of one sign and of both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator

from amxfp4.params.quantizer import MAXIMA, QuantizerConfig
from amxfp4.rtl.quantizer import maxima as quantizer_maxima
from amxfp4.rtl.quantizer.key import KeyFormat
from amxfp4.synth.experiments.quantizer_ideas import IDEAS
from amxfp4.verif.check import planted

FORMATS = {"symmetric": "mxfp4-e5m2", "asymmetric": "amxfp4", "zero point": "int4-asym"}
SIZES = [(1, 32), (2, 32), (4, 32), (16, 16)]
"""Lanes and block: one beat and several."""
LARGE = [(32, 32), (32, 64)]
"""Four times the work of 16 lanes, for one more level of the same tree."""
every_size = pytest.mark.parametrize(
    ("lanes", "block"),
    [*SIZES, *(pytest.param(*size, marks=pytest.mark.nightly) for size in LARGE)],
)


def _config(kind: str, lanes: int, block: int, maxima: str) -> QuantizerConfig:
    return QuantizerConfig(format=FORMATS[kind], lanes=lanes, block=block, maxima=maxima)


def _word(numbers: npt.NDArray[np.int64], width: int) -> int:
    return sum(int(number) << width * n for n, number in enumerate(numbers))


def _found(config, magnitudes, negative, so_far, build=None) -> npt.NDArray[np.int64]:
    """Maxima that the component finds, [cases, sides]."""
    keys = KeyFormat(config)
    width = keys.magnitude_layout.size
    component = quantizer_maxima.Maxima(keys) if build is None else build(config)
    found = []

    async def testbench(ctx):
        for beat, before in zip(magnitudes + (negative << width), so_far, strict=True):
            ctx.set(Value.cast(component.keys), _word(beat, width + 1))
            if config.beats > 1:
                ctx.set(Value.cast(component.so_far), _word(before, width))
            word = ctx.get(Value.cast(component.maxima))
            found.append([word >> width * n & (1 << width) - 1 for n in range(keys.sides)])

    simulator = Simulator(component)
    simulator.add_testbench(testbench)
    simulator.run()
    return np.array(found)


def _cases(rng, config):
    """Magnitudes and signs [cases, lanes], maxima before them [cases, sides]."""
    lanes, sides = config.lanes, KeyFormat(config).sides
    top = (1 << KeyFormat(config).magnitude_layout.size) - 1
    drawn = rng.integers(0, top + 1, (25, lanes))
    few = rng.integers(0, 3, (25, lanes))  # ties and zeros
    one = np.concatenate([np.eye(lanes, dtype=np.int64) * size for size in (1, top)])
    magnitudes = np.concatenate([drawn, few, drawn[:10] | 1 << 6, one, 0 * one, 0 * one + top])
    count = len(magnitudes)
    signs = [rng.integers(0, 2, (count, lanes))]
    signs += [np.full((count, lanes), sign) for sign in (0, 1)]
    signs += [np.broadcast_to(np.arange(lanes) % 2 == odd, (count, lanes)) for odd in (0, 1)]
    before = [rng.integers(0, top + 1, (count, sides)), rng.integers(0, 3, (count, sides))]
    before += [np.zeros((count, sides), np.int64)] * 3
    every = np.tile(magnitudes, (len(signs), 1)), np.concatenate(signs), np.concatenate(before)
    return [part.astype(np.int64) for part in every]


def _check(rng, config, build=None) -> None:
    """Compare with NumPy, and see to it that every lane and what came before was the largest."""
    magnitudes, negative, so_far = _cases(rng, config)
    found = _found(config, magnitudes, negative, so_far, build)
    sides = KeyFormat(config).sides
    for n in range(sides):
        ours = negative == n if sides > 1 else np.ones_like(negative, bool)
        mine = np.where(ours, magnitudes, 0)
        expected = mine.max(axis=1)
        for lane in range(config.lanes):
            others = np.delete(mine, lane, axis=1).max(axis=1, initial=0)
            assert (mine[:, lane] > others).any()
        assert (expected == 0).any()
        if config.beats > 1:
            assert (so_far[:, n] > expected).any()
            assert (so_far[:, n] < expected).any()
            expected = np.maximum(expected, so_far[:, n])
        assert (found[:, n] == expected).all()


@pytest.mark.by_day(3)
@pytest.mark.parametrize("maxima", MAXIMA)
@pytest.mark.parametrize("kind", FORMATS)
@every_size
def test_sim_maxima(rng, kind, lanes, block, maxima):
    """Random, small, equal, single and zero magnitudes of random, equal and alternating signs."""
    _check(rng, _config(kind, lanes, block, maxima))


@pytest.mark.by_day(3)
@pytest.mark.parametrize("idea", IDEAS)
@every_size
def test_sim_ideas(rng, lanes, block, idea):
    """What was tried and lost finds the same maxima; with one sign it says that it cannot."""
    _check(rng, _config("asymmetric", lanes, block, "tree"), IDEAS[idea])
    with pytest.raises(ValueError, match="asymmetric for this idea, not mxfp4-e5m2"):
        IDEAS[idea](_config("symmetric", lanes, block, "tree"))


def test_so_far_is_there_when_a_block_takes_several_beats():
    """What came before is a port only where something can."""
    for lanes, block in SIZES:
        keys = KeyFormat(_config("asymmetric", lanes, block, "tree"))
        ports = quantizer_maxima.Maxima(keys).signature.members
        assert ("so_far" in ports) == (lanes < block)


@pytest.mark.parametrize("maxima", MAXIMA)
@pytest.mark.parametrize(
    ("old", "new"),
    [("sign == n", "sign != n"),
     ("ours[0] & (first_wins | ~ours[-1])", "ours[0] & first_wins"),
     ("ours[0] & (first_wins | ~ours[-1])", "ours[0]"),
     ("flag & ~goes_on[0] for", "flag for"),
     ("first_wins.eq(magnitudes[pair[0]] >= magn", "first_wins.eq(magnitudes[pair[0]] + 2 >= magn"),
     ("reduce(or_, chosen)", "chosen[0]"),
     ("[*values, self.so_far[n].as_value()]", "values"),
     ("self.so_far[n].as_value()", "self.so_far[0].as_value()")],
)  # fmt: skip
def test_checks_find_planted_bugs(rng, monkeypatch, maxima, old, new):
    """Signs swapped, a loser that goes on, a winner that does not, a forgotten beat: all found."""
    planted.bug(monkeypatch, "quantizer.maxima", old, new)
    with pytest.raises(AssertionError):
        _check(rng, _config("asymmetric", 4, 32, maxima))
