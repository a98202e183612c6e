"""A line about what takes long: late, once, and not about what does not."""

from __future__ import annotations

import io
import time

import pytest
import rich.console
import rich.progress

from amxfp4.util import console


def test_long_work_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a while there is one line, in a pipe too, and none about what is done inside."""
    monkeypatch.setattr(console, "SILENCE", 0.05)
    with console.working("compiling dot"), console.working("reading"):
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
