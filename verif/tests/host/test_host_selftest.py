"""The selftest: passes on a right engine; each of its checks fails on one that is wrong there."""

import re

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import Blocks
from amxfp4.host import LineError, bench
from amxfp4.host.selftest import checks, run
from amxfp4.host.selftest.cases import directed, random_case
from amxfp4.params.engine import EngineConfig
from amxfp4.params.registers import OFFSETS, mask
from amxfp4.verif.sim.line import model_engine
from amxfp4.verif.sim.line.model_bridge import ModelBridge, Noise
from amxfp4.verif.sim.line.model_engine import ModelEngine
from amxfp4.verif.tests.host.configs import CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_passes(name, connect):
    engine = connect(ModelBridge(EngineConfig(**CONFIGS[name])))
    totals = run.run(engine, seed=3, count=3)
    assert totals.passed, totals.failure
    assert totals.checks == 11
    assert totals.products >= 3 + 11 + 16


def test_passes_in_noise(bridge, connect):
    engine = connect(bridge, attempts=30, out=Noise(0.002, 1), back=Noise(0.002, 2))
    assert run.run(engine, seed=3, count=3).passed
    assert engine.transport.statistics()["retries"] > 10


def test_one_wrong_bit_is_shown(bridge, connect, monkeypatch):
    """With the case, the place, both patterns, and how to see it again."""
    engine = connect(bridge)
    right = model_engine.expected

    def wrong(config, a, b):
        c, flags = right(config, a, b)
        if (b.shape[1], a.shape[1]) == (n, k):
            c.view(np.uint32)[-1, -1] ^= 1
        return c, flags

    index = next(i for i in range(1, 99) if random_case(engine.identity, 7, i).shape[1] == 1)
    m, n, k = random_case(engine.identity, 7, index).shape
    monkeypatch.setattr(model_engine, "expected", wrong)
    totals = run.run(engine, seed=7, first=1)
    assert not totals.passed
    assert totals.products >= index - 1
    found = re.fullmatch(
        rf"random case {index} of seed 7 \(\w+\): M = {m}, N = 1, K = {k}: (.*)", totals.failure
    )
    assert "elements of C differ, the first is C[" in found[1]
    assert "expected 0x" in found[1]
    assert found[1].endswith(f"; repeat it with --seed 7 --first {index}")
    totals = run.run(engine, seed=7, first=index, count=1)
    assert totals.failure == found[0]


def test_records_that_differ_are_shown(connect, monkeypatch):
    engine = connect(ModelBridge(EngineConfig(**CONFIGS["requantized"])))
    right = model_engine.expected

    def wrong(config, a, b):
        c, flags = right(config, a, b)
        assert isinstance(c, Blocks)
        raw = golden.pack(c)
        raw[0, 0, 3] ^= 0x10
        return golden.unpack(raw, c.format, c.shape, axis=1, block=c.block), flags

    monkeypatch.setattr(model_engine, "expected", wrong)
    totals = run.run(engine, seed=7, count=1, inject=False)
    assert "bytes of records of C differ, the first is C[0][0][3]: expected 0x" in totals.failure


def test_missing_flag_is_seen(connect, monkeypatch):
    engine = connect(ModelBridge(EngineConfig(**CONFIGS["fixed"])))
    right = ModelEngine._raise
    monkeypatch.setattr(
        ModelEngine, "_raise", lambda self, name: name == "acc_overflow" or right(self, name)
    )
    totals = run.run(engine, seed=7, count=50, inject=False)
    assert "flags must be {'acc_overflow'}" in totals.failure.replace("'acc_inexact', ", "")


def silent(name):
    """Make an engine that never raises one error."""
    right = ModelEngine._raise

    def raises(self, given):
        if given != name:
            right(self, given)

    return {"_raise": raises}


