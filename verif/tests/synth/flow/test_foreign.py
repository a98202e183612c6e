"""Designs from files through the flows of ours."""

from __future__ import annotations

import re

import pytest

from amxfp4 import cli
from amxfp4.gen.verilog import generate, write
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.synth.flow.foreign import ForeignJob
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.programs import SynthesisError
from amxfp4.synth.flow.run import measure, run
from amxfp4.synth.plan.goals import load_peers

_ADDER = """
`include "width.svh"
module adder #(parameter int LANES = 1) (
    input  logic [`WIDTH-1:0] a [LANES], b [LANES],
    output logic [`WIDTH:0] sum [LANES]
);
    always_comb for (int n = 0; n < LANES; n++) sum[n] = a[n] + b[n];
endmodule
"""


@pytest.fixture
def adder(tmp_path):
    """Write an adder of SystemVerilog, with what it includes in another folder with a blank."""
    sources, headers = tmp_path / "its source", tmp_path / "headers"
    sources.mkdir()
    headers.mkdir()
    (headers / "width.svh").write_text("`ifndef WIDTH\n`define WIDTH 4\n`endif\n")
    (sources / "adder.sv").write_text(_ADDER)
    return sources / "adder.sv", headers


def _area(tmp_path, adder, **options) -> int:
    source, headers = adder
    job = ForeignJob(name="adder", sources=(source,), includes=(headers,), **options)
    return measure(job, tmp_path / "build")["figures"]["transistors"]


def test_parameters_and_macros_reach_the_design(tmp_path, adder):
    """Twice the lanes are twice the area; a wider word is larger."""
    one = _area(tmp_path, adder)
    assert one > 100
    assert _area(tmp_path, adder, parameters=("LANES=2",)) == 2 * one
    assert _area(tmp_path, adder, defines=("WIDTH=8",)) > 1.5 * one


def test_our_own_verilog_measures_the_same(tmp_path):
    """A generated file read as a foreign one costs what its unit does, within a few percent."""
    config = DequantizerConfig(block=16, lanes=2)
    write(generate(config), tmp_path)
    build = tmp_path / "build"
    ours = run(Job(config=config, script="area"), build).transistors
    source = tmp_path / "dequantizer.v"
    job = ForeignJob(name="dequantizer", sources=(source,), script="area")
    foreign = measure(job, build)["figures"]["transistors"]
    assert foreign == pytest.approx(ours, rel=0.05)


def test_the_command_prints_figures_per_lane(tmp_path, adder, capfd):
    source, headers = adder
    options = ["--top", "adder", "-I", str(headers), "-G", "LANES=2", "--per", "2"]
    build = ["--build", str(tmp_path / "build")]
    assert cli.run(["synth", "files", str(source), *options, *build]) == 0
    heading, figures, *_ = capfd.readouterr().out.splitlines()
    assert heading.split()[:3] == ["target", "script", "transistors"]
    whole = int(figures.split()[2].replace(",", ""))
    assert re.search(rf"{whole / 2:,.1f} T", figures)
    # Nothing of a foreign design is among the results of ours.
    assert not (tmp_path / "build" / "synth" / "results.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--top", "nobody"], "top module nobody"),
     (["--top", "adder; shell"], "top must be a name without blanks"),
     (["--top", "adder", "-G", "LANES=1 x"], "parameter must be a name without blanks"),
     (["--top", "adder", "--per", "0"], "--per must be at least 1, not 0"),
     (["--top", "adder", "--target", "paper"], "target must be one of")],
)  # fmt: skip
def test_mistakes_are_named(tmp_path, adder, capfd, arguments, said):
    source, headers = adder
    command = [
        "synth",
        "files",
        str(source),
        "-I",
        str(headers),
        "--build",
        str(tmp_path / "build"),
    ]
    assert cli.run([*command, *arguments]) != 0
    assert said in capfd.readouterr().err


def test_a_missing_file_is_named(tmp_path, capfd):
    missing = str(tmp_path / "missing.sv")
    assert cli.run(["synth", "files", missing, "--top", "x", "--build", str(tmp_path)]) == 2
    assert missing in capfd.readouterr().err


def test_a_syntax_error_is_said_in_the_file_s_own_words(tmp_path):
    source = tmp_path / "broken.sv"
    source.write_text("module broken(input a; endmodule\n")
    with pytest.raises(SynthesisError, match="top module broken"):
        _ = ForeignJob(name="broken", sources=(source,)).verilog


def test_commands_of_peers_are_commands():
    """What peers.toml says measures a design has only options that there are."""
    commands = [peer.command for peer in load_peers().values() if peer.command]
    assert len(commands) >= 3
    known = {"--top", "--per", "--script", "--target", "-G", "-D", "-I", "-name"}
    for command in commands:
        assert command.startswith("amxfp4 synth files ")
        assert set(re.findall(r"(?<= )--?[A-Za-z]+", command)) <= known
