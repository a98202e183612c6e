"""The ``amxfp4`` command: what it lists, prints and writes, and which exit code it ends with."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import amxfp4
from amxfp4 import cli
from amxfp4.commands.files import info as info_command
from amxfp4.commands.simulated_board import SMALL
from amxfp4.params.fields import parameters
from amxfp4.params.formats import FORMATS
from amxfp4.params.units import STREAMING, UNITS
from amxfp4.params.weights import WEIGHT_FORMATS
from amxfp4.synth.boards import BOARDS

COMMANDS = (
    "verilog", "quantize", "dequantize", "matmul", "info", "compare", "accuracy", "formats", "sim",
    "synth", "fpga", "host",
)  # fmt: skip
# Commands, the unit that is configured, and which of its fields have no option there.
CONFIGURING = [
    *((f"verilog {unit}", unit, ()) for unit in UNITS),
    *((f"synth unit {unit}", unit, ()) for unit in UNITS),
    *((f"synth check {unit}", unit, ()) for unit in STREAMING),
    *((f"synth energy {unit}", unit, ()) for unit in STREAMING),
    *((f"fpga build {board}", "engine_uart", ("clock",)) for board in BOARDS),
    ("matmul", "array", ()),
    ("host simulate", "engine_uart", ()),
]
OLD_SPELLINGS = {
    "bench": "dev bench",
    "cost": "synth plan",
    "energy dot": "synth energy dot",
    "fpga ulx3s": "fpga build ulx3s",
    "lint": "dev lint",
    "measure": "synth files",
    "postsynth dot": "synth check dot",
    "program": "fpga program",
    "report": "dev report",
    "sweep": "synth sweep",
    "synth quantizer": "synth unit quantizer",
    "type": "dev type",
}


def commands(command=None, path=()):
    """Return the path of every command and group."""
    command = command or cli.command()
    found = [path] if path else []
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            found += commands(command.get_command(None, name), (*path, name))
    return found


def shown(capfd, *words):
    """Return the help of a command."""
    assert cli.run([*words, "--help"]) == 0
    return capfd.readouterr().out


def sections(text):
    """Return the options that help lists, with their text, by heading."""
    found = {}
    for heading, body in re.findall(r"^(\S.*):\n((?:  .*\n)*)", text, re.M):
        entries = re.split(r"^  (?=\S)", body, flags=re.M)[1:]
        found[heading] = {
            re.search(r"--[\w-]+|-\w\b|^\S+", entry)[0]: " ".join(entry.split())
            for entry in entries
        }
    return found


def test_help_lists_every_command(capfd):
    """What developers need is named in a line, and not listed."""
    text = shown(capfd)
    assert tuple(sections(text)["Commands"]) == COMMANDS
    assert "`amxfp4 dev` lists" in text


@pytest.mark.parametrize("group", ["", "host", "fpga", "dev"])
def test_group_alone_is_help(group, capfd):
    assert cli.run(group.split()) == 0
    assert "Commands:" in capfd.readouterr().out


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_help_of_every_command(path, capfd):
    text = shown(capfd, *path)
    assert text.startswith(f"Usage: amxfp4 {' '.join(path)} ")
    assert "..." not in text.partition("Commands:")[2], "a first line is too long for a list"


@pytest.mark.parametrize(
    ("command", "unit", "without"), CONFIGURING, ids=[command for command, *_ in CONFIGURING]
)
def test_help_lists_exactly_the_fields_of_the_unit(command, unit, without, capfd):
    """Also: each with the range that is checked, and with its default."""
    listed = sections(shown(capfd, *command.split()))
    fields = {"--" + n.replace("_", "-"): p for n, p in parameters(UNITS[unit]).items()}
    assert set(listed[unit]) - {"--device"} == set(fields) - {f"--{name}" for name in without}
    every = {name.replace("_", "-") for config in UNITS.values() for name in parameters(config)}
    others = {f"--{name}" for name in every} - set(fields)
    # The clock of an energy figure is a frequency, that of a serial line a parameter.
    others -= {"--clock"} if "energy" in command else set()
    assert not others & {option for options in listed.values() for option in options}
    for option, parameter in fields.items():
        if option[2:] not in without:
            text = re.sub(r"(\w)- (\w)", r"\1-\2", listed[unit][option])
            assert f"{parameter.text}: {parameter.allowed}. [default: " in text
            if "fpga" not in command and option[2:].replace("-", "_") not in SMALL:
                assert text.endswith(f"[default: {parameter.default}]")


def test_help_of_a_board_has_its_own_defaults(capfd):
    for name, board in BOARDS.items():
        listed = sections(shown(capfd, "fpga", "build", name))["engine_uart"]
        for field, value in board.options.items():
            assert listed["--" + field.replace("_", "-")].endswith(f"[default: {value}]")


def test_help_of_a_simulated_board_has_its_own_defaults(capfd):
    listed = sections(shown(capfd, "host", "simulate"))["engine_uart"]
    for field, value in SMALL.items():
        assert listed["--" + field.replace("_", "-")].endswith(f"[default: {value}]")


@pytest.mark.parametrize("command", ["info", "selftest", "matmul", "bench"])
def test_host_takes_what_a_simulated_board_takes_without_listing_it(command, capfd):
    listed = sections(shown(capfd, "host", command))
    assert not {"--rows", "--acc"} & {option for options in listed.values() for option in options}
    assert cli.run(["host", command, *["a", "b"][: 2 * (command == "matmul")], "--rows", "x"]) == 2
    assert "--rows must be an integer, not 'x'" in capfd.readouterr().err


def test_old_spelling_with_options_first(tmp_path, monkeypatch):
    from amxfp4.commands import synthesis

    asked = []
    monkeypatch.setattr(synthesis, "run", lambda config, **options: asked.append(config) or 0)
    assert cli.run(["synth", "--target", "ecp5", "--lanes", "4", "dot", "--block", "64"]) == 0
    assert asked == [UNITS["dot"](lanes=4, block=64)]


@pytest.mark.parametrize("old", OLD_SPELLINGS)
def test_old_spelling_is_the_new_command(old, capfd):
    assert shown(capfd, *old.split()) == shown(capfd, *OLD_SPELLINGS[old].split())


@pytest.mark.parametrize(
    "words",
    [
        "quantizer --lanes 4 --format mxfp4 -o DIR",
        "--lanes 4 quantizer --format mxfp4 -o DIR",
        "--lanes=4 --format mxfp4 -o DIR quantizer",
        "-o DIR --format=mxfp4 quantizer --lanes 4",
    ],
)
def test_options_and_unit_in_any_order(words, tmp_path, kept_verilog, capfd):
    assert cli.run(["verilog", *words.replace("DIR", str(tmp_path)).split()]) == 0
    assert "quantizer: format=mxfp4 block=32 lanes=4 " in capfd.readouterr().out
    assert (tmp_path / "quantizer.v").exists()


def test_synth_alone_is_its_plan(monkeypatch):
    """As `make synth`; options of `plan` may follow."""
    from amxfp4.commands import cost

    asked = []
    monkeypatch.setattr(cost, "run", lambda plan, **options: asked.append((plan, options)) or 0)
    for options in ([], ["--again"], ["--workers", "2", "my.toml"], ["my.toml", "--again"]):
        assert cli.run(["synth", *options]) == cli.run(["synth", "plan", *options]) == 0
    assert asked[::2] == asked[1::2]
    assert [plan.name for plan, _ in asked[::2]] == ["default.toml"] * 2 + ["my.toml"] * 2
    makefile = (Path(amxfp4.__file__).parents[1] / "Makefile").read_text()
    assert re.search(r"^synth:.*\n\t@\$\(BIN\)/amxfp4 synth \$\(ARGS\)$", makefile, re.M)


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


HEAVY = ("numpy", "amaranth", "pyosys", "matplotlib", "rich", "distributed", "cocotb")


def test_help_loads_nothing_heavy():
    """NumPy, Amaranth and Yosys take a second or two, which ``--help`` has no use for."""
    script = (
        "import sys; from amxfp4 import cli\n"
        f"for path in {[[*path, '--help'] for path in commands()]}:\n"
        "    assert cli.run(path) == 0\n"
        f"    loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "    assert not loaded, (path, loaded)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["verilog", "de"], ["dequantizer"]),
        (["synth", "energy", ""], list(STREAMING)),
        (["verilog", "quantizer", "--ti"], ["--ties"]),
        (["verilog", "quantizer", "--format", "nv"], ["nvfp4", "nvfp4-ue5m3", "nvfp4-46"]),
        (["verilog", "dot", "--pipeline", "sums,al"], ["sums,aligned"]),
        (["synth", "dot", "--lanes", "16"], ["16"]),
        (["fpga", "build", "ice"], ["icebreaker"]),
        (["fpga", "build", "ulx3s", "--device", "1"], ["12F"]),
        (["fpga", "program", "ul"], ["ulx3s"]),
        (["matmul", "a", "b", "--through", "r"], ["rtl"]),
    ],
    ids=lambda value: "-".join(value),
)
def test_completion(words, offered, monkeypatch, capfd):
    """Offer what bash asks for: what the last of `words` could become."""
    monkeypatch.setattr(sys, "argv", ["amxfp4"])
    monkeypatch.setenv("_AMXFP4_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(["amxfp4", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit):
        cli.main()
    printed = capfd.readouterr()
    assert (printed.out.split(), printed.err) == (offered, "")


def test_completion_can_be_shown(capfd):
    script = "import sys; from amxfp4.cli import run; sys.exit(run(['--show-completion', 'bash']))"
    # Or Typer asks which shell has started the tests: none, where a service did.
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert "_AMXFP4_COMPLETE=complete_bash" in done.stdout


def raising(error):
    """Return a function that raises `error`."""

    def function(*arguments, **options):
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ValueError("x must be y,\n  not z"), 2, "amxfp4: error: x must be y, not z\n"),
        (FileNotFoundError(2, "No such file", "a"), 2, "amxfp4: error: No such file: a\n"),
        (ChildProcessError("g++ is missing"), 2, "amxfp4: error: g++ is missing\n"),
        (ModuleNotFoundError("No module", name="ruff.x"), 2, "amxfp4: error: ruff must be "),
        (type("Mismatch", (AssertionError,), {})("a\nb"), 1, "a\nb\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_one_place_decides_exit_codes(error, code, text, monkeypatch, capfd):
    monkeypatch.setattr(info_command, "info", raising(error))
    assert cli.run(["info", "x"]) == code
    assert capfd.readouterr().err.startswith(text)
    if isinstance(error, KeyboardInterrupt):
        return
    monkeypatch.setenv("AMXFP4_DEBUG", "1")
    assert cli.run(["info", "x"]) == code
    printed = capfd.readouterr().err
    assert printed.startswith("Traceback")
    assert "in raising" not in printed
    assert text in printed


@pytest.mark.parametrize("error", [AssertionError("defect"), KeyError("defect")])
def test_defect_is_shown_as_one(error, monkeypatch):
    monkeypatch.setattr(info_command, "info", raising(error))
    with pytest.raises(type(error)):
        cli.run(["info", "x"])


def test_formats_lists_every_row(capfd):
    assert cli.run(["formats"]) == 0
    lines = capfd.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["format", *FORMATS, "weights", *WEIGHT_FORMATS]
    assert lines[1].split() == ["amxfp4", "32", "e2m1", "e5m2", "2", "nearest", "4.5"]
    assert lines[-1].split()[-4:] == ["fp16", "1", "3.25", "3.125"]


@pytest.mark.parametrize("command", ["energy", "check"])
def test_batches_need_streams(command, capfd):
    """An engine has buses: what runs batches through a unit says so at once."""
    assert cli.run(["synth", command, "engine"]) == 2
    error = capfd.readouterr().err
    assert error.startswith(
        "amxfp4: error: UNIT must be one of quantizer, dequantizer, weight_dequantizer, dot, "
        "array, not 'engine'"
    )