def other_register(register, change):
    right = ModelEngine.read

    def read(self, address):
        value = right(self, address)
        return change(value) if address == OFFSETS[register] and value is not None else value

    return {"read": read}


def deaf_control(bit):
    right = ModelEngine.write

    def write(self, address, value):
        if address == OFFSETS["control"]:
            value &= ~mask("control", bit)
        return right(self, address, value)

    return {"write": write}


# What is broken, and the check that must see it.
BROKEN = {
    "constant registers": other_register("max_m", lambda v: v ^ 2),
    "writable registers": other_register("n", lambda v: v & ~0x100),
    "refused addresses": {"write": lambda self, address, value: True},
    "counters": other_register("busy_low", lambda v: v + 1),
    "error bad_dimension": silent("bad_dimension"),
    "error no_kept_b": silent("no_kept_b"),
    "error overrun and abort": silent("overrun"),
    **{f"error {name}": silent(name) for name in ("a_early", "a_late", "b_early", "b_late")},
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_check_can_fail(name, bridge, connect, monkeypatch):
    engine = connect(bridge)
    found = dict(checks.checks(engine))
    assert set(found) == set(BROKEN)
    found[name]()
    for attribute, change in BROKEN[name].items():
        monkeypatch.setattr(ModelEngine, attribute, change)
    with pytest.raises((checks.Failure, OSError)):
        found[name]()


def test_broken_abort_fails(bridge, connect, monkeypatch):
    check = dict(checks.checks(connect(bridge)))["error overrun and abort"]
    for attribute, change in deaf_control("abort").items():
        monkeypatch.setattr(ModelEngine, attribute, change)
    with pytest.raises(checks.Failure, match="must end C's packet"):
        check()


def test_difference_of_a_board_that_went_away(bridge, connect, monkeypatch):
    """What it sent while its power went says nothing of the engine."""
    engine = connect(bridge)

    def last_words(*_):
        monkeypatch.setattr(engine.transport._wire, "board", lambda data: b"")
        return "elements of C differ"

    monkeypatch.setattr(run, "difference", last_words)
    with pytest.raises(LineError, match="no answer to read from the model"):
        run.run(engine, seed=1, first=1)


def test_nothing_compared_is_no_success(bridge, connect):
    assert not run.run(connect(bridge), seed=1, first=5, count=0).passed


def test_interrupt_ends_with_totals(bridge, connect):
    def stop(totals, name):
        if totals.products == 5:
            raise KeyboardInterrupt

    totals = run.run(connect(bridge), seed=1, progress=stop)
    assert totals.passed
    assert totals.products == 5
    assert totals.seconds > 0


def test_cases_are_the_same_again(bridge, connect):
    identity = connect(bridge).identity
    for index in (0, 17):
        one, two = (random_case(identity, 5, index) for _ in range(2))
        np.testing.assert_array_equal(golden.pack(one.b), golden.pack(two.b))
        np.testing.assert_array_equal(one.a, two.a)
    shapes = {random_case(identity, 5, n).shape for n in range(50)}
    assert len(shapes) > 40
    names = {case.name for case in directed(identity, 5)}
    assert {"one element", "largest K", "A: a NaN", "B: zero blocks", "a kept B"} <= names


def test_bench_measures_and_checks(bridge, connect, monkeypatch):
    engine = connect(bridge)
    sizes = list(bench.sizes(engine))
    assert sizes[0] == (2, 2, 16)
    done = bench.measure(engine, *sizes[-1], repeat=2)
    m, n, k = sizes[-1]
    assert done.ideal == m * n * k / (2 * 2 * 8)
    assert done.counters["busy"] == done.ideal
    assert done.jobs == 1
    assert done.bytes >= 2 * m * k + 4 * m * n
    monkeypatch.setattr(ModelEngine, "_results", lambda self, a, b: self.c.extend(bytes(16)))
    with pytest.raises(OSError, match="elements of C differ"):
        bench.measure(engine, 2, 2, 16)
