"""Examples in docstrings, run; and what the golden model may import."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

from amxfp4 import golden

MODULES = ["amxfp4.golden"] + [
    module.name for module in pkgutil.walk_packages(golden.__path__, "amxfp4.golden.")
]


def test_doctests() -> None:
    """Every example of every module of the golden model."""
    attempted = 0
    for name in MODULES:
        result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0, name
        attempted += result.attempted
    assert len(MODULES) > 10
    assert attempted > 40


@pytest.mark.parametrize("name", MODULES)
def test_imports(name: str) -> None:
    """NumPy, the standard library, itself, the parameters, and whole files: no more."""
    path = importlib.import_module(name).__file__
    assert path is not None
    found = set()
    for node in ast.walk(ast.parse(Path(path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
    if name.startswith("amxfp4.golden.reference"):
        # The oracle must not lean on what it is the oracle of, nor on NumPy.
        assert {f for f in found if f.startswith("amxfp4")} <= {
            "amxfp4.params.formats",
            "amxfp4.params.checks",
            "amxfp4.params.fused",
        }
        assert "numpy" not in found
        assert "from .." not in Path(path).read_text()
    for module in found:
        root = module.split(".")[0]
        allowed = (
            root in sys.stdlib_module_names or root == "numpy" or module == "amxfp4.util.files"
        )
        assert allowed or module.startswith(("amxfp4.params.", "amxfp4.golden.")), module
