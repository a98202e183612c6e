"""The ``amxfp4`` command: what it lists, prints and writes."""

import dataclasses
import hashlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import amxfp4
from amxfp4 import cli
from amxfp4.cli import synth as synth_cli
from amxfp4.cli.options import OPTIONS
from amxfp4.commands import units
from amxfp4.params.formats import FORMATS
from amxfp4.params.units import UNITS

COMMANDS = (
    "verilog", "quantize", "dequantize", "matmul", "info", "formats", "sim", "bench", "report",
    "lint", "type", "host", "synth", "measure", "energy", "postsynth", "cost", "sweep", "fpga",
    "program",
)  # fmt: skip


def digests(folder):
    """Return the digest of every file in `folder`, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_help_lists_every_command(capfd):
    assert cli.run(["--help"]) == 0
    listed = re.findall(r"^  (\w+) +\S", capfd.readouterr().out.partition("Commands:")[2], re.M)
    assert listed[: len(COMMANDS)] == list(COMMANDS)


def test_no_command_is_help(capfd):
    assert cli.run([]) == 0
    assert "Commands:" in capfd.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command, capfd):
    assert cli.run([command, "--help"]) == 0
    assert capfd.readouterr().out.startswith(f"Usage: amxfp4 {command} ")


def test_version(capfd):
    assert cli.run(["--version"]) == 0
    assert capfd.readouterr().out == f"amxfp4 {amxfp4.__version__}\n"


@pytest.mark.parametrize(
    "command",
    [[str(Path(sys.executable).with_name("amxfp4"))], [sys.executable, "-m", "amxfp4"]],
    ids=["script", "module"],
)
def test_both_ways_to_start(command):
    """Also: an error's exit code and its one line reach the shell."""
    done = subprocess.run([*command, "verilog", "no-such-unit"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"amxfp4: error: UNIT must be one of {', '.join(UNITS)}, all, not 'no-such-unit'\n"
    )


def test_help_loads_nothing_heavy():
    """NumPy, Amaranth and Yosys take a second or two, which ``--help`` has no use for."""
    script = (
        "import sys; from amxfp4 import cli; cli.run(['--help']); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'amaranth', 'pyosys', 'rich')))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("AMXFP4_DEBUG", "1")
    with pytest.raises(ValueError, match=r"^UNIT must be"):
        cli.run(["verilog", "no-such-unit"])


def test_interrupt_is_130(monkeypatch):
    def interrupted(unit, options):
        raise KeyboardInterrupt

    monkeypatch.setattr(units, "configure", interrupted)
    assert cli.run(["verilog", "quantizer"]) == 130


def test_formats_lists_every_row(capfd):
    assert cli.run(["formats"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(FORMATS)
    assert lines[1].split() == ["amxfp4", "32", "e2m1", "e5m2", "2", "nearest", "4.5"]


KINDS = ("v", "json", "core", "f", "vlt")
BESIDE = {
    "engine": ("engine.h", "engine_registers.py", "engine_axi.v"),
    "engine_uart": ("engine_uart.h", "engine_uart_registers.py"),
}
"""What else is written for a unit."""


def test_every_field_of_every_unit_has_an_option():
    """A field that no command can set is found, and so is an option that no unit has."""
    fields = {field.name for config in UNITS.values() for field in dataclasses.fields(config)}
    assert fields == set(OPTIONS)


@pytest.mark.parametrize("command", ["verilog", "synth", "energy", "postsynth"])
def test_commands_have_every_option(command):
    function = getattr(cli, command, None) or getattr(synth_cli, command)
    assert set(OPTIONS) <= set(inspect.signature(function).parameters)


@pytest.mark.parametrize("unit", UNITS)
def test_verilog_twice_is_the_same_bytes(unit, tmp_path, capfd):
    """Two processes, since the order of sets may differ between them."""
    folders = [tmp_path / "first", tmp_path / "second" / "nested"]
    for folder in folders:
        command = [sys.executable, "-m", "amxfp4", "verilog", unit, "--lanes", "4", "-o"]
        subprocess.run([*command, str(folder)], check=True, capture_output=True)
    first, second = map(digests, folders)
    assert first == second
    assert set(first) == {*(f"{unit}.{kind}" for kind in KINDS), *BESIDE.get(unit, ())}


def test_verilog_prints_the_effective_configuration(tmp_path, capfd):
    arguments = ["--format", "mxfp4", "--block", "16", "--lanes", "2", "--input", "fp32"]
    assert cli.run(["verilog", "quantizer", *arguments, "--ties", "RNE", "-o", str(tmp_path)]) == 0
    printed = capfd.readouterr().out.splitlines()[0]
    options = "input=fp32 ties=RNE maxima=tree pipeline=maxima,record"
    assert printed == f"quantizer: format=mxfp4 block=16 lanes=2 {options}"
    manifest = json.loads((tmp_path / "quantizer.json").read_text())
    config = UNITS["quantizer"].from_dict(manifest["config"])
    assert (config.format, config.block, config.lanes, config.input, config.ties) == (
        "mxfp4", 16, 2, "fp32", "RNE"
    )  # fmt: skip
    head = (tmp_path / "quantizer.v").read_text().partition("\n")[0]
    assert head.startswith("//")
    assert config.digest in head


def test_verilog_all_writes_every_unit(tmp_path):
    assert cli.run(["verilog", "all", "--out", str(tmp_path)]) == 0
    wanted = {f"{unit}.{suffix}" for unit in UNITS for suffix in KINDS}
    wanted |= {name for names in BESIDE.values() for name in names}
    assert set(digests(tmp_path)) == wanted
    for unit, config_class in UNITS.items():
        manifest = json.loads((tmp_path / f"{unit}.json").read_text())
        assert manifest["digest"] == config_class().digest
    for unit in ("engine", "engine_uart"):
        assert UNITS[unit]().digest in (tmp_path / f"{unit}.h").read_text()


@pytest.mark.parametrize("command", ["energy", "postsynth"])
def test_batches_need_streams(command, capfd):
    """An engine has buses: what runs batches through a unit says so at once."""
    assert cli.run([command, "engine"]) == 2
    error = capfd.readouterr().err
    assert error.startswith(
        "amxfp4: error: UNIT must be one of quantizer, dequantizer, dot, array, not 'engine'"
    )
