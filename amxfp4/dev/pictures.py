"""The pictures of README.md, from tensors that ship, and from what was measured and recorded."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden.quality import sqnr
from amxfp4.verif.sim.tensors import real_tensors

__all__ = ["PICTURES", "accuracy", "worth"]

TENSOR = "attn_in"
# Distinct for colour-blind readers as well (Okabe and Ito), and in print by their markers.
SHOWN = {"mxfp4": ("#D55E00", "s"), "nvfp4": ("#009E73", "^"), "amxfp4": ("#0072B2", "o")}
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "svg.fonttype": "path",  # looks the same on every machine
    "svg.hashsalt": "amxfp4",  # equal drawings are equal bytes
}


def _through(x: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    return golden.dequantize(golden.quantize(x, name))


def _block(axes: Any, x: npt.NDArray[Any]) -> None:
    """Draw the block that holds the largest activation, and what two formats make of it."""
    blocks = x.reshape(-1, 32)
    block = blocks[np.abs(blocks).max(axis=1).argmax()][np.newaxis]
    at = np.arange(32)
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.bar(at, block[0], 0.8, color="#CCCCCC", label="activation")
    for name in ("mxfp4", "amxfp4"):
        colour, marker = SHOWN[name]
        filled = colour if name == "amxfp4" else "none"
        axes.plot(
            at, _through(block, name)[0], marker, color=colour, markerfacecolor=filled,
            markersize=5, label=name.upper(),
        )  # fmt: skip
    axes.set_yscale("symlog", linthresh=0.2, linscale=2)
    axes.set_yticks([-5, -1, -0.2, 0, 0.2], ["-5", "-1", "-0.2", "0", "0.2"])
    axes.set_xlabel(f"element of a block of {TENSOR}")
    axes.set_title("One outlier, and a scale for each sign", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9, loc="lower right")


def _tensors(axes: Any, tensors: dict[str, npt.NDArray[np.float16]]) -> None:
    """Draw the noise of every tensor by format."""
    names = list(tensors)[::-1]
    for name, (colour, marker) in SHOWN.items():
        figures = [sqnr(tensors[tensor], _through(tensors[tensor], name)) for tensor in names]
        axes.plot(figures, range(len(names)), marker, color=colour, label=name.upper())
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="x", color="#DDDDDD")
    axes.set_xlabel("signal over quantization noise (dB)")
    axes.set_title("Tensors of SmolLM2-135M, layer 9", fontsize=11, loc="left")
    axes.legend(frameon=False, fontsize=9, loc="upper right")


def accuracy() -> str:
    """Draw what a scale for each sign is good for, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    tensors = real_tensors()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[5, 4])
        _block(left, tensors[TENSOR])
        _tensors(right, tensors)
        return _svg(figure)


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


_PANELS = (
    ("both", "dot, T per MAC", "Weights and activations", "dot product"),
    ("activations", "quantizer, T per element", "Activations", "quantizer"),
)
_KINDS = {"mxfp4": ("#D55E00", "s"), "nvfp4": ("#009E73", "^"), "amxfp4": ("#0072B2", "o"),
          "int4": ("#555555", "D")}  # fmt: skip
_MOST = 1.8
"""Losses above are not drawn: formats whose scales are powers of two."""
_GAP = 0.062
"""Of a panel's height, between the names of neighbours."""


def worth(record: Path) -> str:
    """Draw losses of a language model against what formats cost, from a record, as SVG.

    Parameters
    ----------
    record
        What ``amxfp4 accuracy --record`` wrote.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    table = json.loads(record.read_text())["tables"]["losses"]
    rows = [dict(zip(table["header"], cells, strict=True)) for cells in table["rows"]]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.9), layout="constrained")
        for axes, (mode, cost, title, unit) in zip(figure.subplots(1, 2), _PANELS, strict=True):
            marks = []
            for row in rows:
                loss = float(row["nats over FP32"])
                if row["quantized"] == mode and row[cost] != "-" and loss <= _MOST:
                    x = float(row[cost].replace(",", ""))
                    marks.append((x, loss, float(row["+-"]), row["format"].strip("`")))
            _marks(axes, marks)
            axes.grid(color="#EEEEEE")
            axes.set_xlabel(f"{unit}, estimated transistors a lane")
            axes.set_title(f"{title}: nats over FP32, +- 2 errors", fontsize=11, loc="left")
        return _svg(figure)


def _marks(axes: Any, marks: list[tuple[float, float, float, str]]) -> None:
    """Draw marks (cost, loss, error, name), and names to their right, none over another."""
    xs, ys = [m[0] for m in marks], [m[1] for m in marks]
    low, high = 0.8 * min(ys), 1.1 * max(ys)
    wide, gap = max(xs) - min(xs), _GAP * (high - low)
    axes.set_ylim(low, high)
    axes.set_xlim(min(xs) - 0.08 * wide, max(xs) + 0.42 * wide)
    named: list[tuple[float, float]] = []
    for x, y, error, name in sorted(marks, key=lambda m: m[1]):
        colour, marker = next(style for kind, style in _KINDS.items() if name.startswith(kind))
        filled = "second" in name or "search" in name
        axes.errorbar(
            x, y, 2 * error, ls="", marker=marker, ms=5.5, lw=0.7, color=colour,
            markerfacecolor=colour if filled else "white",
        )  # fmt: skip
        near = [at for place, at in named if abs(place - x) < 0.26 * wide and at > y - gap]
        place = max([y, *(at + gap for at in near)])
        named.append((x, place))
        axes.annotate(
            name.replace(" tensor_scale=auto", " *"), (x, y), (x + 0.035 * wide, place),
            fontsize=7.5, color=colour, va="center", arrowprops={"arrowstyle": "-", "lw": 0.4,
            "color": colour, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip


PICTURES = {"accuracy": accuracy}
"""Pictures by name: ``docs/pictures/NAME.svg``."""
