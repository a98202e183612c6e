"""The wheel holds what users need and no more, and works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import amxfp4

ROOT = Path(amxfp4.__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE")
NOT_SHIPPED = ("synth/experiments/", "verif/tests/", "verif/plan/", "verif/data/vectors/")
GOLDEN = """
import numpy as np
import amxfp4
from amxfp4 import golden
b = golden.quantize(np.arange(96, dtype=np.float32).reshape(1, 96))
assert golden.dequantize(golden.unpack(golden.pack(b), b.format, b.shape)).shape == (1, 96)
print(amxfp4.__file__)
"""
SIM = """
from pathlib import Path
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.sim.cocotb.runner import run_testbench
print(run_testbench(QuantizerConfig(lanes=8), seed=1, tests=["smoke"], out=Path("a folder")))
"""


def rooms():
    return sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def shipped():
    """Return what the wheel should hold, as paths in it."""
    found = set()
    for room in rooms():
        for path in (ROOT / room).rglob("*"):
            name = path.relative_to(ROOT).as_posix()
            passed_over = path.suffix in (".pyc", ".md") or path.name == "ruff.toml"
            if path.is_file() and not passed_over and not name.startswith(NOT_SHIPPED):
                found.add(name if room == "amxfp4" else f"amxfp4/{name}")
    return found


def build(folder):
    """Build the wheel of a copy, so that nothing an earlier build left is in it."""
    source = folder / "source"
    for room in rooms():
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Package would be ignored" not in done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder):
    """Make an environment that has the packages of this one, but not the project."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    purelib = Path(sysconfig.get_path("purelib", "venv", scheme))
    # A line of a .pth file is a path; the .pth files there, that of the project, are not read.
    lines = [p for p in sys.path if p.endswith("site-packages")]
    (purelib / "borrowed.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin"


def run(folder, *command):
    """Run `command` in `folder`, which is no checkout; return what it printed."""
    ours = ("PYTHON", "AMXFP4", "COCOTB")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=clean, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_holds_the_package_and_runs_elsewhere(tmp_path):
    wheel = build(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("amxfp4/")}
        archive.extractall(tmp_path / "unpacked")
    assert names == shipped()
    for wanted in (
        "gen/export/waivers.vlt", "synth/plans/default.toml", "synth/yosys/generic.ys",
        "synth/report/page.html", "verif/data/tensors/smollm2_layer9.npz",
        "verif/sim/batch/harness.cpp", "verif/sim/line/line.cpp",
    ):  # fmt: skip
        assert f"amxfp4/{wanted}" in names
    # Paths come before the import hook of an editable install.
    before = f"import sys; sys.path.insert(0, {str(tmp_path / 'unpacked')!r})\n"
    used = run(tmp_path, sys.executable, "-c", before + GOLDEN)
    assert Path(used.strip()).is_relative_to(tmp_path)


@pytest.mark.nightly
def test_wheel_in_a_fresh_environment(tmp_path):
    """Golden, Verilog, a simulation and a simulated board, from the installed wheel."""
    wheel = build(tmp_path)
    programs = environment(tmp_path / "env")
    pip = [programs / "python", "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    run(tmp_path, *pip, "--no-deps", "--no-index", "--force-reinstall", wheel)
    used = run(tmp_path, programs / "python", "-c", GOLDEN)
    assert Path(used.strip()).is_relative_to(tmp_path / "env")
    run(tmp_path, programs / "amxfp4", "verilog", "quantizer", "-o", "out")
    assert (tmp_path / "out" / "quantizer.json").is_file()
    assert "passed=1" in run(tmp_path, programs / "python", "-c", SIM)
    assert "payload" in run(tmp_path, programs / "amxfp4", "host", "info", "--port", "sim")


@pytest.mark.nightly
@pytest.mark.parametrize("extra", ["", "[rtl]"])
def test_declared_dependencies_are_enough(tmp_path, extra):
    """Installed as users do, with nothing borrowed; needs the package index."""
    wheel = build(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    programs = tmp_path / "env" / "bin"
    pip = [programs / "python", "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    run(tmp_path, *pip, "-c", CONSTRAINTS, f"{wheel}{extra}")
    run(tmp_path, programs / "python", "-c", GOLDEN)
    tensors = ROOT / "verif" / "data" / "tensors" / "smollm2_layer9.npz"
    run(tmp_path, programs / "amxfp4", "quantize", tensors, "blocks.safetensors")
    run(tmp_path, programs / "amxfp4", "info", "blocks.safetensors")
    run(tmp_path, programs / "amxfp4", "dequantize", "blocks.safetensors", "back.safetensors")
    if extra:
        run(tmp_path, programs / "amxfp4", "verilog", "all", "-o", "out")
