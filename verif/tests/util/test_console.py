"""A line about what takes long: late, once, and not about what does not."""

from __future__ import annotations

import contextvars
import io
import os
import pty
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import rich.console
import rich.progress

from amxfp4.util import console


def test_long_work_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a while there is one line, in a pipe too."""
    monkeypatch.setattr(console, "SILENCE", 0.05)
    with console.working("compiling dot"):
        time.sleep(0.5)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "compiling dot ...\n")


def test_short_work_is_not_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ends before, or fails, is silent, and stays so."""
    monkeypatch.setattr(console, "SILENCE", 0.2)
    with pytest.raises(ValueError, match="dot"), console.working("compiling dot"):
        raise ValueError("dot")
    time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_inner_work_renames_the_outer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal has one line for what goes on; a pipe names each slow step."""
    monkeypatch.setattr(console, "SILENCE", 0.1)
    with console.working("outer") as step:
        with console.working("inner"):
            time.sleep(0.4)
        step("last")
        time.sleep(0.4)
    assert capsys.readouterr().err == "inner ...\nlast ...\n"


def test_threads_name_their_own_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What one thread does hides nothing of another; one that inherits its place renames it."""
    monkeypatch.setattr(console, "SILENCE", 0.1)

    def work(text: str) -> None:
        with console.working(text):
            time.sleep(0.5)

    with ThreadPoolExecutor() as pool, console.working("ours"):
        for future in [pool.submit(work, "theirs"), pool.submit(work, "others")]:
            future.result()
    assert sorted(capsys.readouterr().err.splitlines()) == ["others ...", "ours ...", "theirs ..."]
    with ThreadPoolExecutor() as pool, console.working("ours"):
        pool.submit(contextvars.copy_context().run, work, "theirs").result()
    assert capsys.readouterr().err == "theirs ...\n"


ROWS = [("amxfp4", 32, "1,024"), ("mxfp4-roundup", 16, "[5]")]


def printed(script: str, **environment: str) -> str:
    """Return what a table prints into a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", f"from amxfp4.util.console import Table\n{script}"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(
    "environment", [{}, {"FORCE_COLOR": "1"}, {"COLUMNS": "20"}, {"TERM": "xterm-256color"}]
)
def test_table_is_plain_in_a_pipe(environment: dict[str, str]) -> None:
    """One line a row, columns below each other, no lines or colours, whatever the environment."""
    add = "".join(f"table.add(*{row!r})\n" for row in ROWS)
    text = printed(f"table = Table('format', 'K', 'blocks')\n{add}table.show()", **environment)
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines == [
        "format          K  blocks",
        "amxfp4         32  1,024",
        "mxfp4-roundup  16  [5]",
    ]


def test_table_in_a_terminal() -> None:
    """With lines, and without colour where NO_COLOR is set."""
    shown = {}
    for colour in ("", "1"):
        parent, child = pty.openpty()
        script = (
            "from amxfp4.util.console import Table\n"
            "table = Table('format', 'K')\ntable.add('amxfp4', 32)\ntable.show()"
        )
        environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": colour}
        subprocess.run([sys.executable, "-c", script], stdout=child, env=environment, check=True)
        os.close(child)
        shown[colour] = os.read(parent, 4096).decode()
        os.close(parent)
    assert all("───" in text and "amxfp4" in text for text in shown.values())
    assert not re.search(r"\x1b\[(3|4|9|10)\d", shown["1"])


def test_progress_of_rich_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal that shows progress already, nothing else is shown."""
    shown = io.StringIO()
    terminal = rich.console.Console(file=shown, force_terminal=True, width=80)
    monkeypatch.setattr(console, "SILENCE", 0.05)
    with rich.progress.Progress(console=terminal) as progress:
        progress.add_task("simulating")
        with console.working("compiling dot"):
            time.sleep(0.3)
    assert "simulating" in shown.getvalue()
    assert "compiling" not in shown.getvalue()
