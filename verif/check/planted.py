"""Faults to plant: wrappers around a generated unit, edits of its text, edits of the RTL's source.

A wrapper keeps the unit whole and spoils what passes its ports, so it does not depend on how the
unit is written. Edits of the text say what they look for and fail when it is not there.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amxfp4.params.config import UnitConfig
from amxfp4.verif.sim.build import port_width
from amxfp4.verif.sim.sources import Source, source

__all__ = ["WRAPPERS", "bug", "edited", "resets", "with_manifest", "without_reset", "wrapped"]

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


def wrapped(config: UnitConfig, changes: dict[str, str], *, declarations: str = "") -> Source:
    """Put a unit into a wrapper with some connections changed.

    Parameters
    ----------
    config
        Of the unit.
    changes
        Expressions by the name of the signal they drive, as in `WRAPPERS`.
    declarations
        Further Verilog inside the wrapper.
    """
    made = source(config)
    unit = config.unit
    text, count = re.subn(rf"^module {unit}\(", f"module {unit}_whole(", made.text, flags=re.M)
    if count != 1:
        raise ValueError(f"text must have one module {unit}, not {count}")
    width_in = port_width(made.manifest, "i__payload")
    width_out = port_width(made.manifest, "o__payload")
    drive = "\n".join(f"  assign {k} = {v};" for k, v in (_PLAIN | changes).items())
    wrapper = f"""
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
{drive}
{declarations}
  {unit}_whole inner(.clk(clk), .rst(r),
    .i__payload(x__payload), .i__valid(x__valid), .i__ready(x__ready),
    .o__payload(y__payload), .o__valid(y__valid), .o__ready(y__ready));
endmodule
"""
    return Source(text + wrapper, made.manifest)


def edited(config: UnitConfig, pattern: str, new: str | Callable[[Any], str]) -> Source:
    """Replace the first match of a regular expression in a unit's Verilog.

    Raises
    ------
    ValueError
        The text has no match: the mutant would be the unit itself.
    """
    made = source(config)
    text, count = re.subn(pattern, new, made.text, count=1, flags=re.M)
    if count == 0 or text == made.text:
        raise ValueError(f"pattern must match the Verilog of {config.unit}, not {pattern!r}")
    return Source(text, made.manifest)


_RESET = re.compile(r"= rst \? (?=\d+'[hb]0+ :)")


def resets(config: UnitConfig) -> int:
    """How many registers of a unit are reset."""
    return len(_RESET.findall(source(config).text))


def without_reset(config: UnitConfig, index: int) -> Source:
    """Take the reset away from one register."""
    made = source(config)
    match = list(_RESET.finditer(made.text))[index]
    text = made.text[: match.start()] + "= 1'h0 ? " + made.text[match.end() :]
    return Source(text, made.manifest)


def with_manifest(made: Source, **changes: Any) -> Source:
    """Give the same Verilog a manifest that says something else."""
    config = made.manifest["config"] | {k: v for k, v in changes.items() if k not in made.manifest}
    top = {k: v for k, v in changes.items() if k in made.manifest}
    return Source(made.text, made.manifest | {"config": config} | top)


def bug(monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str) -> None:
    """Replace `old`, which must stand in a module of the RTL once, wherever its classes went."""
    right = importlib.import_module(f"amxfp4.rtl.{module}")
    assert right.__file__ is not None
    text = Path(right.__file__).read_text()
    if text.count(old) != 1:
        raise ValueError(f"{module} must have {old!r} once, not {text.count(old)} times")
    names: dict[str, Any] = {"__name__": right.__name__, "__file__": right.__file__}
    exec(compile(text.replace(old, new), right.__file__, "exec"), names)
    users = [m for n, m in list(sys.modules.items()) if n.startswith(("amxfp4.rtl", "amxfp4.gen"))]
    for name in right.__all__:
        original = getattr(right, name)
        for user in users:
            if getattr(user, name, None) is original:
                monkeypatch.setattr(user, name, names[name])
