"""The life of a job: started, checked, in flight, and done or failed."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from amxfp4.params.engine import LARGEST_MN, EngineConfig
from amxfp4.rtl.lib.arith import assign_low

__all__ = ["JobControl", "job_members"]


# Amaranth's metaclass takes the shape; mypy knows Python's, which does not.
class _State(enum.Enum, shape=3):  # type: ignore[call-arg]
    IDLE = 0
    CHECK = 1
    """Are the dimensions in range?"""
    FIT = 2
    """Does all of B fit? One column tile per cycle: the hardware has no other use for a product."""
    BEGIN = 3
    RUN = 4
    ENDING = 5
    """Failed; C's packet is still open."""
    FAILED = 6


def job_members(config: EngineConfig) -> dict[str, wiring.Member]:
    """Describe a job: sizes, blocks of a row or column, and how B comes."""
    return {
        "m": Out(range(LARGEST_MN + 1)),
        "n": Out(range(LARGEST_MN + 1)),
        "k": Out(range(config.largest_k + 1)),
        "blocks": Out(range(config.largest_k // config.block + 1)),
        "keep": Out(1),
        "reuse": Out(1),
    }


class JobControl(wiring.Component):
    """Takes a job from start to its end (docs/units/engine.md, A job and Errors).

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start, abort : In(1)
    m, n, k : In(32), keep_b, reuse_b : In(1), what is asked for
    problem : In(1), something is wrong with a stream
    ends : In(1), C's last beat is taken
    job : Out, the job in flight
    begins : Out(1), for one cycle: everything in the data path begins `job`
    run, idle, busy, done, failed : Out(1)
    ending : Out(1), C's packet is to be ended
    accepted : Out(1), for one cycle: a start was
    finished : Out(1), for one cycle: a job ended well
    bad_dimension, no_kept_b, overrun, aborted : Out(1), for one cycle: errors
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        flags_out = (
            "begins", "run", "idle", "busy", "done", "failed", "ending", "accepted", "finished",
            "bad_dimension", "no_kept_b", "overrun", "aborted",
        )  # fmt: skip
        flags_in = ("start", "abort", "keep_b", "reuse_b", "problem", "ends")
        super().__init__(
            {
                **{name: In(1) for name in flags_in},
                **{name: In(32) for name in ("m", "n", "k")},
                "job": Out(wiring.Signature(job_members(config))),
                **{name: Out(1) for name in flags_out},
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        state = Signal(_State)
        most = 2 * config.depth_b

        # What is asked for, as it was at the start.
        limits = {"m": LARGEST_MN, "n": LARGEST_MN, "k": config.largest_k}
        sizes = {name: Signal.like(getattr(job, name), name=f"size_{name}") for name in limits}
        asked = {name: getattr(self, name) for name in limits}
        fits = [(asked[name] != 0) & (asked[name] <= limits[name]) for name in limits]
        in_range = Signal()
        keep = Signal()
        reuse = Signal()
        # The B that is in the memory from before. A job that fails ends with a soft reset.
        has_kept = Signal()
        kept_n = Signal.like(job.n)
        kept_k = Signal.like(job.k)

        is_kept = Signal()
        block_bits = exact_log2(config.block)
        m.d.comb += [
            is_kept.eq(has_kept & (kept_n == job.n) & (kept_k == job.k)),
            *(getattr(job, name).eq(sizes[name]) for name in limits),
            assign_low(job.blocks, (job.k + (config.block - 1)) >> block_bits),
            job.keep.eq(keep),
            job.reuse.eq(reuse),
            self.idle.eq(state == _State.IDLE),
            self.run.eq(state == _State.RUN),
            self.begins.eq(state == _State.BEGIN),
            self.failed.eq((state == _State.ENDING) | (state == _State.FAILED)),
            self.ending.eq(state == _State.ENDING),
            self.busy.eq((state != _State.IDLE) & (state != _State.FAILED)),
            self.overrun.eq(self.start & ~self.idle),
        ]

        columns = Signal.like(job.n)
        blocks = Signal(bits_for(most + config.depth_a))
        with m.Switch(state):
            with m.Case(_State.IDLE), m.If(self.start):
                m.d.comb += self.accepted.eq(1)
                m.d.sync += [
                    *(assign_low(sizes[name], asked[name]) for name in limits),
                    in_range.eq(fits[0] & fits[1] & fits[2]),
                    keep.eq(self.keep_b & ~self.reuse_b),
                    reuse.eq(self.reuse_b),
                    self.done.eq(0),
                    state.eq(_State.CHECK),
                ]
            with m.Case(_State.CHECK):
                m.d.sync += [columns.eq(job.n), blocks.eq(job.blocks)]
                with m.If(~in_range):
                    m.d.comb += self.bad_dimension.eq(1)
                    m.d.sync += state.eq(_State.IDLE)
                with m.Elif(reuse & ~is_kept):
                    m.d.comb += self.no_kept_b.eq(1)
                    m.d.sync += state.eq(_State.IDLE)
                with m.Else():
                    m.d.sync += state.eq(Mux(keep, _State.FIT, _State.BEGIN))
            with m.Case(_State.FIT):
                m.d.sync += [
                    assign_low(columns, columns - config.cols),
                    assign_low(blocks, blocks + job.blocks),
                ]
                with m.If(blocks > most):
                    m.d.comb += self.bad_dimension.eq(1)
                    m.d.sync += state.eq(_State.IDLE)
                with m.Elif(columns <= config.cols):
                    m.d.sync += state.eq(_State.BEGIN)
            with m.Case(_State.BEGIN):
                m.d.sync += state.eq(_State.RUN)
                with m.If(~reuse):
                    m.d.sync += has_kept.eq(0)
            with m.Case(_State.RUN):
                with m.If(self.problem):
                    m.d.sync += state.eq(_State.ENDING)
                with m.Elif(self.ends):
                    m.d.comb += self.finished.eq(1)
                    m.d.sync += [self.done.eq(1), state.eq(_State.IDLE)]
                    with m.If(keep):
                        m.d.sync += [has_kept.eq(1), kept_n.eq(job.n), kept_k.eq(job.k)]
            with m.Case(_State.ENDING), m.If(self.ends):
                m.d.sync += state.eq(_State.FAILED)
        # A job whose packet has just ended is past aborting.
        with m.If(self.abort & self.busy & ~self.ending & ~self.finished):
            m.d.comb += self.aborted.eq(1)
            m.d.sync += state.eq(_State.ENDING)
        return m
