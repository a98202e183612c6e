"""Files: tensors in, blocks out and in again (safetensors; NumPy's formats for input).

Blocks are two safetensors entries per tensor: ``<name>.codes``, uint8 [..., blocks, K / 2], two
elements to a byte, low nibble first; and ``<name>.scales``, uint8 [..., blocks, 2 or 1], positive
then negative. The file's metadata holds ``<name>.format``, ``<name>.block``, ``<name>.shape`` and
``<name>.axis``.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from .blocks import Blocks
from .checks import check_kind
from .formats import values
from .packing import join_nibbles, split_nibbles

__all__ = ["Tensor", "load_blocks", "load_tensors", "save_blocks", "save_tensors"]

_CODES, _SCALES = ".codes", ".scales"
_FIELDS = ("format", "block", "shape", "axis")

# What safetensors calls the word formats, and how NumPy reads their bytes.
_SAFETENSORS_WORDS: dict[str, tuple[str, type[np.generic]]] = {
    "F32": ("fp32", np.float32),
    "F16": ("fp16", np.float16),
    "BF16": ("bf16", np.uint16),
}
# NumPy saves bfloat16 arrays as two anonymous bytes per element.
_NUMPY_WORDS = {"float32": "fp32", "float16": "fp16", "void16": "bf16"}


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor as read from a file.

    Parameters
    ----------
    values
        float32 or float16; a bf16 tensor is float32 that holds BF16 values.
    word
        Format of the file's words: ``fp32``, ``fp16`` or ``bf16``.
    """

    values: npt.NDArray[np.float32] | npt.NDArray[np.float16]
    word: str


def load_tensors(
    path: str | os.PathLike[str], *, left_out: list[str] | None = None
) -> dict[str, Tensor]:
    """Read all tensors of a ``.npy``, ``.npz`` or ``.safetensors`` file.

    Parameters
    ----------
    path
        The one tensor of a ``.npy`` file is named as the file, without its suffix. Elements of
        two anonymous bytes, as NumPy saves bfloat16, are read as bfloat16.
    left_out
        If given, tensors of other types (a checkpoint's integers, say) beside these are no error;
        their names and types are appended here.

    Returns
    -------
    Tensors by name, in the order of the file.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not what its suffix says or is truncated, a tensor is not float32, float16 or
        bfloat16, or there is none. The message names the file.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], dict[str, Tensor | str]]] = {
        ".npy": _read_numpy,
        ".npz": _read_numpy,
        ".safetensors": _read_safetensors,
    }
    if path.suffix not in readers:
        raise ValueError(f"path must end in {', '.join(readers)}, not {str(path)!r}")
    if not path.is_file():
        # One message for a missing file, whatever library would have opened it.
        reason = "is a directory" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path} cannot be read: {reason}")
    try:
        found = readers[path.suffix](path)
        tensors = {name: t for name, t in found.items() if isinstance(t, Tensor)}
        others = {name: dtype for name, dtype in found.items() if isinstance(dtype, str)}
        if left_out is not None and tensors:
            left_out.extend(f"{name} ({dtype})" for name, dtype in others.items())
        elif others:
            name, dtype = next(iter(others.items()))
            raise ValueError(f"tensor {name} must be float32, float16 or bfloat16, not {dtype}")
    except PermissionError as error:
        raise PermissionError(f"{path} cannot be read: {error.strerror}") from error
    except (EOFError, OSError, ValueError, zipfile.BadZipFile, safetensors.SafetensorError) as e:
        raise ValueError(f"{path} cannot be read: {e}") from e
    if not tensors:
        raise ValueError(f"{path} must hold at least one tensor")
    return tensors


def _read_numpy(path: Path) -> dict[str, Tensor | str]:
    # Opened here, so that it is closed even when NumPy gives up on it.
    with path.open("rb") as stream:
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.stem: _tensor(loaded)}
        with loaded:
            return {name: _tensor(loaded[name]) for name in loaded.files}


def _tensor(array: npt.NDArray[Any]) -> Tensor | str:
    """Read an array as a tensor, or the name of the type that it should not have."""
    native = array.dtype.newbyteorder("=")
    if native.name not in _NUMPY_WORDS:
        return native.name
    word = _NUMPY_WORDS[native.name]
    if word == "bf16":
        return Tensor(values(array.view(np.uint16), word), word)
    return Tensor(array.astype(native, copy=False), word)


def _read_safetensors(path: Path) -> dict[str, Tensor | str]:
    tensors: dict[str, Tensor | str] = {}
    # The library's NumPy reader needs another package for bfloat16; its bytes do not. They have no
    # types, either.
    raw_bytes = path.read_bytes()
    for name, entry in safetensors.deserialize(raw_bytes):  # type: ignore[no-untyped-call]
        dtype = entry["dtype"]
        if dtype not in _SAFETENSORS_WORDS:
            tensors[name] = dtype
            continue
        word, numpy_type = _SAFETENSORS_WORDS[dtype]
        raw = np.frombuffer(entry["data"], np.dtype(numpy_type).newbyteorder("<"))
        array: npt.NDArray[Any] = raw.astype(numpy_type, copy=False).reshape(entry["shape"])
        tensors[name] = Tensor(values(array, word) if word == "bf16" else array, word)
    return tensors


def save_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, npt.NDArray[np.float32]]
) -> None:
    """Write float32 tensors to a ``.safetensors`` file, or a single one to a ``.npy`` file.

    The file appears complete or not at all.

    Raises
    ------
    OSError
        The file cannot be written.
    ValueError
        The suffix is another one, or a ``.npy`` file would have to hold several tensors.
    """
    path = Path(path)
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    if path.suffix == ".safetensors":
        _write(path, lambda part: safetensors.numpy.save_file(arrays, part))
    elif path.suffix != ".npy":
        raise ValueError(f"path must end in .npy or .safetensors, not {str(path)!r}")
    elif len(arrays) != 1:
        raise ValueError(f"{path} must hold one tensor, not {len(arrays)}; use .safetensors")
    else:
        _write(path, lambda part: _save_npy(part, *arrays.values()))


def _save_npy(part: Path, array: npt.NDArray[np.float32]) -> None:
    with part.open("wb") as stream:  # np.save would append a suffix to a name
        np.save(stream, array)


def _write(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, then put it in its place at once."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"{path} cannot be written: {reason}") from error
    finally:
        part.unlink(missing_ok=True)


def save_blocks(path: str | os.PathLike[str], tensors: Mapping[str, Blocks]) -> None:
    """Write quantized tensors to a safetensors file.

    The file appears complete or not at all.

    Parameters
    ----------
    path
        Ends in ``.safetensors``; an existing file is replaced.
    tensors
        Quantized tensors by name.

    Raises
    ------
    OSError
        The file cannot be written.
    TypeError
        A tensor is not `Blocks`.
    ValueError
        The suffix is another one, or there is no tensor.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"path must end in .safetensors, not {str(path)!r}")
    if not tensors:
        raise ValueError("tensors must hold at least one tensor, not none")
    entries: dict[str, npt.NDArray[np.uint8]] = {}
    metadata: dict[str, str] = {}
    for name, b in tensors.items():
        check_kind(f"tensor {name}", b, Blocks)
        sides = [b.scale_pos] if b.scale_neg is None else [b.scale_pos, b.scale_neg]
        entries[name + _CODES] = join_nibbles(b.codes)
        entries[name + _SCALES] = np.stack(sides, axis=-1)
        for field in _FIELDS:
            value = getattr(b, field)
            metadata[f"{name}.{field}"] = value if field == "format" else json.dumps(value)
    _write(path, lambda part: safetensors.numpy.save_file(entries, part, metadata))


