"""Options of the test suite: the base seed, the size of random batches, one line to repeat."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Generator

import numpy as np
import pytest

from amxfp4.gen import verilog
from amxfp4.params.config import UnitConfig
from amxfp4.util import console
from amxfp4.verif.sim.sources import Source, source
from amxfp4.verif.tests.simulate import (  # noqa: F401  (fixtures of every folder)
    decisions,
    evaluate,
    run_stream,
    tabulate,
)

BASE_SEED = 20260101
"""Seed of a run that names none, so that two runs of one commit test the same."""
BLOCKS = 10_000
"""Random blocks per format and unit in an ordinary run."""
NIGHTLY = 1_000_000
"""Those of ``make nightly``, from which on tests that are marked ``nightly`` run, too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    group = parser.getgroup("amxfp4")
    group.addoption("--seed", type=int, default=BASE_SEED, help="base seed of random stimulus")
    group.addoption("--blocks", type=int, default=BLOCKS, help="random blocks per format and unit")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks of this suite, and be started as a user's shell starts programs."""
    # A background job ignores Ctrl-C, and so would all that is started here: the tests that
    # interrupt a program would wait for its end for ever.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Few shells set it, and with it programs print in another order.
    os.environ.pop("PYTHONUNBUFFERED", None)
    config.addinivalue_line("markers", "nightly: what takes too long to run by day")
    config.addinivalue_line("markers", "by_day(every): every n-th of a test's cases; all at night")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is for the night to the night; a test that is asked for alone runs."""
    turns: Counter[str] = Counter()
    for item in items:
        thinned = item.get_closest_marker("by_day")
        if thinned and not item.get_closest_marker("nightly"):
            test = item.nodeid.partition("[")[0]
            if turns[test] % thinned.args[0]:
                item.add_marker(pytest.mark.nightly)
            turns[test] += 1
        if item.get_closest_marker("nightly") and config.getoption("--blocks") < NIGHTLY:
            item.add_marker(pytest.mark.skip(reason="takes long: make nightly"))


def pytest_report_header(config: pytest.Config) -> str:
    """Print what decides the random stimulus, in every run."""
    seed, blocks = config.getoption("--seed"), config.getoption("--blocks")
    return f"amxfp4: --seed={seed} --blocks={blocks}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a failed test the one command that repeats it."""
    report = yield
    if report.failed:
        seed, blocks = item.config.getoption("--seed"), item.config.getoption("--blocks")
        test = shlex.quote(item.nodeid)
        command = f".venv/bin/python -m pytest {test} --seed={seed} --blocks={blocks}"
        report.sections.append(("repeat with", command))
    return report


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name no slow step on standard error, whose lines many tests compare, on a busy machine."""
    monkeypatch.setattr(console, "SILENCE", 3600)


@pytest.fixture
def kept_verilog(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    """Let the generator return what it wrote before, to tests of what is done with it."""
    make = verilog.generate

    def generate(config: UnitConfig, name: str | None = None) -> Source:
        return source(config, make=functools.partial(make, name=name), changes=name or "")

    monkeypatch.setattr(verilog, "generate", generate)
    return generate


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Mix the base seed with the test's own name: tests do not share stimulus."""
    base: int = request.config.getoption("--seed")
    return base << 32 | zlib.crc32(request.node.nodeid.encode())


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Make a generator of this test alone, the same in every run with the same ``--seed``."""
    base: int = request.config.getoption("--seed")
    return np.random.default_rng([base, zlib.crc32(request.node.nodeid.encode())])


@pytest.fixture
def blocks(request: pytest.FixtureRequest) -> int:
    """How many random blocks a format gets."""
    count: int = request.config.getoption("--blocks")
    return count


@pytest.fixture
def at_night(blocks: int) -> bool:
    """Whether there is time for what a test leaves out by day."""
    return blocks >= NIGHTLY
