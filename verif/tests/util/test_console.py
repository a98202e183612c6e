"""A line about what takes long: late, once, and not about what does not."""

from __future__ import annotations

import time

import pytest

from amxfp4.util import console


def test_long_work_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a while there is one line, in a pipe too."""
    monkeypatch.setattr(console, "_SILENCE", 0.05)
    with console.working("compiling dot"):
        time.sleep(0.5)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "compiling dot ...\n")


def test_short_work_is_not_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ends before, or fails, is silent, and stays so."""
    monkeypatch.setattr(console, "_SILENCE", 0.2)
    with pytest.raises(ValueError, match="dot"), console.working("compiling dot"):
        raise ValueError("dot")
    time.sleep(0.5)
    assert capsys.readouterr().err == ""
