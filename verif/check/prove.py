"""Proofs of Amaranth harnesses with the SAT solver that is part of Yosys.

A harness is a component whose input ports are free and whose `elaborate` holds Amaranth's
`Assert` and `Assume`. Yosys ends its process where a proof fails, so it runs in one of its own, and
what it wrote is read with suspicion: an answer counts only if it is one of the known sentences, and
only if as many assertions reached the solver as the harness holds.
"""

from __future__ import annotations

import enum
import re
import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Fragment
from amaranth.lib import wiring

from amxfp4.util import pyosys
from amxfp4.util.errors import ToolError

__all__ = ["ProofError", "Verdict", "decide", "signals"]


class ProofError(RuntimeError):
    """There was no answer: nothing to prove, a design that is not read, a limit reached."""


class Verdict(enum.Enum):
    """What became of a claim."""

    PROVEN = "proven"
    """It holds for all inputs, and in all states that can be reached."""
    REFUTED = "refuted"
    """There is a counterexample, from the initial state on."""


_PREPARE = (
    "read_rtlil design.il",
    "hierarchy -check -top top",
    "proc",
    "flatten",
    "opt_expr",
    "opt_merge",
    "opt_clean",
    "memory_map",
    "async2sync",
    "opt_clean",
    "chformal -lower",
    "select -assert-none t:$mem* t:$check",
)
_SENTENCES = {
    "SAT proof finished - no model found: SUCCESS!": Verdict.PROVEN,
    "SAT proof finished - model found: FAIL!": Verdict.REFUTED,
    "Induction step proven: SUCCESS!": Verdict.PROVEN,
    "SAT temporal induction proof finished - model found for base case: FAIL!": Verdict.REFUTED,
}


def decide(harness: wiring.Component, *, depth: int = 0, timeout: int = 100) -> Verdict:
    """Prove or refute all assertions of `harness`.

    Parameters
    ----------
    harness
        Combinational if `depth` is 0. Otherwise it is clocked, starts in its initial state and
        is never reset.
    depth
        Steps after which an induction must have succeeded, or a counterexample be found.
    timeout
        Seconds for one call of the solver.

    Raises
    ------
    ProofError
        Neither was shown, or there was nothing to show.
    """
    text = rtlil.convert(harness, name="top", emit_src=False)
    count = len(re.findall(r"^  cell \$(?:check|assert) ", text, re.M))
    assumes = text.count('parameter \\FLAVOR "assume"')
    asserts = text.count('parameter \\FLAVOR "assert"')
    if not asserts or count != asserts + assumes:
        raise ProofError(f"a harness must hold assertions, not {asserts} of {count}")
    clocked = re.search(r"^  cell \$(?:a?dff|mem)", text, re.M) is not None
    if clocked != (depth > 0):
        raise ProofError(f"depth must be {'above' if clocked else 'exactly'} 0, not {depth}")
    options = ["-prove-asserts", "-set-assumes", "-verify", f"-timeout {timeout}"]
    if clocked:
        options += ["-tempinduct", f"-maxsteps {depth}", "-set rst 0"]
    commands = [
        *_PREPARE,
        f"select -assert-count {asserts} t:$assert",
        f"select -assert-count {assumes} t:$assume",
        f"sat {' '.join(options)}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "design.il").write_text(text)
        try:
            output, ended = pyosys.run(commands, Path(folder)), True
        except ToolError as error:
            output, ended = error.log, False
    return _read(output, ended)


def _read(output: str, ended: bool) -> Verdict:
    """Verdict of a run of Yosys: a sentence we know, and an end that agrees with it."""
    said = {verdict for sentence, verdict in _SENTENCES.items() if sentence in output}
    if said == {Verdict.PROVEN} and ended:
        return Verdict.PROVEN
    # `sat -verify` ends the process after a counterexample, and says so.
    if said == {Verdict.REFUTED} and not ended and "proof did fail" in output:
        return Verdict.REFUTED
    raise ProofError(f"no answer: {output[-2000:]}")


def signals(fragment: Fragment, name: str | None = None, *, domain: str | None = None):
    """Find what is called `name`, or driven in `domain`, in `fragment` but not below it.

    What must hold in every reachable state is often a relation between registers that a component
    does not show.
    """
    found = {
        id(signal): signal
        for of, statements in fragment.statements.items()
        for statement in statements
        for signal in statement._lhs_signals()
        if name in (None, signal.name) and domain in (None, of)
    }
    return list(found.values())
