"""Compares C's packets with what golden makes of their jobs, byte for byte."""

from __future__ import annotations

from typing import Any

from amxfp4.verif.sim.cocotb.scoreboard import ScoreboardError
from amxfp4.verif.sim.cocotb_engine.models_engine import Job

__all__ = ["PacketBoard"]


class PacketBoard:
    """Judges packets, whole ones and those of jobs that failed.

    Parameters
    ----------
    lanes
        Bytes of a beat of C.
    element
        Bytes of the element that ends the packet of a job that failed.
    """

    def __init__(self, lanes: int, element: int) -> None:
        self._lanes = lanes
        self._element = element
        self.compared = 0
        """Beats of good jobs found right."""
        self.ended = 0
        """Packets of jobs that failed, ended as they must be."""

    def _bytes(self, frame: Any) -> bytes:
        """Bytes of a packet, of which only the end of the last beat may be missing."""
        keep = list(frame.tkeep)
        kept = sum(keep)
        if keep != [1] * kept + [0] * (len(keep) - kept) or len(keep) - kept >= self._lanes:
            raise ScoreboardError(f"TKEEP must have no gaps within {len(keep)} bytes of a packet")
        return bytes(frame.tdata[:kept])

    def compare(self, frame: Any, job: Job) -> None:
        """Compare the packet of a job that must have gone well."""
        got, due = self._bytes(frame), job.raw_c
        for at, (g, d) in enumerate(zip(got, due, strict=False)):
            if g != d:
                raise ScoreboardError(f"byte {at} of C of {job.shape} must be {d:#04x}, not {g:#x}")
        if len(got) != len(due):
            raise ScoreboardError(f"C of {job.shape} must have {len(due)} bytes, not {len(got)}")
        self.compared += -(-len(due) // self._lanes)

    def compare_failed(self, frame: Any, job: Job) -> int:
        """Compare the packet of a job that failed; return how many good beats it has.

        Whole beats as they would have been sent anyway, then an element of zeros.
        """
        got = self._bytes(frame)
        good, end = got[: -self._element], got[-self._element :]
        if end != bytes(self._element):
            raise ScoreboardError(f"a failed job must end with {self._element} zeros, not {end!r}")
        if len(good) % self._lanes:
            raise ScoreboardError(f"whole beats must come before the end, not {len(good)} bytes")
        if good != job.raw_c[: len(good)] or len(good) >= len(job.raw_c):
            raise ScoreboardError(f"{len(good)} bytes must be the beginning of C of {job.shape}")
        self.ended += 1
        return len(good) // self._lanes

    def compare_either(self, frame: Any, job: Job) -> None:
        """Compare the packet of a job that failed while its end may have been on its way out."""
        if self._bytes(frame) == job.raw_c:
            self.compare(frame, job)
        else:
            self.compare_failed(frame, job)

    def finish(self) -> int:
        """Return the beats of good jobs compared, at least 1."""
        if self.compared == 0:
            raise ScoreboardError("at least one beat of a good job must be compared, not 0")
        return self.compared
