"""Tables on standard output and progress on standard error: for people, and plain in a pipe."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator

import rich.box
import rich.console
import rich.file_proxy
import rich.progress
import rich.table
import rich.text

__all__ = ["SILENCE", "Step", "Table", "shown_by", "working"]

SILENCE = 2.0
"""Seconds after which a step is named in a pipe or a log."""
# Wide enough that nothing is wrapped or cut when a program reads the table.
PLAIN_WIDTH = 1000


class Table:
    """Rows under headings; columns that hold only numbers are aligned to the right.

    A terminal gets lines and wrapped cells; a pipe gets plain text, one line a row.

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
        # FORCE_COLOR and its like must not put escape codes into a pipe.
        rich.console.Console(
            highlight=False, force_terminal=terminal, width=None if terminal else PLAIN_WIDTH
        ).print(table)


def _is_number(cell: object) -> bool:
    text = str(cell).replace(",", "").removesuffix("%")
    if text == "-":  # there is no figure
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


Step = Callable[..., None]
"""Takes the text of the next step (``None``: the same), and how much of how much is done."""

_outer: contextvars.ContextVar[Step | None] = contextvars.ContextVar("_outer", default=None)
"""What is shown already: a terminal has one line for it, so that inner work changes its text."""


@contextlib.contextmanager
def shown_by(step: Step) -> Iterator[None]:
    """Let `step` show what `working` is called for inside."""
    token = _outer.set(step)
    try:
        yield
    finally:
        _outer.reset(token)


@contextlib.contextmanager
def working(text: str) -> Iterator[Step]:
    """Say on standard error what goes on while it does.

    A terminal shows the step, the seconds, and how much is done, in a line that goes away. A pipe
    or a log gets a line for each step that takes more than `SILENCE` seconds. Where rich shows
    progress already there is nothing more to say.
    """
    if (outer := _outer.get()) is not None:
        outer(text)
        yield outer
        return
    if isinstance(sys.stderr, rich.file_proxy.FileProxy):
        yield lambda *_: None
        return
    if sys.stderr.isatty():
        with rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}", markup=False),
            rich.progress.TextColumn("{task.fields[share]}"),
            rich.progress.TimeElapsedColumn(),
            console=rich.console.Console(stderr=True),
            transient=True,
        ) as progress:
            task = progress.add_task(text, total=None, share="")

            def show(step: str | None = None, done: int | None = None, of: int = 0) -> None:
                share = "" if done is None else f"{done:,} of {of:,}"
                progress.update(task, description=step, share=share)

            with shown_by(show):
                yield show
        return
    timer, current = _named_later(text), text

    def name(step: str | None = None, done: int | None = None, of: int = 0) -> None:
        nonlocal timer, current
        if step is not None and step != current:
            timer.cancel()
            timer, current = _named_later(step), step

    try:
        with shown_by(name):
            yield name
    finally:
        timer.cancel()


def _named_later(text: str) -> threading.Timer:
    timer = threading.Timer(SILENCE, lambda: print(f"{text} ...", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    return timer
