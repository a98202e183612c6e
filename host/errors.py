"""What can go wrong between a host and a board, each with what to do about it."""

from __future__ import annotations

__all__ = [
    "ERRORS",
    "EngineError",
    "HostError",
    "JobError",
    "LineError",
    "RefusedError",
    "TooLongError",
]


class HostError(OSError):
    """Something outside this program does not work; the text says what to check."""

    def __init__(self, text: str) -> None:
        super().__init__(text)


class LineError(HostError):
    """No valid answer came over the line, or the port cannot be opened."""


class RefusedError(HostError):
    """The engine answered SLVERR: no register at that address, or not a writable one."""


class TooLongError(HostError):
    """A packet of a single row, column or element is longer than the transport can carry."""


class EngineError(HostError):
    """What answers is not an engine with a known register map, or does not work."""


ERRORS = {
    "bad_dimension": "M, N or K is 0 or too large, or the B to keep does not fit: see max_m, max_n "
    "and max_k of `info`",
    "no_kept_b": "no B of this N and K was kept by the last job: send B again",
    "overrun": "a job was started while another was in flight: wait for it, or abort it",
    "aborted": "the job was aborted",
    "a_early": "A's packet ended too early: its bytes are not those of M, K and the input format",
    "a_late": "A's packet is too long: its bytes are not those of M, K and the input format",
    "a_keep": "a beat of A has gaps: look at what drives TKEEP",
    "b_early": "B's packet ended too early: its bytes are not those of N, K and B's format",
    "b_late": "B's packet is too long: its bytes are not those of N, K and B's format",
    "b_keep": "a beat of B has gaps: look at what drives TKEEP",
    "acc_inexact": "a sum lost bits below the accumulator's fraction: the result is rounded twice",
    "acc_overflow": "a sum left the accumulator's range: the result is wrong",
}
"""Advice for every bit of the engine's register `error`, by its name."""


class JobError(HostError):
    """A job failed, and the engine reported why.

    Members
    -------
    names : the bits of `error` that were set, out of `ERRORS`
    """

    def __init__(self, names: tuple[str, ...], what: str) -> None:
        self.names = names
        details = "; ".join(f"{name}: {ERRORS[name]}" for name in names)
        super().__init__(f"{what}: {details or 'the job failed without naming an error'}")
