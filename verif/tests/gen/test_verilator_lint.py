"""Every generated unit passes Verilator's full set of warnings but for the named waivers."""

from __future__ import annotations

import pytest

from amxfp4.params.array import ArrayConfig
from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.formats import FORMATS, OUTPUTS
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.batch import rotation
from amxfp4.verif.sim.lint import LintError, lint
from amxfp4.verif.sim.sources import source

SMALL: list[UnitConfig] = [
    *(QuantizerConfig(format=f, lanes=4, ties=t) for f in FORMATS for t in ("RNA", "RNE")),
    *(DequantizerConfig(format=f, lanes=4, output=o) for f in FORMATS for o in OUTPUTS),
]


PRODUCTS: list[UnitConfig] = [
    *(DotConfig(format_a=f, format_b=f, block=16, lanes=2) for f in FORMATS),
    *(DotConfig(format_a="amxfp4", format_b=f, block=16, lanes=2) for f in list(FORMATS)[1:]),
    *(
        DotConfig(acc=acc, lanes=lanes, output=output, class_sums=sums, pipeline=pipeline)
        for acc, lanes, output, sums, pipeline in (
            ("exact", 32, "fp32", "merged", "input,sums,terms,aligned,rounded"),
            ("exact", 1, "bf16", "masked", ""),
            ("fixed", 4, "fp32", "merged", "input,rounded"),
            ("fp32", 8, "bf16", "masked", "sums"),
        )
    ),
    ArrayConfig(rows=2, cols=3, lanes=8),
    ArrayConfig(rows=1, cols=2, lanes=32, acc="fixed", output="bf16"),
]

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


def _label(config: UnitConfig) -> str:
    return f"{config.unit}-{config.digest}"


@pytest.mark.parametrize("config", [*PRODUCTS, *ENGINES], ids=_label)
def test_lint_products(config: UnitConfig) -> None:
    """No dot product, array or engine gives a warning beyond those that waivers.vlt names."""
    lint(source(config).text, config.unit)


@pytest.mark.parametrize(
    "config",
    [
        *rotation.quantizers(), *rotation.options(), *rotation.dequantizers(),
        # The rotation has every format, too.
        *(pytest.param(config, marks=pytest.mark.nightly) for config in SMALL),
    ],
    ids=rotation.label,
)  # fmt: skip
def test_lint(config: UnitConfig) -> None:
    """No warning beyond those that waivers.vlt names."""
    lint(source(config).text, config.unit)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("wire b; assign y = a & b;", "UNDRIVEN"),
        ("reg r; always @(*) if (a) r = a; assign y = r;", "LATCH"),
        ("assign y = y & a;", "UNOPTFLAT"),
        ("wire [1:0] w; assign w[0] = a; assign y = w[0]; sub s(.i(a));", "PINMISSING"),
    ],
)
def test_lint_refuses(body: str, rule: str) -> None:
    """The waivers leave the warnings that matter."""
    sub = "module sub(input i, output o); assign o = i; endmodule\n"
    text = f"module top(input a, output y); {body} endmodule\n{sub}"
    with pytest.raises(LintError, match=rule):
        lint(text, "top")
