"""Ways to run hardware in Amaranth's simulator: as a function of arrays, and between streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.hdl import Module, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

from amxfp4.golden.formats import element_thresholds, scale_thresholds, values
from amxfp4.params.formats import FORMATS, FP32, INPUTS, Ties
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.rtl.quantizer import key as quantizer_key
from amxfp4.rtl.quantizer.key import KeyFormat

COPIES = 8
"""Components side by side: one step of the simulator evaluates all of them; more cost more to
build than they save."""
LANE = 32
"""Bits set aside for a port of one copy, so that NumPy packs and unpacks whole words."""


def _evaluate(
    build: Callable[[], wiring.Component], *, copies: int = COPIES, **inputs: Any
) -> dict[str, npt.NDArray[Any]]:
    arrays = {name: np.asarray(array, np.uint32) for name, array in inputs.items()}
    count = len(next(iter(arrays.values())))
    m = Module()
    wide: dict[str, Signal] = {}
    outputs = []
    for n in range(copies):
        m.submodules[f"copy_{n}"] = component = build()
        for path, member, port in component.signature.flatten(component):
            name, bits = "__".join(map(str, path)), Value.cast(port)
            assert len(bits) <= LANE
            if not len(bits):
                continue  # there only with other formats
            lane = wide.setdefault(name, Signal(LANE * copies, name=name))[LANE * n :][: len(bits)]
            if member.flow == wiring.In:
                m.d.comb += bits.eq(lane)
            else:
                m.d.comb += lane.eq(bits)
                outputs += [name] if n == 0 else []
    assert set(arrays) | set(outputs) == set(wide)
    results: dict[str, list[bytes]] = {name: [] for name in outputs}

    async def testbench(ctx):
        for start in range(0, count, copies):
            for name, array in arrays.items():
                part = array[start : start + copies].tobytes()
                ctx.set(wide[name], int.from_bytes(part, "little"))
            for name in outputs:
                word = ctx.get(wide[name])
                results[name].append(word.to_bytes(copies * LANE // 8, "little"))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return {n: np.frombuffer(b"".join(r), np.uint32)[:count] for n, r in results.items()}


@pytest.fixture(scope="session")
def evaluate():
    """Give the function from arrays of inputs (up to 32 bits each) to a component's outputs."""
    return _evaluate


@dataclass(frozen=True)
class Keys:
    """Magnitudes of input words, in increasing order, and what the decoder makes of them."""

    format: KeyFormat
    ties: Ties
    words: npt.NDArray[np.int64]
    patterns: npt.NDArray[np.int64]
    """The same magnitudes as FP32 bit patterns."""
    keys: npt.NDArray[np.int64]
    nan: npt.NDArray[np.bool_]
    """Where the decoder says that the word makes its block NaN."""

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """What the words stand for."""
        with np.errstate(invalid="ignore"):  # signalling NaN
            return self.patterns.astype(np.uint32).view(np.float32).astype(np.float64)

    @property
    def exponent(self) -> npt.NDArray[np.int64]:
        """Exponents of the keys."""
        return self.keys >> self.format.fraction_bits

    @property
    def fraction(self) -> npt.NDArray[np.int64]:
        """Fractions of the keys."""
        return self.keys & ((1 << self.format.fraction_bits) - 1)

    @property
    def is_finite(self) -> npt.NDArray[np.bool_]:
        """Where the word is finite."""
        return self.words <= self.format.word.max_magnitude

    @property
    def is_ordered(self) -> npt.NDArray[np.bool_]:
        """Where the word is a number that decisions are about: with infinity, if it saturates."""
        infinite = self.words == self.format.word.inf_magnitude
        return self.is_finite | (infinite & (not self.format.infinity_is_nan))


def _patterns(words: npt.NDArray[np.int64], word: str) -> npt.NDArray[np.int64]:
    raw = words.astype(np.uint32) if word == "fp32" else words.astype(np.uint16)
    return values(raw, word).view(np.uint32).astype(np.int64)


def boundaries(config: QuantizerConfig) -> npt.NDArray[np.int64]:
    """FP32 bit patterns at which golden decides anything for finite words."""
    ties = Ties(config.ties)
    steps = [scale_thresholds(config.row, ties), element_thresholds(config.row, ties)]
    found = np.unique(np.concatenate([s.ravel() for s in steps])).astype(np.int64)
    return found[found <= FP32.max_magnitude]


def _fp32_words(config: QuantizerConfig) -> npt.NDArray[np.int64]:
    """Words on and around every decision, and around the ends of every binade."""
    around = np.array([-1, 0, 1])
    binades = np.arange(1 << FP32.exponent_bits) << FP32.mantissa_bits
    subnormal = 1 << np.arange(FP32.mantissa_bits)
    nan = FP32.max_magnitude + 1 + subnormal
    places = np.concatenate([boundaries(config), binades, subnormal, nan])
    words = (places[:, None] + around).ravel()
    return np.unique(words[(words >= 0) & (words < 1 << 31)])


