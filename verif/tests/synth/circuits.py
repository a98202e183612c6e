"""Circuits whose cost is known by hand, and a library whose numbers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amxfp4.params.dot import DotConfig
from amxfp4.synth.flow.job import Job

NAND = "module adder(input a, b, output y);\n  assign y = ~(a & b);\nendmodule\n"
AND4 = "module adder(input [3:0] a, output y);\n  assign y = &a;\nendmodule\n"
FULL_ADDER = "module adder(input a, b, c, output [1:0] s);\n  assign s = a + b + c;\nendmodule\n"
REGISTER = """module adder(input clk, input [7:0] d, output reg [7:0] q);
  always @(posedge clk) q <= d;
endmodule
"""
ENABLED = """module adder(input clk, input e, input [7:0] d, output reg [7:0] q);
  always @(posedge clk) if (e) q <= d;
endmodule
"""
REGISTERED = """module adder(input clk, input a, b, c, output reg [1:0] s);
  always @(posedge clk) s <= a + b + c;
endmodule
"""
MULTIPLIER = """module adder(input [7:0] a, b, output [15:0] p);
  assign p = a * b;
endmodule
"""
BOTH = """module adder(input clk, a, b, c, input [7:0] x, y, output reg [1:0] s, output [15:0] p);
  always @(posedge clk) s <= a + b + c;
  assign p = x * y;
endmodule
"""
WIRES = "module adder(input [3:0] a, output [3:0] y);\n  assign y = a;\nendmodule\n"
BROKEN = "module adder(input a, output y);\n  assign y = a +;\nendmodule\n"

_TABLE = """(t) { index_1 ("0.01, 0.1, 1"); index_2 ("0.001, 0.01, 0.1");
  values ("0.1, 0.19, 1.09", "0.1, 0.19, 1.09", "0.1, 0.19, 1.09"); }"""
"""0.09 ns, and 10 ns/pF: 0.1 ns into one input, which is 1 fF."""

_HEAD = """library (tiny) {
delay_model : table_lookup; time_unit : "1ns"; capacitive_load_unit (1, pf);
voltage_unit : "1V"; nom_voltage : 1;
lu_table_template (t) {
  variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
  index_1 ("0.01, 0.1, 1"); index_2 ("0.001, 0.01, 0.1");
}
"""

_REGISTER = """cell (DFF) { area : 10; ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }
pin (C) { direction : input; clock : true; capacitance : 0.001; }
pin (D) { direction : input; capacitance : 0.001; }
pin (Q) { direction : output; function : "IQ"; } }
"""


def cell(name: str, area: float, function: str, attributes: str = "") -> str:
    """Liberty text of a gate whose inputs are the capitals from A to D in `function`."""
    inputs = [pin for pin in "ABCD" if pin in function]
    sense = "positive_unate" if function == "A" else "negative_unate"
    arcs = "".join(
        f'timing () {{ related_pin : "{pin}"; timing_sense : {sense}; cell_rise {_TABLE} '
        f"cell_fall {_TABLE} rise_transition {_TABLE} fall_transition {_TABLE} }}\n"
        for pin in inputs
    )
    pins = "".join(f"pin ({p}) {{ direction : input; capacitance : 0.001; }}\n" for p in inputs)
    return (
        f"cell ({name}) {{ area : {area}; {attributes}\n{pins}pin (Y) {{ direction : output; "
        f'max_capacitance : 0.1; function : "{function}";\n{arcs}}} }}\n'
    )


INVERTER = cell("INV", 2, "!A")
GATES = INVERTER + cell("BUF", 4, "A") + cell("NOR2", 4, "!(A | B)")
NAND2 = cell("NAND2", 3, "!(A & B)")


def library(path: Path, cells: str = GATES + NAND2) -> Path:
    """Write a Liberty file of `cells` and a flip-flop."""
    path.write_text(f"{_HEAD}{cells}{_REGISTER}}}\n")
    return path


def circuit(verilog: str, **options: Any) -> Job:
    """Make a job of any Verilog whose top module is ``adder``."""
    job = Job(config=DotConfig(lanes=1), component="adder", **options)
    vars(job)["verilog"] = verilog
    return job
