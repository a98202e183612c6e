"""Layouts of Hugging Face checkpoints: compressed-tensors, ModelOpt and gpt-oss.

All have two codes to a byte, low nibble first, and rows of whole blocks.

- compressed-tensors: ``W_packed`` U8 [..., k/2] and ``W_scale`` [..., k/K]: F8_E4M3 for NVFP4, with
  ``W_global_scale``, a divisor; U8 for MXFP4.
- ModelOpt: ``W`` U8 [..., k/2], ``W_scale`` F8_E4M3 [..., k/16] and ``W_scale_2``, a multiplier.
- gpt-oss: ``W_blocks`` U8 [..., rows, k/32, 16] and ``W_scales`` U8 [..., rows, k/32], of which the
  library transformers makes W [..., k, rows]; OpenAI's ``W.blocks`` and ``W.scales``, of W
  [..., rows, k].
"""

from __future__ import annotations

from collections.abc import Iterator

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.files.tensor_file import Entry, TensorFile
from amxfp4.golden.nibbles import split_nibbles
from amxfp4.params.formats import FORMATS, BlockFormat

from .parts import factor, in_order, is_factor, packed
from .tensor import Stored

__all__ = ["compressed_tensors", "gpt_oss", "modelopt"]

_BY_SCALE = {"F8_E4M3": FORMATS["nvfp4"], "U8": FORMATS["mxfp4"], "F8_E8M0": FORMATS["mxfp4"]}
"""Which format has scales of a type."""


def _row(codes: Entry, scale: Entry | None) -> BlockFormat | None:
    """Format of codes and scales that fit each other."""
    if scale is None or codes.dtype != "U8" or not codes.shape or scale.dtype not in _BY_SCALE:
        return None
    row = _BY_SCALE[scale.dtype]
    fits = scale.shape == (*codes.shape[:-1], codes.shape[-1] * 2 // row.block)
    return row if fits and codes.shape[-1] * 2 % row.block == 0 and codes.bytes else None


def compressed_tensors(file: TensorFile) -> Iterator[Stored]:
    """Tensors as compressed-tensors stores them: value R(q * R(s / g))."""
    for name, entry in file.entries.items():
        stem = name.removesuffix("_packed")
        yield from _packed(file, stem, name, entry, f"{stem}_global_scale", divides=True)


def modelopt(file: TensorFile) -> Iterator[Stored]:
    """Tensors as ModelOpt's export stores them: value R(q * R(s * t))."""
    for name, entry in file.entries.items():
        yield from _packed(file, name, name, entry, f"{name}_scale_2", divides=False)


def _packed(
    file: TensorFile, stem: str, codes: str, entry: Entry, scale_2: str, *, divides: bool
) -> Iterator[Stored]:
    scale = f"{stem}_scale"
    row = _row(entry, file.entries.get(scale))
    # ModelOpt's MXFP4 is none of the layouts that are known here.
    if row is None or (stem == codes) == divides or not (divides or row.name == "nvfp4"):
        return
    given = scale_2 if row.name == "nvfp4" else None
    if given and not is_factor(file.entries.get(given)):
        return

    def read() -> Blocks:
        return packed(file, codes, scale, row, factor(file, given), divides=divides and bool(given))

    yield Stored(
        name=stem, layout="compressed-tensors" if divides else "modelopt", format=row.name,
        shape=(*entry.shape[:-1], 2 * entry.shape[-1]), axis=len(entry.shape) - 1, row=row,
        parts=(codes, scale, given) if given else (codes, scale), read=read,
        code_8=-0.0 if divides else 0.0,
    )  # fmt: skip


def gpt_oss(file: TensorFile) -> Iterator[Stored]:
    """Tensors as gpt-oss stores them, under the names of either reader."""
    for name, entry in file.entries.items():
        for joint, transposed in (("_", True), (".", False)):
            stem = name.removesuffix(f"{joint}blocks")
            scales = f"{stem}{joint}scales"
            held = file.entries.get(scales)
            if stem != name and held is not None and _fit(entry, held):
                yield _of_gpt_oss(file, stem, name, scales, transposed=transposed)


def _fit(codes: Entry, scales: Entry) -> bool:
    both = (codes.dtype, scales.dtype) == ("U8", "U8")
    return both and len(codes.shape) >= 3 and codes.shape == (*scales.shape, 16) and codes.bytes > 0


def _of_gpt_oss(
    file: TensorFile, stem: str, codes: str, scales: str, *, transposed: bool
) -> Stored:
    *lead, rows, blocks, _ = file.entries[codes].shape
    row, columns = FORMATS["mxfp4"], blocks * 32
    shape = (*lead, columns, rows) if transposed else (*lead, rows, columns)
    axis = len(lead) if transposed else len(lead) + 1

    def read() -> Blocks:
        held = split_nibbles(file.raw(codes))
        return Blocks(held, in_order(file, scales, held.shape[:-1]), None, row.name, shape, axis)

    return Stored(name=stem, layout="gpt-oss", format=row.name, shape=shape, axis=axis, row=row,
                  parts=(codes, scales), read=read, code_8=-0.0)  # fmt: skip
