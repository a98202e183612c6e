"""The selftest: whether this engine, on this board, behind this line, is what golden says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from amxfp4.golden.engine import expected, operand_a
from amxfp4.host.comparison import difference
from amxfp4.host.engine import Engine
from amxfp4.host.errors import HostError
from amxfp4.host.selftest.cases import Case, directed, parts, random_case
from amxfp4.host.selftest.provoked import Failure, checks

__all__ = ["Totals", "run"]


@dataclass(slots=True)
class Totals:
    """What a selftest has done."""

    checks: int = 0
    """Registers and provoked errors."""
    products: int = 0
    """Products compared with golden, all bits."""
    skipped: int = 0
    """Products that the transport cannot carry."""
    elements: int = 0
    """Elements of C in them."""
    macs: int = 0
    seconds: float = 0.0
    failure: str | None = None
    """What went wrong, in words; ``None`` if nothing did."""
    started: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> bool:
        """Whether anything was compared, and nothing was wrong."""
        return self.failure is None and self.products > 0


def _product(engine: Engine, case: Case) -> str | None:
    """Run a product, twice if its B is kept; say what is wrong with it."""
    config = engine.config
    qa, _ = operand_a(config, case.a)
    wanted, flags = expected(config, qa, case.b)
    for number in range(1 + case.again):
        got = engine.matmul(case.a, None if number else case.b, keep_b=case.keep or number > 0)
        found = difference(config, got, wanted)
        again = " (the second product by the B that was kept)" if number else ""
        if found:
            return f"{found}{again}"
        if set(flags) != set(engine.flags):
            return f"flags must be {set(flags) or 'none'}, not {set(engine.flags) or 'none'}{again}"
    return None


def run(
    engine: Engine,
    *,
    seed: int,
    count: int | None = None,
    first: int = 0,
    provoke: bool = True,
    progress: Callable[[Totals, str], None] = lambda totals, name: None,
) -> Totals:
    """Check registers, errors and products until something is wrong, all is done, or Ctrl-C.

    Parameters
    ----------
    engine
        What to test.
    seed
        Of all numbers.
    count
        Random products, from 0; ``None`` for no end.
    first
        Number of the first random product; with more than 0 only random products run.
    provoke
        Whether registers and errors are checked, too.
    progress
        Called before each step with the totals so far and the step's name.
    """
    totals = Totals()
    name = "start"
    try:
        if not first:
            for name, check in checks(engine) if provoke else ():
                progress(totals, name)
                check()
                totals.checks += 1
            for case in directed(engine.identity, seed):
                name = f"directed case {case.name!r}"
                if not _step(engine, case, name, totals, progress):
                    return totals
        index = first
        while count is None or index < first + count:
            case = random_case(engine.identity, seed, index)
            name = f"random case {index} of seed {seed} ({case.name})"
            if not _step(engine, case, name, totals, progress):
                totals.failure = f"{totals.failure}; repeat it with --seed {seed} --first {index}"
                return totals
            index += 1
    except (Failure, HostError) as error:
        totals.failure = f"{name}: {error}"
    except KeyboardInterrupt:
        pass  # that is how a test without an end is ended
    finally:
        totals.seconds = time.monotonic() - totals.started
    return totals


def _step(
    engine: Engine, case: Case, name: str, totals: Totals, progress: Callable[[Totals, str], None]
) -> bool:
    progress(totals, name)
    number = parts(engine.identity, engine.transport.limits, case)
    if not number:
        totals.skipped += 1
        return True
    if number > 1:  # no part stays after the next one
        case = replace(case, again=False)
    m, n, k = case.shape
    shape = f"{name}: M = {m}, N = {n}, K = {k}"
    try:
        wrong = _product(engine, case)
    except HostError as error:
        wrong = str(error)
    if wrong:
        totals.failure = f"{shape}: {wrong}"
        return False
    totals.products += 1 + case.again
    totals.elements += m * n * (1 + case.again)
    totals.macs += m * n * k * (1 + case.again)
    return True
