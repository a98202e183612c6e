"""Faults to plant in a unit: wrappers around it, edits of its Verilog, edits of the RTL's source.

All faults of a unit sleep in one text until a run wakes one, so that the unit is built once, and
what passes while they sleep is what fails with one awake. A wrapper keeps the unit whole and spoils
what passes its ports, so it does not depend on how the unit is written. Edits say what they look
for, and it is an error if it is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amxfp4.params.config import UnitConfig
from amxfp4.util.files import digest
from amxfp4.verif.check import rtl_edits
from amxfp4.verif.check.rtl_edits import Edit, bug
from amxfp4.verif.sim import benches
from amxfp4.verif.sim.build import port_width
from amxfp4.verif.sim.cocotb.runner import TestbenchError, run_testbench
from amxfp4.verif.sim.sources import Source, source

__all__ = ["WRAPPERS", "Edit", "Planted", "asleep", "bug", "missed", "with_manifest"]

# In a wrapper: streams `i` and `o` outside, `x` (into the unit) and `y` (out of it) inside, the
# reset the unit sees `r`, and a counter `n` of cycles in which the unit's input moves.
_PLAIN = {
    "x__payload": "i__payload", "x__valid": "i__valid", "i__ready": "x__ready",
    "o__payload": "y__payload", "o__valid": "y__valid", "y__ready": "o__ready", "r": "rst",
}  # fmt: skip

WRAPPERS: dict[str, dict[str, str]] = {
    # What crosses a port in one cycle only: the contract.
    "payload changes under stall": {"o__payload": "y__payload ^ stalled"},
    "valid falls under stall": {
        "o__valid": "y__valid & ~stalled",
        "y__ready": "o__ready & ~stalled",
    },
    "valid depends on ready": {"o__valid": "y__valid & o__ready"},
    "payload depends on ready": {"o__payload": "y__payload ^ o__ready"},
    "output survives reset": {"r": "1'b0"},
    # Transfers lost, doubled or held up.
    "beat dropped": {"x__valid": "i__valid & (n != 10)", "i__ready": "x__ready | (n == 10)"},
    "beat taken twice": {"i__ready": "x__ready & (n != 10)"},
    "stuck": {"x__valid": "i__valid & (n < 10)", "i__ready": "x__ready & (n < 10)"},
    "bubble": {"x__valid": "i__valid & ~pause", "i__ready": "x__ready & ~pause"},
}
"""Faults by name: the connections that differ from a plain wrapper's."""

_RESET = re.compile(r"= rst \? (?=\d+'[hb]\w+ :)")


@dataclass(frozen=True)
class Planted(Source):
    """Verilog and manifest of a unit in which faults sleep."""

    names: tuple[str, ...]
    """Of the faults, in the order of their numbers."""

    def wake(self, name: str) -> str:
        """Argument of a simulation that wakes one fault."""
        return f"+bug={self.names.index(name) + 1}"


def asleep(
    config: UnitConfig,
    *,
    rtl: Mapping[str, Edit] | None = None,
    text: Mapping[str, tuple[str, str]] | None = None,
    wires: Mapping[str, Mapping[str, str]] | None = None,
    resets: bool = False,
    declarations: str = "",
) -> Planted:
    """Plant faults of up to four kinds in one unit, all of them asleep.

    Parameters
    ----------
    config
        Of the unit.
    rtl
        Edits of the RTL's source by name. What an edit makes of an expression and the expression
        itself stand beside each other, and the unit has a choice between them.
    text
        Edits of the Verilog by name: a regular expression of which the first match is replaced, and
        the replacement, in which ``{bug}`` is 1 while the fault is awake.
    wires
        Connections of a wrapper by name, as `WRAPPERS`, around a unit with one stream on either
        side. Without any there is no wrapper.
    resets
        Plant for every register that is reset, too, that it is not: ``reset 0`` and so on.
    declarations
        Further Verilog inside the wrapper.

    Raises
    ------
    ValueError
        What an edit looks for is not there.
    TypeError
        What it changes is no hardware, but decides what hardware there is.
    """
    rtl, text, wires = dict(rtl or {}), dict(text or {}), dict(wires or {})
    made = source(config)
    if rtl:
        numbered = dict(enumerate(rtl.values(), 1))
        changes = digest(repr(numbered), Path(rtl_edits.__file__).read_bytes())
        made = source(config, make=lambda c: rtl_edits.generate(c, numbered), changes=changes)
    names, verilog, unit = list(rtl), made.text, config.unit
    for name, (pattern, new) in text.items():
        names.append(name)
        awake = new.format(bug=f"({unit}.bug == {len(names)})")
        verilog, count = re.subn(pattern, awake, verilog, count=1, flags=re.M)
        if count == 0:
            raise ValueError(f"{name}: {pattern!r} must match the Verilog of {unit}")
    if resets:
        pieces = _RESET.split(verilog)
        verilog = pieces[0]
        for number, piece in enumerate(pieces[1:]):
            names.append(f"reset {number}")
            verilog += f"= (rst & ({unit}.bug != {len(names)})) ? {piece}"
    if wires:
        verilog = _wrapped(verilog, made, wires, len(names), declarations)
        names += wires
    if len(set(names)) < len(names):
        raise ValueError(f"every fault must have a name of its own, not {sorted(names)}")
    declared = '\n  integer bug = 0;\n  initial if (!$value$plusargs("bug=%d", bug)) bug = 0;\n'
    verilog, count = re.subn(rf"(?m)^(module {unit}\([^;]*;)", rf"\g<1>{declared}", verilog)
    if count != 1:
        raise ValueError(f"text must have one module {unit}, not {count}")
    return Planted(verilog, made.manifest | {"public": ["bug"]}, tuple(names))


