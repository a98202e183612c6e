"""The units drop into other flows: FuseSoC's lint target runs on the cores they come with."""

import json
import re
import subprocess
import sys

import pytest

from amxfp4 import cli
from amxfp4.params.units import UNITS
from amxfp4.verif.sim import toolchain

pytest.importorskip("fusesoc", reason="fusesoc comes with the dev extra: make lint")

SMALL = {
    "quantizer": ["--lanes", "4"],
    "dequantizer": ["--lanes", "4"],
    "dot": ["--lanes", "4"],
    "array": ["--rows", "2", "--cols", "2", "--lanes", "2"],
    "engine": ["--rows", "1", "--cols", "2", "--lanes", "2", "--depth-a", "2", "--depth-b", "2"],
}
SMALL["engine_uart"] = SMALL["engine"]


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


@pytest.mark.parametrize("unit", UNITS)
def test_lint_target(tmp_path, unit):
    """Every unit's core is found and passes; the same core fails once its Verilog is broken."""
    folder = tmp_path / "verilog"
    assert cli.run(["verilog", unit, *SMALL[unit], "--out", str(folder)]) == 0
    code, said = lint(tmp_path, unit)
    assert code == 0, said
    (commands,) = (tmp_path / unit).glob("*.vc")
    assert "-Wall" in commands.read_text()

    source = folder / f"{unit}.v"
    text = source.read_text()
    head, port, tail = text.rpartition("endmodule")
    source.write_text(f"{head}  wire planted; assign planted = nowhere;\n{port}{tail}")
    code, said = lint(tmp_path, unit)
    assert code != 0
    assert "nowhere" in said


@pytest.mark.parametrize("unit", ["quantizer", "engine"])
def test_file_list(tmp_path, unit):
    """Verilator takes the list of files from any folder."""
    folder = tmp_path / "verilog"
    assert cli.run(["verilog", unit, *SMALL[unit], "--out", str(folder)]) == 0
    tools = toolchain.find()
    command = [tools.verilator, "--lint-only", "-Wall", folder / f"{unit}.vlt"]
    done = subprocess.run(
        [*command, "-F", folder / f"{unit}.f", "--top-module", unit],
        env=tools.environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_block_design_wrapper(tmp_path):
    """The wrapper has every port of the engine once, and nothing is left unconnected."""
    folder = tmp_path / "verilog"
    assert cli.run(["verilog", "engine", *SMALL["engine"], "--out", str(folder)]) == 0
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
