"""What programs print: tables for people and for programs, and a line about what takes long."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

import rich.box
import rich.console
import rich.table
import rich.text

__all__ = ["Table", "working"]

# Wide enough that nothing is wrapped or cut when a program reads the table.
PLAIN_WIDTH = 1000
_SILENCE = 2.0
"""Seconds that work may take without a word."""


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Say on standard error `what` is being done, if it takes more than two seconds."""

    def say() -> None:
        print(f"{what} ...", file=sys.stderr, flush=True)

    timer = threading.Timer(_SILENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Table:
    """Rows under headings; columns that hold only numbers are aligned to the right.

    Parameters
    ----------
    headings
        One for each column.
    """

    def __init__(self, *headings: str) -> None:
        self._headings = headings
        self._rows: list[tuple[object, ...]] = []

    def add(self, *cells: object) -> None:
        """Append a row."""
        self._rows.append(cells)

    def show(self) -> None:
        """Print the table."""
        terminal = sys.stdout.isatty()
        table = rich.table.Table(
            box=rich.box.SIMPLE_HEAD if terminal else None,
            pad_edge=terminal,
            padding=(0, 1) if terminal else (0, 2, 0, 0),
        )
        for number, heading in enumerate(self._headings):
            numeric = all(_is_number(row[number]) for row in self._rows)
            table.add_column(heading, justify="right" if numeric else "left", no_wrap=not terminal)
        for row in self._rows:
            table.add_row(*(rich.text.Text(str(cell)) for cell in row))
        console = rich.console.Console(highlight=False, width=None if terminal else PLAIN_WIDTH)
        console.print(table)


def _is_number(cell: object) -> bool:
    try:
        float(str(cell).replace(",", ""))
    except ValueError:
        return False
    return True