def missed(made: Planted, cases: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Bugs that the unit's testbench does not catch, or not for the right reason.

    Parameters
    ----------
    cases
        By the bug's name, the test that must fail while it is awake, and a regular expression that
        what it says must match.

    Returns
    -------
    The others, and what their tests said; nothing if they passed.

    Raises
    ------
    TestbenchError
        The simulation did not come to its end.
    """
    numbers = {name: made.names.index(name) + 1 for name in cases}
    failures: Mapping[str, str] = {}
    try:
        run_testbench(
            made, seed=1, bugs=[(numbers[name], test) for name, (test, _) in cases.items()]
        )
    except TestbenchError as error:
        failures = error.failures
        if not failures:
            raise
    said = {name: failures.get(benches.with_bug(number), "") for name, number in numbers.items()}
    return {
        name: said[name]
        for name, (_, found) in cases.items()
        if not said[name] or not re.search(found, said[name], re.S)
    }


def _wrapped(
    text: str, made: Source, wires: Mapping[str, Mapping[str, str]], first: int, declarations: str
) -> str:
    """Put a unit into a wrapper; number `first` + 1 wakes the first of `wires`."""
    unit = made.manifest["unit"]
    width_in = port_width(made.manifest, "i__payload")
    width_out = port_width(made.manifest, "o__payload")
    drive = ""
    for signal, plain in _PLAIN.items():
        for number, changes in enumerate(wires.values(), first + 1):
            if signal in changes:
                plain = f"bug == {number} ? ({changes[signal]}) :\n    {plain}"
        drive += f"  assign {signal} = {plain};\n"
    return f"""{re.sub(rf"(?m)^module {unit}[(]", f"module {unit}_whole(", text)}
module {unit}(input clk, input rst,
  input [{width_in - 1}:0] i__payload, input i__valid, output i__ready,
  output [{width_out - 1}:0] o__payload, output o__valid, input o__ready);
  wire [{width_in - 1}:0] x__payload; wire x__valid, x__ready;
  wire [{width_out - 1}:0] y__payload; wire y__valid, y__ready;
  wire r;
  reg [31:0] n = 0;
  reg stalled = 0, pause = 0;
  always @(posedge clk) begin
    // Like the counters it stands for, this one does not care about what it counts.
    n <= rst ? 0 : n + 32'(i__valid & x__ready);
    stalled <= ~rst & y__valid & ~o__ready & ~stalled;
    pause <= ~rst & (n[5:0] == 6'h3f) & ~pause;
  end
{drive}{declarations}
  {unit}_whole inner(.clk(clk), .rst(r),
    .i__payload(x__payload), .i__valid(x__valid), .i__ready(x__ready),
    .o__payload(y__payload), .o__valid(y__valid), .o__ready(y__ready));
endmodule
"""


def with_manifest(made: Source, **changes: Any) -> Source:
    """Give the same Verilog a manifest that says something else."""
    config = made.manifest["config"] | {k: v for k, v in changes.items() if k not in made.manifest}
    top = {k: v for k, v in changes.items() if k in made.manifest}
    return Source(made.text, made.manifest | {"config": config} | top)
