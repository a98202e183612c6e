"""Import rules: each one, planted in a copy of the project, is refused."""

import ast
import shutil
import sys
from pathlib import Path

import pytest

from amxfp4 import cli
from amxfp4.dev import checks

pytest.importorskip("ruff", reason="ruff comes with the dev extra: make lint")

ROOT = Path(checks.__file__).parents[2]
SHARED = ("formats.py", "config.py")
"""Of gen/, what everyone reads; the second reads the first."""

# Folder or file, the import planted there, and ruff's code for it.
PLANTED = [
    ("gen/config.py", "import numpy", "TID251"),
    ("gen/config.py", "import amaranth", "TID253"),
    ("gen/config.py", "from amxfp4 import rtl", "TID253"),
    ("params/formats.py", "import numpy", "TID251"),
    ("params/formats.py", "from amxfp4 import rtl", "TID253"),
    ("gen/planted.py", "from amxfp4 import golden", "TID251"),
    ("gen/planted.py", "import amxfp4.verif.sim.batch", "TID251"),
    ("rtl/planted.py", "import numpy as np", "TID251"),
    ("rtl/planted.py", "from amxfp4.golden.formats import decode", "TID251"),
    ("rtl/planted.py", "from amxfp4.verif import batch", "TID251"),
    ("rtl/planted.py", "from amxfp4 import synth", "TID251"),
    ("rtl/planted.py", "from ..golden import formats", "TID252"),
    ("golden/planted.py", "import amaranth", "TID251"),
    ("golden/planted.py", "from amaranth.lib import data", "TID251"),
    ("golden/planted.py", "from amxfp4 import rtl", "TID251"),
    ("golden/planted.py", "import amxfp4.verif", "TID251"),
    ("golden/planted.py", "import amxfp4.synth", "TID251"),
    ("golden/planted.py", "import ml_dtypes", "TID251"),
    ("host/planted.py", "from amxfp4 import rtl", "TID251"),
    ("host/planted.py", "import amxfp4.verif.sim.line", "TID251"),
    ("host/planted.py", "from amxfp4.synth import job", "TID251"),
    ("host/planted.py", "from amxfp4.gen import verilog", "TID251"),
    ("host/planted.py", "import amaranth", "TID251"),
    ("synth/planted.py", "from amxfp4 import rtl", "TID251"),
    ("synth/planted.py", "from amxfp4 import golden", "TID251"),
    ("verif/cocotb/planted.py", "from amxfp4.rtl import quantizer", "TID251"),
    ("verif/cocotb/planted.py", "from amaranth import Module", "TID251"),
    ("verif/golden/test_planted.py", "import amxfp4.rtl", "TID251"),
    ("verif/unit/test_planted.py", "import cocotb", "TID251"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Copy what the rules are made of, and the shared parameters, but no other source.

    Only plants can fail.
    """
    copied = tmp_path_factory.mktemp("lint") / "copy"
    copied.mkdir()
    files = [ROOT / "pyproject.toml", *(ROOT / "gen" / name for name in SHARED)]
    files += ROOT.glob("*/ruff.toml")
    files += ROOT.glob("verif/*/ruff.toml")
    for path in files:
        target = copied / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return copied


def test_clean_copy_passes(copy, capfd):
    """Without a plant there is nothing to refuse, so that the plants are what fails below."""
    assert cli.run(["lint", str(copy)]) == 0, capfd.readouterr().out


@pytest.mark.parametrize(("place", "planted", "code"), PLANTED, ids=lambda v: v.replace("/", "."))
def test_planted_import_is_refused(copy, capfd, place, planted, code):
    path = copy / place
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    try:
        path.write_text(f"{before or ''}\n{planted}\n")
        assert cli.run(["lint", str(copy)]) == 1
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)
    assert code in capfd.readouterr().out


@pytest.mark.parametrize("name", SHARED)
def test_parameters_need_the_standard_library_only(name):
    """Also inside functions, which ruff's module-level rule does not see."""
    tree = ast.parse((ROOT / "gen" / name).read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            assert (name, node.level, node.module) == ("config.py", 1, "formats")
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert names
    assert names <= sys.stdlib_module_names


def test_folder_that_is_no_checkout(tmp_path, capfd):
    assert cli.run(["lint", str(tmp_path)]) == 2
    assert "FOLDER must be a checkout" in capfd.readouterr().err
