# amaranth: UnusedElaboratable=no
"""The prover itself: what it proves, what it refutes, and when it refuses to answer."""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amxfp4.verif.check import prove
from amxfp4.verif.check.prove import ProofError, Verdict, decide


class Sum(wiring.Component):
    """Claims that a < 10 makes a + b < `limit`."""

    def __init__(self, limit: int, *, clocked: bool, assume: bool = True) -> None:
        self.limit, self.clocked, self.assume = limit, clocked, assume
        super().__init__({"a": In(8), "b": In(8)})

    def elaborate(self, platform):
        m = Module()
        total = Signal(9)
        m.d["sync" if self.clocked else "comb"] += total.eq(self.a + self.b)
        if self.assume:
            m.d.comb += Assume(self.a < 10)
        m.d.comb += Assert(total < self.limit)
        return m


class Nothing(wiring.Component):
    """Claims nothing."""

    def __init__(self) -> None:
        super().__init__({"a": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += Assume(self.a)
        return m


class Late(wiring.Component):
    """A counter that the claim says never reaches 12, of which it is true from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first
        super().__init__({"step": In(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(4, init=self.first)
        with m.If(self.step & (count != 9)):
            m.d.sync += count.eq(count + 1)
        m.d.comb += Assert(count != 12)
        return m


@pytest.mark.parametrize("clocked", [False, True])
def test_proves_and_refutes(clocked):
    """A tight bound is proven, one less refuted, and without its assumption refuted again."""
    depth = 2 if clocked else 0
    assert decide(Sum(265, clocked=clocked), depth=depth) is Verdict.PROVEN
    assert decide(Sum(264, clocked=clocked), depth=depth) is Verdict.REFUTED
    assert decide(Sum(265, clocked=clocked, assume=False), depth=depth) is Verdict.REFUTED


def test_starts_from_the_initial_state():
    """A counterexample is reached from the start; what is only unreachable is no answer."""
    assert decide(Late(10), depth=8) is Verdict.REFUTED
    with pytest.raises(ProofError, match="no answer"):
        decide(Late(0), depth=1)


def test_no_assertions():
    """Nothing to prove is an error."""
    with pytest.raises(ProofError, match=r"^a harness must hold assertions, not 0 of 1$"):
        decide(Nothing())


def test_wrong_depth():
    """A clocked harness without induction, and the reverse, are errors."""
    for clocked in (False, True):
        with pytest.raises(ProofError, match="depth must be"):
            decide(Sum(265, clocked=clocked), depth=0 if clocked else 3)


def test_timeout_is_no_answer(monkeypatch):
    """A solver that gives up has proven nothing, and neither has a design that is not read."""
    monkeypatch.setattr(prove, "_PREPARE", ("read_rtlil missing.il",))
    with pytest.raises(ProofError, match="no answer"):
        decide(Sum(265, clocked=False))
    # Without these commands, assertions never reach the solver.
    monkeypatch.setattr(prove, "_PREPARE", ("read_rtlil design.il", "proc", "delete t:$check"))
    with pytest.raises(ProofError, match="no answer"):
        decide(Sum(265, clocked=False))


@pytest.mark.parametrize(
    ("output", "ended"),
    [
        ("", True),
        ("SAT proof finished - no model found: SUCCESS!", False),
        ("SAT proof finished - no model found: SUCCESS!\nERROR: killed", False),
        ("SAT proof finished - model found: FAIL!", True),
        ("Reached maximum number of time steps -> proof failed.\nproof did fail!", False),
    ],
)
def test_half_answers(output, ended):
    """What Yosys says counts only together with how it ended."""
    with pytest.raises(ProofError):
        prove._read(output, ended)
