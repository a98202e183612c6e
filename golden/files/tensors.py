"""Files of any kind by their suffix: opened, read whole, and written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.blocks import Blocks
from amxfp4.golden.checks import check_kind
from amxfp4.golden.weights import WeightBlocks

from . import layouts
from .checkpoint import Checkpoint
from .gguf_file import GgufFile, GgufWriter
from .numpy_file import NpyFile, NpzFile
from .safetensors_file import SafetensorsFile, Writer, written
from .tensor_file import Entry, Tensor, TensorFile

__all__ = [
    "is_checkpoint",
    "load_blocks",
    "load_tensors",
    "open_file",
    "save_blocks",
    "save_tensors",
    "writer",
]

_KINDS: dict[str, Callable[[Path], TensorFile]] = {
    ".npy": NpyFile, ".npz": NpzFile, ".safetensors": SafetensorsFile, ".gguf": GgufFile,
    ".json": Checkpoint,
}  # fmt: skip


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is an index of shards or a folder, which is no mistake for a file."""
    return path.suffix == ".json" or (path.is_dir() and path.suffix not in _KINDS)


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str]) -> Iterator[TensorFile]:
    """Open a file of tensors or a `Checkpoint`, and read what it declares.

    Parameters
    ----------
    path
        Ends in ``.npy``, ``.npz``, ``.safetensors`` or ``.gguf``, or is an index of shards
        (``.json``) or a folder of them.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not what its suffix says, is truncated, or declares more than it holds; or
        what is read of it inside the block is damaged. The message names the file.
    """
    path = Path(path)
    checkpoint = is_checkpoint(path)
    if path.suffix not in _KINDS and not checkpoint:
        raise ValueError(f"path must end in {', '.join(_KINDS)} or be a folder, not {str(path)!r}")
    if not path.is_file() and not (checkpoint and path.is_dir()):
        # One message for a missing file, whatever would have opened it.
        reason = "is a directory" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path} cannot be read: {reason}")
    try:
        file = Checkpoint(path) if checkpoint else _KINDS[path.suffix](path)
    except PermissionError as error:
        raise PermissionError(f"{path} cannot be read: {error.strerror}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    with contextlib.closing(file):
        yield file


def load_tensors(
    path: str | os.PathLike[str], *, left_out: list[str] | None = None
) -> dict[str, Tensor]:
    """Read all tensors of a file or of a checkpoint.

    Parameters
    ----------
    path
        As of `open_file`. The one tensor of a ``.npy`` file is named as the file, without its
        suffix. Elements of two anonymous bytes, as NumPy saves bfloat16, are read as bfloat16.
    left_out
        If given, tensors of other types (a checkpoint's integers, say) and what is no array are no
        error beside these; their names and types are appended here.

    Returns
    -------
    Tensors by name, in the order of the file.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not what its suffix says or is damaged, a tensor is not float32, float16 or
        bfloat16, or there is none. The message names the file.
    """
    with open_file(path) as file:
        if not file.entries and not file.foreign:
            raise ValueError(f"{file.path} must hold at least one tensor")
        floats = [name for name, entry in file.entries.items() if entry.word]
        others = {name: entry.dtype for name, entry in file.entries.items() if not entry.word}
        others |= dict.fromkeys(file.foreign, "no array")
        if others and (left_out is None or not floats):
            name, dtype = next(iter(others.items()))
            raise ValueError(
                f"{file.path} cannot be read: tensor {name} must be float32, float16 or bfloat16, "
                f"not {dtype}"
            )
        tensors = {name: file.tensor(name) for name in floats}
    if left_out is not None:
        left_out.extend(f"{name} ({dtype})" for name, dtype in others.items())
    return tensors


def load_blocks(path: str | os.PathLike[str]) -> dict[str, Blocks | Any]:
    """Read quantized tensors of any layout (docs/files.md); others beside them are left alone.

    Returns
    -------
    Quantized tensors by name, in the order of the file: `Blocks`, or `WeightBlocks` of the weight
    formats of AFPQ.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is damaged, holds no blocks, or ones whose parts do not belong together. The
        message names the file.
    """
    path = Path(path)
    try:
        with open_file(path) as file:
            tensors = layouts.stored(file).items()
            blocks = {name: t.coded() for name, t in tensors if t.row or t.weights}
            if not blocks:
                raise ValueError("it holds no blocks")
            return blocks
    except ValueError as error:
        why = str(error).removeprefix(f"{path} cannot be read: ")
        raise ValueError(f"{path} cannot be read as blocks: {why}") from error


def writer(
    path: str | os.PathLike[str], entries: Mapping[str, Entry], metadata: Mapping[str, str]
) -> Writer:
    """Writer of a ``.safetensors`` or ``.gguf`` file; see `Writer`."""
    kind = GgufWriter if Path(path).suffix == ".gguf" else Writer
    return kind(path, entries, metadata)


def save_blocks(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Blocks | WeightBlocks],
    *,
    layout: str = "blocks",
) -> None:
    """Write quantized tensors to a file, in their order.

    The file appears complete or not at all; equal tensors give equal bytes.

    Parameters
    ----------
    path
        Ends in ``.safetensors``, or ``.gguf`` for that layout; an existing file is replaced and its
        mode kept.
    tensors
        Quantized tensors by name.
    layout
        ``blocks``, our own; or ``compressed-tensors``, ``modelopt``, ``gpt-oss`` or ``gguf``, for
        the formats that each has (docs/files.md).

    Raises
    ------
    OSError
        The file cannot be written.
    TypeError
        A tensor is neither `Blocks` nor `WeightBlocks`.
    ValueError
        The suffix is another one, there is no tensor, or the layout cannot hold one.
    """
    path, how = Path(path), layouts.layout(layout)
    if path.suffix != how.suffix:
        raise ValueError(f"path must end in {how.suffix}, not {str(path)!r}")
    if not tensors:
        raise ValueError("tensors must hold at least one tensor, not none")
    entries: dict[str, Entry] = {}
    metadata: dict[str, str] = {}
    factors: dict[str, float | None] = {}
    for name, b in tensors.items():
        factors[name], divides = None, False
        if not isinstance(b, WeightBlocks):
            check_kind(f"tensor {name}", b, Blocks)
            divides = b.divides if how is layouts.OURS else how.divides
            scale = layouts.as_stored(name, b, divides=divides)
            factors[name] = scale if scale != 1 or b.format in how.factors else None
        has_factor = factors[name] is not None
        own, fields = how.declared(name, b.row, b.shape, b.axis, factor=has_factor)
        if twice := entries.keys() & own.keys():
            raise ValueError(f"tensors must not make two entries {min(twice)!r}")
        entries |= own
        metadata |= fields
        if has_factor and divides and how is layouts.OURS:
            metadata[f"{name}.divides"] = "true"
    with writer(path, entries, metadata) as out:
        for name, b in tensors.items():
            out.write(how.piece(b.row, b.codes, b.shared))
            out.write(how.rest(np.stack(b.shared, axis=-1).reshape(-1), factors[name]))


def save_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, npt.NDArray[np.float32]]
) -> None:
    """Write float32 tensors to a ``.safetensors`` file, or a single one to a ``.npy`` file.

    They keep their order. The file appears complete or not at all.

    Raises
    ------
    OSError
        The file cannot be written.
    ValueError
        The suffix is another one, or a ``.npy`` file would have to hold several tensors.
    """
    path = Path(path)
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}
    if path.suffix == ".safetensors":
        entries = {name: Entry("F32", a.shape, a.nbytes) for name, a in arrays.items()}
        with Writer(path, entries, {}) as writer:
            for array in arrays.values():
                writer.write(array)
    elif path.suffix != ".npy":
        raise ValueError(f"path must end in .npy or .safetensors, not {str(path)!r}")
    elif len(arrays) != 1:
        raise ValueError(f"{path} must hold one tensor, not {len(arrays)}; use .safetensors")
    else:
        with written(path) as stream:
            (array,) = arrays.values()
            np.save(stream, array)
