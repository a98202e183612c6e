"""Quantizer and dequantizer in which all their planted bugs sleep, built once for all tests."""

from __future__ import annotations

from functools import cache

from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.check import planted
from amxfp4.verif.check.planted import Edit, Planted

__all__ = ["BUGS", "DEQUANTIZER", "QUANTIZER", "UNITS", "faulty"]

QUANTIZER = QuantizerConfig(lanes=4)
WHOLE = QuantizerConfig(block=16)
SCAN = QuantizerConfig(lanes=4, maxima="scan")
FOUR_OR_SIX = QuantizerConfig(format="nvfp4-46", lanes=2)
COMBINATIONAL = QuantizerConfig(block=16, pipeline="")
DEQUANTIZER = DequantizerConfig(lanes=4)
UNITS: dict[str, UnitConfig] = {
    "quantizer": QUANTIZER, "whole": WHOLE, "scan": SCAN, "combinational": COMBINATIONAL,
    "four or six": FOUR_OR_SIX, "dequantizer": DEQUANTIZER,
}  # fmt: skip

BUGS: dict[str, dict[str, Edit]] = {
    "quantizer": {
        "NaN of an earlier beat forgotten": (
            "quantizer.quantizer", "nans.append(so_far.nan)", "nans.append(C(0, 1))",
        ),
        "maxima of the block before kept": (
            "quantizer.quantizer", "Mux(buffer.is_last_in, 0, found.as_value())",
            "found.as_value()",
        ),
        "scales change while their block leaves": (
            "quantizer.quantizer", "with m.If(buffer.is_last_in):", "with m.If(1):",
        ),
        "record of a part": (
            "quantizer.quantizer", "leaving.valid & is_last)", "leaving.valid)",
        ),
        "elements of a NaN block": (
            "quantizer.quantizer", "element.nan.eq(nan)", "element.nan.eq(0)",
        ),
        "earlier beats not compared": (
            "quantizer.maxima", "[*values, self.so_far[n].as_value()]", "[*values, C(0, 1)]",
        ),
        "block leaves before it is whole": (
            "quantizer.buffer", "with m.If(self.is_last_in):", "with m.If(1):",
        ),
        "block follows itself": (
            "quantizer.buffer", "self.o.valid.eq(0)", "self.o.valid.eq(1)",
        ),
        "next block overtakes": (
            "quantizer.buffer", "| (place_in != place_out)", "| 1",
        ),
        "next block waits": (
            "quantizer.buffer", "| leaves | (place_in != place_out)", "",
        ),
        "beats refused are written": (
            "quantizer.buffer", "write.en.eq(enters)", "write.en.eq(self.i.valid)",
        ),
        "small words left in the window": (
            "quantizer.key", "If(~above & ~beyond.all())", "If(C(0, 1))",
        ),
        "large words left in the window": (
            "quantizer.key", "If(above & beyond.any())", "If(C(0, 1))",
        ),
        "small words made zero": (
            "quantizer.key", "return is_small, field[end:-1]", "return is_small, C(0, 0)",
        ),
        "dropped fraction of small words lost": (
            "quantizer.key", "Cat(dropped, moved).any()", "moved.any()",
        ),
        "saturation one binade late": (
            "quantizer.element", "a >= keys.saturated", "a > keys.saturated",
        ),
        "scale of the other sign": ("quantizer.maxima", "sign == n", "sign != n"),
        "element by the scale of the other sign": (
            "quantizer.quantizer", "scales[-1], scales[0]", "scales[0], scales[-1]",
        ),
        "NaN of the positive scale only": (
            "quantizer.quantizer", "chooser.nan.eq(whole.nan)",
            "chooser.nan.eq(whole.nan & (n == 0))",
        ),
        "NaN of the negative scale only": (
            "quantizer.quantizer", "chooser.nan.eq(whole.nan)",
            "chooser.nan.eq(whole.nan & (n == 1))",
        ),
    },
    "whole": {
        "NaN of one lane forgotten": (
            "quantizer.quantizer", "Cat(nans).any()", "Cat(nans)[:-1].any()",
        ),
        "record overwritten": (
            "quantizer.quantizer", "eq(~self.o.valid | self.o.ready)", "eq(1)",
        ),
        "loser of a pair goes on": ("quantizer.maxima", "flag & ~goes_on[0] for", "flag for"),
        "winner of a pair of two signs stays": (
            "quantizer.maxima", "(first_wins | ~ours[-1])", "first_wins",
        ),
        "only beat replaced before it left": (
            "quantizer.buffer", "enters):\n                m.d.sync += held",
            "1):\n                m.d.sync += held",
        ),
    },
    "scan": {
        "candidates never dropped": ("lib.arith", "c & (b | ~largest)", "c"),
        "all candidates dropped": ("lib.arith", "c & (b | ~largest)", "c & b"),
    },
    "combinational": {
        "no record ever waits for its sink": (
            "quantizer.quantizer", "leaving.ready.eq(self.o.ready)", "leaving.ready.eq(1)",
        ),
    },
    "four or six": {
        "the second of equal errors": (
            "quantizer.error", "sides[1]) > sides[0]", "sides[1]) >= sides[0]",
        ),
        "the second scale's binade is the first's": (
            "quantizer.error", "sides[1] << 2", "sides[1]",
        ),
        "products count once": ("quantizer.error", "squares << places", "squares << places + 1"),
        "last bit of a product dropped": (
            "quantizer.error", "self.product.eq(word[1:])", "self.product.eq(word[2:] << 1)",
        ),
        "first bit of a product dropped": (
            "quantizer.error", "self.product.eq(word[1:])", "self.product.eq(word[1:-1])",
        ),
        "words far below a scale count": ("quantizer.error", "If(q.any())", "If(C(1, 1))"),
        "no word three times": (
            "quantizer.error", "man.any() & field.any()", "C(0, 1)",
        ),
        "half taken for three halves": (
            "quantizer.error", "man.any() & field.any()", "man.any()",
        ),
        "elements for their squares": (
            "quantizer.error", "int((value / unit) ** 2)", "int(value / unit)",
        ),
        "sums of the block before kept": (
            "quantizer.quantizer", "Mux(is_last_in, 0, sums.as_value())", "sums.as_value()",
        ),
        "sums change while their block leaves": (
            "quantizer.quantizer", "entering.ready & is_last_in", "entering.ready",
        ),
        "code of the first scale": (
            "quantizer.quantizer", "Mux(smaller.second, kept[5], kept[2])", "kept[2]",
        ),
        "elements of the first scale": (
            "quantizer.quantizer", "Mux(smaller.second, pair[width:], pair[:width])",
            "pair[:width]",
        ),
        "no fraction of a subnormal scale": (
            "quantizer.scale", "self.scale.fraction.eq(normalised)", "self.scale.fraction.eq(0)",
        ),
    },
    "dequantizer": {},
}  # fmt: skip
"""Edits of the RTL by unit and name."""