def load_blocks(path: str | os.PathLike[str]) -> dict[str, Blocks]:
    """Read quantized tensors that `save_blocks` wrote.

    Returns
    -------
    Quantized tensors by name.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is truncated, not a safetensors file, or holds something else than blocks. The
        message names the file.
    """
    path = Path(path)
    if not path.is_file():
        reason = "is a directory" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path} cannot be read: {reason}")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            entries = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        names = [name.removesuffix(_CODES) for name in entries if name.endswith(_CODES)]
        blocks = {name: _blocks(name, entries, metadata) for name in names}
        if not blocks:
            raise ValueError("it holds no <name>.codes")
        return blocks
    except PermissionError as error:
        raise PermissionError(f"{path} cannot be read: {error.strerror}") from error
    except (OSError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as blocks: {error}") from error


def _blocks(name: str, entries: Mapping[str, Any], metadata: Mapping[str, str]) -> Blocks:
    wanted = [(name + _SCALES, entries), *((f"{name}.{field}", metadata) for field in _FIELDS)]
    for key, where in wanted:
        if key not in where:
            raise ValueError(f"it holds {name}{_CODES} but no {key}")
    raw, scales = entries[name + _CODES], entries[name + _SCALES]
    for key, array in ((name + _CODES, raw), (name + _SCALES, scales)):
        if array.dtype != np.uint8 or array.ndim < 2:
            raise ValueError(f"{key} must be uint8 with two or more axes, not {array.dtype}")
    block, shape, axis = (json.loads(metadata[f"{name}.{field}"]) for field in _FIELDS[1:])
    if 2 * raw.shape[-1] != block:
        raise ValueError(f"{name}{_CODES} must be of {block} elements, not {2 * raw.shape[-1]}")
    if scales.shape[-1] not in (1, 2):
        raise ValueError(f"{name}{_SCALES} must end in 1 or 2 scales, not {scales.shape[-1]}")
    sides = [np.ascontiguousarray(scales[..., i]) for i in range(scales.shape[-1])]
    neg = sides[1] if len(sides) == 2 else None
    return Blocks(split_nibbles(raw), sides[0], neg, metadata[f"{name}.format"], shape, axis)
