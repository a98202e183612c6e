"""Compares what left the unit with what golden makes of what entered it, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["Scoreboard", "ScoreboardError"]


class ScoreboardError(AssertionError):
    """A transaction is wrong, missing or too many, or none was compared at all."""


class Scoreboard:
    """In-order comparison, fed by the two monitors and by nothing else.

    The stimulus is never asked: what counts as sent is what the monitor saw enter.

    Parameters
    ----------
    expected
        Output payloads that complete blocks of input payloads make, all at once: the golden
        model works on arrays.
    unit
        Input payloads that make a block, or a function that tells the last payload of one.
    results
        Output payloads of a block.
    """

    def __init__(
        self,
        expected: Callable[[list[int]], list[int]],
        *,
        unit: int | Callable[[int], bool],
        results: int,
    ) -> None:
        self._expected = expected
        self._unit = unit
        self._results = results
        self._seen = 0
        self._found: list[int] = []
        self.sent: list[int] = []
        self.received: list[int] = []
        self.compared = 0
        """Output payloads found right since the beginning."""

    @property
    def due(self) -> int:
        """Output payloads that the complete blocks seen so far account for."""
        return len(self._ends()) * self._results

    def _ends(self) -> Sequence[int]:
        """Count the payloads sent up to the end of each complete block."""
        if not callable(self._unit):
            return range(self._unit, len(self.sent) + 1, self._unit)
        for at in range(self._seen, len(self.sent)):
            if self._unit(self.sent[at]):
                self._found.append(at + 1)
        self._seen = len(self.sent)
        return self._found

    def _clear(self) -> None:
        self.sent.clear()
        self.received.clear()
        self._seen = 0
        self._found.clear()

    def flush(self) -> None:
        """Compare what has come so far and forget the rest, which a reset has destroyed."""
        self._compare()
        self._clear()

    def finish(self) -> int:
        """Compare everything, and insist that nothing is left over on either side.

        Returns
        -------
        compared : int
            Output payloads compared since the beginning, at least 1.

        Raises
        ------
        ScoreboardError
            An output is wrong, missing or surplus, a block is incomplete, or nothing was
            compared.
        """
        whole = [0, *self._ends()][-1]
        if whole != len(self.sent):
            size = "" if callable(self._unit) else f" of {self._unit} beats"
            raise ScoreboardError(
                f"inputs must be whole blocks{size}, not {len(self.sent)} beats, "
                f"{len(self.sent) - whole} of them behind the last whole one"
            )
        if len(self.received) != self.due:
            raise ScoreboardError(
                f"outputs must be {self.due} for {len(self.sent)} inputs, not {len(self.received)}"
            )
        self._compare()
        self._clear()
        if self.compared == 0:
            raise ScoreboardError("at least one transaction must be compared, not 0")
        return self.compared

    def _compare(self) -> None:
        ends = [0, *self._ends()]
        whole = ends[-1]
        if len(self.received) > self.due:
            raise ScoreboardError(
                f"outputs must be at most {self.due} for {len(self.sent)} inputs, "
                f"not {len(self.received)}"
            )
        expected = self._expected(self.sent[:whole]) if whole else []
        if len(expected) != self.due:
            raise ScoreboardError(f"golden must give {self.due} outputs, not {len(expected)}")
        for at, (due, got) in enumerate(zip(expected, self.received, strict=False)):
            if due != got:
                first, behind = ends[at // self._results :][:2]
                block = ", ".join(f"{p:#x}" for p in self.sent[first:behind])
                raise ScoreboardError(
                    f"output {at} must be {due:#x}, not {got:#x}; its block is [{block}]"
                )
        self.compared += len(self.received)
