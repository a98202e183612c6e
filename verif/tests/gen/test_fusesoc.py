"""The units drop into other flows: FuseSoC's lint target runs on the cores they come with."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amxfp4.gen import verilog
from amxfp4.verif.sim import toolchain
from amxfp4.verif.sim.sources import source
from amxfp4.verif.tests.gen import small

pytest.importorskip("fusesoc", reason="fusesoc comes with the dev extra: make lint")

UNITS = [config.unit for config in small.UNITS]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """Write every unit with its files, once, in one folder."""
    folder = tmp_path_factory.mktemp("written") / "verilog"
    for config in small.UNITS:
        verilog.write(verilog.Generated(**vars(source(config))), folder)
    return folder


@pytest.fixture
def folder(written, tmp_path) -> Path:
    """Give a test a copy of its own."""
    return Path(shutil.copytree(written, tmp_path / "verilog"))


def lint(folder, unit):
    """Run the core's lint target; its exit code and all that was said."""
    tools = toolchain.find()
    home = folder / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            sys.executable, "-m", "fusesoc.main", "--cores-root", folder / "verilog", "run",
            "--target=lint", f"--work-root={folder / unit}", unit,
        ],
        env={**tools.environment(folder), "HOME": str(home), "XDG_CONFIG_HOME": str(home)},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.nightly  # by day Verilator lints every unit (test_verilator_lint.py)
@pytest.mark.parametrize("unit", list(UNITS))
def test_lint_target(tmp_path, folder, unit):
    """Every unit's core is found and passes; the same core fails once its Verilog is broken."""
    code, said = lint(tmp_path, unit)
    assert code == 0, said
    (commands,) = (tmp_path / unit).glob("*.vc")
    assert "-Wall" in commands.read_text()
    broken = folder / f"{unit}.v"
    head, port, tail = broken.read_text().rpartition("endmodule")
    broken.write_text(f"{head}  wire planted; assign planted = nowhere;\n{port}{tail}")
    code, said = lint(tmp_path, unit)
    assert code != 0
    assert "nowhere" in said


@pytest.mark.parametrize("unit", ["quantizer", "engine"])
def test_file_list(tmp_path, folder, unit):
    """Verilator takes the list of files from any folder."""
    tools = toolchain.find()
    command = [tools.verilator, "--lint-only", "-Wall", folder / f"{unit}.vlt"]
    done = subprocess.run(
        [*command, "-F", folder / f"{unit}.f", "--top-module", unit],
        env=tools.environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_block_design_wrapper(tmp_path, folder):
    """The wrapper has every port of the engine once, and nothing is left unconnected."""
    text = (folder / "engine_axi.v").read_text()
    ports = json.loads((folder / "engine.json").read_text())["ports"]
    heads = re.findall(r"^  (?:in|out)put(?: \[(\d+):0\])? (\w+),?$", text, re.M)
    widths = {name: int(top or 0) + 1 for top, name in heads}
    assert widths.pop("aclk") == widths.pop("aresetn") == 1
    assert widths == {p["name"]: p["width"] for p in ports if p["name"] not in ("clk", "rst")}
    buses = re.search(r"ASSOCIATED_BUSIF ([\w:]+)", text).group(1).split(":")
    assert {name.rpartition("_")[0] for name in widths} == {*buses, ""}
    tools = toolchain.find()
    command = [tools.verilator, "--lint-only", "-Wall", folder / "engine.vlt"]
    done = subprocess.run(
        [*command, folder / "engine_axi.v", folder / "engine.v", "--top-module", "engine_axi"],
        env=tools.environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
