"""What somebody reads who has not installed PyTorch."""

import importlib
import sys

import pytest


def test_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "amxfp4.torch", raising=False)
    with pytest.raises(
        ModuleNotFoundError, match=r"^torch must be .* pip install 'amxfp4\[torch\]'"
    ):
        importlib.import_module("amxfp4.torch")
