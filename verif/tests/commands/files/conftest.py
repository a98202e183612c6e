"""Fixtures of the tests of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from amxfp4 import cli
from amxfp4.verif.tests.commands.files.checkpoints import make, whole


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with the checkpoint `model`."""
    monkeypatch.chdir(tmp_path)
    return make(tmp_path / "model")


@pytest.fixture
def expected(model: Path, capfd: pytest.CaptureFixture[str]) -> tuple[dict[str, bytes], str]:
    """All that an uninterrupted conversion makes, and what it prints."""
    assert cli.run(["quantize", str(model.name), "whole"]) == 0
    return whole(Path("whole")), capfd.readouterr().out
