"""The selftest: checks of registers and errors, then products, until one is wrong."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from amxfp4.golden.engine import expected, operand_a
from amxfp4.host.comparison import difference
from amxfp4.host.engine import Engine
from amxfp4.host.errors import HostError, LineError
from amxfp4.host.selftest.cases import Case, directed, parts, random_case
from amxfp4.host.selftest.checks import Failure, checks
from amxfp4.params.registers import ENGINE_ID

__all__ = ["Totals", "run"]


@dataclass(slots=True)
class Totals:
    """What a selftest has done."""

    checks: int = 0
    """Checks of registers and injected errors."""
    products: int = 0
    """Products compared with golden, all bits."""
    skipped: int = 0
    """Products that the transport cannot carry."""
    elements: int = 0
    """Elements of C in them."""
    macs: int = 0
    seconds: float = 0.0
    failure: str | None = None
    """What went wrong; ``None`` if nothing did."""
    started: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> bool:
        """Whether anything was compared, and nothing was wrong."""
        return self.failure is None and self.products > 0


def run(
    engine: Engine,
    *,
    seed: int,
    count: int | None = None,
    first: int = 0,
    inject: bool = True,
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
    inject
        Whether registers and injected errors are checked, too.
    progress
        Called before each step with the totals so far and the step's name.

    Raises
    ------
    LineError
        The board does not answer any more; what was wrong before it went says nothing of it.
    """
    totals, name = Totals(), "start"
    try:
        for name, step in _steps(engine, totals, seed, count, first, inject):
            progress(totals, name)
            step()
    except LineError:
        raise
    except (Failure, HostError) as error:
        _still_there(engine)
        totals.failure = f"{name}: {error}"
    except KeyboardInterrupt:
        pass  # the usual end of a test without a count
    finally:
        totals.seconds = time.monotonic() - totals.started
    return totals


def _still_there(engine: Engine) -> None:
    """Raise `LineError` if the engine is gone: a bus without a board reads ones, not an error."""
    if (found := engine.read("id")) != ENGINE_ID:
        raise LineError(
            f"{engine.transport.name} is gone: register id reads 0x{found:08X}, no more "
            f"0x{ENGINE_ID:08X}: check the cable, the board's power and its bitstream"
        )


def _steps(
    engine: Engine, totals: Totals, seed: int, count: int | None, first: int, inject: bool
) -> Iterator[tuple[str, Callable[[], None]]]:
    """List the steps by name."""

    def counted(check: Callable[[], None]) -> None:
        check()
        totals.checks += 1

    if not first:
        for name, check in checks(engine) if inject else ():
            yield name, partial(counted, check)
        for case in directed(engine.identity, seed):
            yield f"directed case {case.name!r}", partial(_product, engine, case, totals)
    for index in itertools.count(first) if count is None else range(first, first + count):
        case = random_case(engine.identity, seed, index)
        name = f"random case {index} of seed {seed} ({case.name})"
        advice = f"; repeat it with --seed {seed} --first {index}"
        yield name, partial(_product, engine, case, totals, advice)


def _product(engine: Engine, case: Case, totals: Totals, advice: str = "") -> None:
    """Run a product, twice if its B is kept, and compare it with golden."""
    config = engine.config
    number = parts(engine.identity, engine.transport.limits, case)
    if not number:
        totals.skipped += 1
        return
    m, n, k = case.shape
    wanted, flags = expected(config, operand_a(config, case.a)[0], case.b)
    # Of several parts, none stays in the engine after the next one.
    for again in (False, True) if case.again and number == 1 else (False,):
        try:
            got = engine.matmul(case.a, None if again else case.b, keep_b=case.keep or again)
            wrong = str(difference(config, got, wanted) or "")
            if not wrong and set(flags) != set(engine.flags):
                wrong = f"flags must be {set(flags) or 'none'}, not {set(engine.flags) or 'none'}"
        except LineError:
            raise
        except HostError as error:
            wrong = str(error)
        if wrong:
            which = " (the second product by the B that was kept)" if again else ""
            raise Failure(f"M = {m}, N = {n}, K = {k}: {wrong}{which}{advice}")
        totals.products += 1
        totals.elements += m * n
        totals.macs += m * n * k