@cache
def _tabulate(format: str, word: str, ties: str) -> Keys:
    config = QuantizerConfig(format=format, input=word, ties=ties)
    # By way of the module: tests plant bugs there.
    keys = quantizer_key.KeyFormat(config)
    words = _fp32_words(config) if word == "fp32" else np.arange(1 << 15)
    decoded = _evaluate(lambda: quantizer_key.KeyDecoder(keys), word=words)
    key, nan = decoded["key"].astype(np.int64), decoded["nan"].astype(bool)
    return Keys(keys, Ties(ties), words, _patterns(words, word), key, nan)


@pytest.fixture(scope="session")
def tabulate():
    """Give the keys of all magnitudes of a 16-bit word, and of those that matter of FP32."""
    return _tabulate


@pytest.fixture(scope="session")
def decisions():
    """Give the bit patterns of all of golden's decisions for a configuration."""
    return boundaries


REPRESENTATIVES = {
    (FORMATS[name].scale.name, FORMATS[name].scale_rule): name for name in reversed(FORMATS)
    if not FORMATS[name].zero_point
} | {("e5m2", "integers"): "int4"}  # fmt: skip
"""One format for every way to choose a scale: symmetry and block size do not reach the parts.

With integers one way is enough; those with a zero point choose from two maxima, and have tests of
their own. Where errors are compared keys are longer, and the first scale is that of NVFP4.
"""


def _by_day(kind: int, word: int, ties: int) -> bool:
    """Whether a kind of format meets an input and a tie rule by day: two kinds one of each."""
    if list(REPRESENTATIVES.values())[kind] in ("int4", "nvfp4-46"):
        return (word, ties) == (0, 1)
    return (kind + word + ties) % 2 == 0


every_kind = pytest.mark.parametrize(
    ("format", "word", "ties"),
    [
        pytest.param(f, w, str(t), marks=() if _by_day(i, j, k) else pytest.mark.nightly)
        for i, f in enumerate(REPRESENTATIVES.values())
        for j, w in enumerate(INPUTS)
        for k, t in enumerate(Ties)
    ],
)
"""Run a test of the quantizer's parts on every kind of format, every input and both ties; by day on
half of them, in which every two of the three meet."""


@dataclass
class Traffic:
    """What a stream component took and gave, cycle by cycle."""

    taken: list[int] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    taken_at: list[int] = field(default_factory=list)
    given_at: list[int] = field(default_factory=list)
    most_inside: int = 0
    resets: int = 0


def _stream(
    build: Callable[[], wiring.Component],
    payloads: list[int],
    *,
    offer: Callable[[int], bool] = lambda cycle: True,
    accept: Callable[[int], bool] = lambda cycle: True,
    reset: Callable[[int], bool] = lambda cycle: False,
    cycles: int = 1000,
) -> Traffic:
    component = build()
    clear = Signal()
    traffic = Traffic()
    i, o = component.i, component.o
    entry, leaving = Value.cast(i.payload), Value.cast(o.payload)

    async def testbench(ctx):
        waiting = list(reversed(payloads))
        offered = False
        held: int | None = None
        for cycle in range(cycles):
            offered = bool(waiting) and (offered or bool(offer(cycle)))
            ready, clearing = bool(accept(cycle)), bool(reset(cycle))
            ctx.set(i.valid, offered)
            ctx.set(entry, waiting[-1] if offered else 0)
            ctx.set(clear, clearing)
            seen = []
            for state in (not ready, ready):
                ctx.set(o.ready, state)
                seen.append((ctx.get(o.valid), ctx.get(leaving)))
            assert seen[0] == seen[1], "valid or payload depends on ready"
            valid, payload = seen[1]
            if held is not None:
                assert valid, "valid is withdrawn"
                assert payload == held, "payload changes before it is taken"
            takes = offered and ctx.get(i.ready)
            held = payload if valid and not ready else None
            if clearing:
                # What enters or leaves in the cycle of a reset is of no concern to anyone.
                traffic.taken = traffic.taken[: len(traffic.given)]
                traffic.resets, offered, held = traffic.resets + 1, False, None
            else:
                if takes:
                    traffic.taken.append(waiting.pop())
                    traffic.taken_at.append(cycle)
                    offered = False
                if valid and ready:
                    traffic.given.append(payload)
                    traffic.given_at.append(cycle)
                inside = len(traffic.taken) - len(traffic.given)
                traffic.most_inside = max(traffic.most_inside, inside)
            await ctx.tick()

    simulator = Simulator(ResetInserter(clear)(component))
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return traffic


@pytest.fixture(scope="session")
def run_stream():
    """Send payloads through a component with one stream in and one out, and check the contract."""
    return _stream
