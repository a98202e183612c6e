"""Every build is linted: Verilator's full set of warnings but for the named waivers is fatal.

What the tests of batches and testbenches build is linted there. Here are engines of the shapes and
widths that nobody simulates.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amxfp4.gen import verilog
from amxfp4.params.config import UnitConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.util.errors import ToolError
from amxfp4.verif.sim import build, toolchain
from amxfp4.verif.sim.cocotb import runner
from amxfp4.verif.sim.sources import Source, source
from amxfp4.verif.tests.gen import small

ENGINES: list[UnitConfig] = [
    EngineConfig(rows=2, cols=2, lanes=8, depth_a=4, depth_b=4),
    EngineConfig(
        rows=3, cols=5, lanes=8, acc="fixed", output="bf16", depth_a=2, depth_b=16,
        bytes_a=64, bytes_b=32, bytes_c=4,
    ),
    EngineConfig(
        rows=1, cols=1, lanes=16, block=16, input="records", format_b="mxfp4", bytes_c=4
    ),
    EngineConfig(rows=3, cols=8, lanes=8, requantize="mxfp4", input="fp32", bytes_c=16),
    EngineConfig(rows=1, cols=32, lanes=8, requantize="amxfp4", output="bf16"),
    *(
        EngineUartConfig(
            rows=1, cols=1, lanes=1, block=16, depth_a=2, depth_b=2, payload=payload,
            bytes_a=bytes_a, bytes_b=4, bytes_c=bytes_c, clock=clock, baud=baud,
        )
        for payload, bytes_a, bytes_c, clock, baud in (
            (64, 4, 32, 1_000_000, 250_000),
            (128, 64, 4, 100_000_000, 115_200),
            (1024, 4, 4, 25_000_000, 1_000_000),
            (4096, 8, 64, 500_000_000, 9_600),
        )
    ),
]  # fmt: skip
BY_DAY = (ENGINES[-1],)
"""The longest frames; engines of other shapes are simulated in little by day."""


@pytest.mark.parametrize(
    "config",
    [pytest.param(c, marks=() if c in BY_DAY else pytest.mark.nightly) for c in ENGINES],
    ids=lambda c: f"{c.unit}-{c.digest}",
)
def test_lint_engines(tmp_path: Path, config: UnitConfig) -> None:
    """No engine gives a warning beyond those that waivers.vlt names."""
    assert list(build.verilate(source(config).text, config.unit, tmp_path).glob("*.cpp"))


def _around(manifest: dict[str, Any]) -> str:
    """Write a design with a time scale around a unit, whose nets must all be declared."""
    ports = [
        f"{p['direction']}put wire [{p['width'] - 1}:0] {p['name']}" for p in manifest["ports"]
    ]
    wires = ", ".join(f".{p['name']}({p['name']})" for p in manifest["ports"])
    return (
        f"`timescale 1ns / 1ps\n`default_nettype none\nmodule around({', '.join(ports)});\n"
        f"  {manifest['top']} unit({wires});\nendmodule\n"
    )


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, marks=[] if config.unit == "quantizer" else pytest.mark.nightly)
        for config in small.UNITS
    ],
    ids=lambda config: config.unit,
)
def test_design_with_a_time_scale(tmp_path: Path, config: UnitConfig, first: bool) -> None:
    """A unit passes with its own waivers, whether the design around it is read first or last."""
    made = source(config)
    verilog.write(verilog.Generated(**vars(made)), tmp_path)
    (tmp_path / "around.v").write_text(_around(made.manifest))
    names = [f"{config.unit}.v", "around.v"]
    tools = toolchain.find()
    done = subprocess.run(
        [
            tools.verilator, "--lint-only", "-Wall", "--top-module", "around",
            f"{config.unit}.vlt", *(reversed(names) if first else names),
        ],
        env=tools.environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _library(made: Source) -> None:
    build.build(made.text, made.manifest)


def _simulator(made: Source) -> None:
    runner._build(made, build.CACHE, waves=False)


@pytest.mark.parametrize("make", [_library, _simulator])
@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("wire b; assign o__payload = i__payload & b;", "UNDRIVEN"),
        ("reg r; always @(*) if (i__payload) r = clk; assign o__payload = r;", "LATCH"),
        ("assign o__payload = o__payload & i__payload;", "UNOPTFLAT"),
        ("sub s(.i(i__payload)); assign o__payload = i__payload;", "PINMISSING"),
        ("parameter P = 1; assign o__payload = i__payload;", "UNUSEDPARAM"),
    ],
)
def test_warning_fails_the_build(make: Callable[[Source], Any], body: str, rule: str) -> None:
    """No unit with a warning is simulated; the waivers leave the warnings that matter."""
    names = {"clk": "input", "i__payload": "input", "o__payload": "output"}
    ports = ", ".join(f"{direction} {name}" for name, direction in names.items())
    sub = "module sub(input i, output o); assign o = i; endmodule\n"
    manifest = {
        "unit": "top",
        "top": "top",
        "ports": [{"name": name, "width": 1} for name in names],
    }
    with pytest.raises(ToolError, match=rule):
        make(Source(f"module top({ports}); {body} endmodule\n{sub}", manifest))
