"""One differing block as text: what went in, what was due, what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden import formats
from amxfp4.verif.sim.batch import beats, records

__all__ = ["dequantizer", "quantizer"]


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"    {line}".rstrip() for line in lines)


def _mark(expected: int, got: int) -> str:
    return "" if expected == got else "<- differs"


def quantizer(
    config: Any,
    words: npt.NDArray[np.unsignedinteger],
    expected: npt.NDArray[np.uint8],
    got: npt.NDArray[np.uint8],
) -> str:
    """Table of a block: the scales, then every element with its input word and value."""
    (due_codes,), (due_scales,) = beats.split_records(expected[None], config.block)
    (got_codes,), (got_scales,) = beats.split_records(got[None], config.block)
    values = formats.values(words, config.word.name)
    digits = config.word.width // 4
    rows = [("field", "input", "value", "expected", "got", "")]
    for name, due, out in zip(records.names(config.row), due_scales, got_scales, strict=False):
        rows.append((name, "", "", f"0x{due:02x}", f"0x{out:02x}", _mark(due, out)))
    for at, (word, value) in enumerate(zip(words, values, strict=True)):
        due, out = due_codes[at], got_codes[at]
        sent = (f"0x{int(word):0{digits}x}", f"{float(value):.9g}")
        rows.append((f"element {at}", *sent, f"0x{due:x}", f"0x{out:x}", _mark(due, out)))
    return _table(rows)


def dequantizer(
    config: Any,
    record: npt.NDArray[np.uint8],
    expected: npt.NDArray[np.unsignedinteger],
    got: npt.NDArray[np.unsignedinteger],
) -> str:
    """Table of a block: the scales that went in, then every element with its word and value."""
    (codes,), (scales,) = records.split(config.row, record[None])
    due_values, got_values = (formats.values(w, config.word.name) for w in (expected, got))
    digits = config.word.width // 4
    rows = [("field", "code", "expected", "value", "got", "value", "")]
    for name, scale in zip(records.names(config.row), scales, strict=False):
        rows.append((name, f"0x{scale:0{2 * scale.itemsize}x}", "", "", "", "", ""))
    for at, code in enumerate(codes):
        due, out = int(expected[at]), int(got[at])
        rows.append(
            (
                f"element {at}", f"0x{code:x}",
                f"0x{due:0{digits}x}", f"{float(due_values[at]):.9g}",
                f"0x{out:0{digits}x}", f"{float(got_values[at]):.9g}", _mark(due, out),
            )
        )  # fmt: skip
    return _table(rows)
