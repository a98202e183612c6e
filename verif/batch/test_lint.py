"""Every generated unit passes Verilator's full set of warnings but for the named waivers."""

from __future__ import annotations

import pytest

from amxfp4.gen.config import FORMATS, OUTPUTS, DequantizerConfig, QuantizerConfig, UnitConfig
from amxfp4.verif.batch import rotation
from amxfp4.verif.batch.lint import LintError, lint
from amxfp4.verif.batch.sources import source

SMALL: list[UnitConfig] = [
    *(QuantizerConfig(format=f, lanes=4, ties=t) for f in FORMATS for t in ("RNA", "RNE")),
    *(DequantizerConfig(format=f, lanes=4, output=o) for f in FORMATS for o in OUTPUTS),
]


@pytest.mark.parametrize(
    "config", [*rotation.quantizers(), *rotation.dequantizers(), *SMALL], ids=rotation.label
)
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
