# amaranth: UnusedElaboratable=no
"""No assignment of the RTL loses bits without saying so.

Amaranth truncates silently, and takes a signed value's bits as they are. Here every assignment
made while a unit is described must fit; where bits are dropped on purpose, a slice says it.
"""

from __future__ import annotations

import itertools
import traceback

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Const, Fragment, Module, Signal, Value, _ast, signed

from amxfp4.gen import verilog
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import CLASS_SUMS, SCALING, DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.formats import FORMATS
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.rtl.lib.share import ModuleLibrary


class LossyAssignment(AssertionError):
    """An assignment whose target cannot hold every value of its source."""


@pytest.fixture
def watched(monkeypatch):
    """Make lossy assignments errors, and count the others."""
    counted = []
    make = _ast.Assign.__init__

    def checked(self, lhs, rhs, **kwargs):
        left, right = Value.cast(lhs), Value.cast(rhs)
        have, need = left.shape(), right.shape()
        if isinstance(right, Const):
            low = -(1 << (have.width - 1)) if have.signed else 0
            fits = low <= right.value < low + (1 << have.width)
        else:
            fits = have.width >= need.width + (have.signed and not need.signed)
            fits &= have.signed or not need.signed
        if not fits:
            here = [f for f in traceback.extract_stack() if "/rtl/" in f.filename]
            place = f"{here[-1].filename}:{here[-1].lineno}" if here else "?"
            raise LossyAssignment(f"{place}: {need!r} to {have!r}")
        counted.append(have.width)
        make(self, lhs, rhs, **kwargs)

    monkeypatch.setattr(_ast.Assign, "__init__", checked)
    # Nobody reads the text that is made of assignments, which takes five times as long as they do.
    monkeypatch.setattr(
        rtlil, "convert", lambda component, **_: Fragment.get(component, None) and ""
    )
    return counted


# One of every kind: each scale format, with two scales and with one.
KINDS = ("amxfp4", "amxfp4-e4m3", "amxfp4-pot", "mxfp4", "mxfp4-e5m2", "mxfp4-e4m3")

CONFIGS = [
    *(QuantizerConfig(format=f, lanes=n) for f in FORMATS for n in (1, 16)),
    *(
        QuantizerConfig(input=w, ties="RNE", format=f, lanes=4)
        for w in ("fp16", "fp32") for f in ("amxfp4", "mxfp4")
    ),
    *(DequantizerConfig(format=f, output=w, lanes=4) for f in FORMATS for w in ("bf16", "fp32")),
    *(
        WeightDequantizerConfig(format=f, output=w, lanes=n)
        for f, w, n in (
            ("afpq-nf4", "bf16", 4), ("fpq-nf3", "fp16", 8), ("afpq-fp4", "fp16", 2),
            ("fpq-fp3", "bf16", 128), ("fpq-nf4", "fp16", 1),
        )
    ),
    # Each kind with itself, and on either side of another.
    *(
        DotConfig(format_a=a, format_b=b, block=16, lanes=2)
        for a, b in (*zip(KINDS, KINDS, strict=True), *itertools.pairwise((*KINDS, KINDS[0])))
    ),
    *(
        DotConfig(acc=acc, block=32, lanes=8, class_sums=s, format_b=b, output=o)
        for acc, o in (("exact", "bf16"), ("fixed", "fp32"), ("fp32", "bf16"))
        for s in CLASS_SUMS for b in ("amxfp4", "nvfp4")
    ),
    # Terms one by one and all at once, with as many beats as there are terms.
    *(
        DotConfig(acc=acc, block=16, lanes=4, scaling=s, format_a=a, format_b=b)
        for acc in ("exact", "fixed") for s in SCALING
        for a, b in (("amxfp4", "amxfp4"), ("nvfp4", "amxfp4-e4m3"))
    ),
    *(
        DotConfig(format_a=a, format_b=b, block=16, lanes=2)
        for a, b in (
            ("int4", "int4"), ("int4-asym", "int4-asym"), ("amxfp4", "int4-asym"),
            ("int4", "nvfp4"),
        )
    ),
    ArrayConfig(rows=2, cols=3, lanes=8, acc="fixed", frac_bits=40, int_bits=2),
    EngineConfig(rows=2, cols=2, lanes=8, depth_a=4, depth_b=4),
    EngineConfig(
        rows=3, cols=5, lanes=8, acc="fixed", output="bf16", depth_a=2, depth_b=16,
        bytes_a=64, bytes_b=32, bytes_c=4,
    ),
    EngineConfig(rows=1, cols=1, block=16, input="records", format_b="mxfp4", bytes_c=4),
    EngineConfig(rows=3, cols=8, requantize="mxfp4", input="fp32", bytes_c=16),
    EngineConfig(rows=1, cols=32, requantize="amxfp4", output="bf16"),
    EngineUartConfig(rows=1, cols=1, block=16, input="records", bytes_b=32, payload=64),
    EngineUartConfig(
        rows=1, cols=1, block=16, payload=4096, bytes_a=4, bytes_c=64, clock=48_000_000, baud=9_600,
    ),
]  # fmt: skip


@pytest.mark.by_day(3)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.unit}-{c.digest}")
def test_no_silent_truncation(config, watched):
    """Every assignment of a unit, and of what it is made of, can hold its source."""
    ModuleLibrary().convert(verilog.component(config), "top")
    assert len(watched) > 10


@pytest.mark.parametrize("target", [Signal(4), Signal(signed(4))], ids=["unsigned", "signed"])
def test_truncation_is_noticed(watched, target):
    """The check itself fails on a lossy assignment, of a signal and of a constant."""
    m = Module()
    with pytest.raises(LossyAssignment):
        m.d.comb += target.eq(Signal(5))
    with pytest.raises(LossyAssignment):
        m.d.comb += target.eq(17)
    m.d.comb += target.eq(Signal(3))