_WIDTH = QUANTIZER.word.width
_EXPONENT = f"{_WIDTH}*j+{QUANTIZER.word.mantissa_bits} +: {QUANTIZER.word.exponent_bits}"
_QUIET = f"""
  reg [{_WIDTH * (QUANTIZER.lanes or 1) - 1}:0] quiet;
  integer j;
  always @(*) for (j = 0; j < {QUANTIZER.lanes}; j = j + 1) begin
    quiet[{_WIDTH}*j +: {_WIDTH}] = i__payload[{_WIDTH}*j +: {_WIDTH}];
    if (&i__payload[{_EXPONENT}]) quiet[{_WIDTH}*j +: {QUANTIZER.word.mantissa_bits}] = 0;
  end
"""


def _with_scales(positive: str, negative: str) -> dict[str, str]:
    """Give the dequantizer other scale codes, written in terms of its own, `pos` and `neg`."""
    row = DEQUANTIZER.row
    codes = row.element.width * row.block
    width = row.scale.width
    fields = {
        n: f"i__payload[{codes + width * i} +: {width}]" for i, n in enumerate(("pos", "neg"))
    }
    parts = [negative.format(**fields), positive.format(**fields), f"i__payload[{codes - 1}:0]"]
    return {"x__payload": "{" + ", ".join(f"({part})" for part in parts) + "}"}


_LANE = DEQUANTIZER.word.width
_WIRES: dict[str, dict[str, dict[str, str]]] = {
    "quantizer": {
        "NaN as infinity": {"x__payload": "quiet"},
        "one bit of one record": {"o__payload": "y__payload ^ (n[31:3] == 100)"},
    },
    "dequantizer": {
        "scales swapped": _with_scales("{neg}", "{pos}"),
        "one NaN code taken as finite": _with_scales("{pos} == 8'h7c ? 8'h7b : {pos}", "{neg}"),
        "scale's sign bit not ignored": _with_scales(
            "{pos}", f"i__payload[{DEQUANTIZER.row.record_bits - 1}] ? 8'h00 : {{neg}}"
        ),
        "smallest scale flushed": _with_scales("{pos} == 8'h01 ? 8'h00 : {pos}", "{neg}"),
        "negative zero": {
            "o__payload": f"y__payload ^ ((y__payload[{_LANE - 1}:0] == 0) << {_LANE - 1})"
        },
    },
}


@cache
def faulty(unit: str) -> Planted:
    """One of `UNITS` with sleeping `BUGS`; two also have missing resets and wrappers."""
    whole = unit in _WIRES
    return planted.asleep(
        UNITS[unit], rtl=BUGS[unit], resets=whole,
        wires=planted.WRAPPERS | _WIRES[unit] if whole else None,
        declarations=_QUIET if unit == "quantizer" else "",
    )  # fmt: skip
