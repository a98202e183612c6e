"""Compares what left the unit with what golden makes of what entered it, in order."""

from __future__ import annotations

from collections.abc import Callable

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
        Input payloads that make a block.
    results
        Output payloads of a block.
    """

    def __init__(
        self, expected: Callable[[list[int]], list[int]], *, unit: int, results: int
    ) -> None:
        self._expected = expected
        self._unit = unit
        self._results = results
        self.sent: list[int] = []
        self.received: list[int] = []
        self.compared = 0
        """Output payloads found right since the beginning."""

    @property
    def due(self) -> int:
        """Output payloads that the complete blocks seen so far account for."""
        return len(self.sent) // self._unit * self._results

    def flush(self) -> None:
        """Compare what has come so far and forget the rest, which a reset has destroyed."""
        self._compare()
        self.sent.clear()
        self.received.clear()

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
        if len(self.sent) % self._unit:
            raise ScoreboardError(
                f"inputs must be whole blocks of {self._unit} beats, not {len(self.sent)} beats"
            )
        if len(self.received) != self.due:
            raise ScoreboardError(
                f"outputs must be {self.due} for {len(self.sent)} inputs, not {len(self.received)}"
            )
        self._compare()
        self.sent.clear()
        self.received.clear()
        if self.compared == 0:
            raise ScoreboardError("at least one transaction must be compared, not 0")
        return self.compared

    def _compare(self) -> None:
        whole = len(self.sent) // self._unit * self._unit
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
                first = at // self._results * self._unit
                block = ", ".join(f"{p:#x}" for p in self.sent[first : first + self._unit])
                raise ScoreboardError(
                    f"output {at} must be {due:#x}, not {got:#x}; its block is [{block}]"
                )
        self.compared += len(self.received)
