"""What a file of tensors holds: types and shapes at once, bytes when they are asked for."""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.golden.formats import values

__all__ = [
    "Entry", "Tensor", "TensorFile", "load_tensors", "open_file", "save_tensors",
]  # fmt: skip

WORDS = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}
"""The word format of each type that can be quantized, as safetensors names types."""


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


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file declares about one tensor.

    Parameters
    ----------
    dtype
        Its type as safetensors names it (``BF16``, ``F8_E4M3``, ``I64``); one that safetensors
        does not have, as NumPy names it (``complex64``).
    shape
        Elements along each axis; empty for a scalar.
    bytes
        Size of its elements.
    """

    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def word(self) -> str | None:
        """Format of its words if it can be quantized: ``fp32``, ``fp16`` or ``bf16``."""
        return WORDS.get(self.dtype)

    def values(self, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values, float32 or float16, of stored words of this type or of a piece of them."""
        return values(raw, "bf16") if self.word == "bf16" else raw

    def __str__(self) -> str:
        return f"{self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}"


class TensorFile(abc.ABC):
    """An open file of tensors.

    Attributes
    ----------
    path
    entries
        What there is, by name, in the order of the file.
    metadata
        Texts by name, of a safetensors file.
    foreign
        Names of what lies in the file and is no array.
    """

    path: Path
    entries: dict[str, Entry]
    metadata: dict[str, str]
    foreign: list[str]

    @abc.abstractmethod
    def raw(self, name: str) -> npt.NDArray[Any]:
        """Elements as they are stored, in the machine's byte order; BF16 as uint16.

        Of types narrower than a byte, and of ones that NumPy does not have, the bytes. The array
        may be of the file itself: it is read as it is used, and must not be after `close`.
        """

    def tensor(self, name: str) -> Tensor:
        """Read a tensor of one of the word formats into memory."""
        entry = self.entries[name]
        assert entry.word is not None
        return Tensor(np.array(entry.values(self.raw(name))), entry.word)

    def release(self) -> None:  # noqa: B027 (not every file has something to give back)
        """Give back the memory of what was read, once it was used."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the file."""


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str]) -> Iterator[TensorFile]:
    """Open a ``.npy``, ``.npz`` or ``.safetensors`` file and read what it declares.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not what its suffix says, is truncated, or declares more than it holds; or
        what is read of it inside the block is damaged. The message names the file.
    """
    from .numpy_file import NpyFile, NpzFile
    from .safetensors_file import SafetensorsFile

    path = Path(path)
    kinds: dict[str, Callable[[Path], TensorFile]] = {
        ".npy": NpyFile, ".npz": NpzFile, ".safetensors": SafetensorsFile,
    }  # fmt: skip
    if path.suffix not in kinds:
        raise ValueError(f"path must end in {', '.join(kinds)}, not {str(path)!r}")
    if not path.is_file():
        # One message for a missing file, whatever would have opened it.
        reason = "is a directory" if path.is_dir() else "no such file"
        raise FileNotFoundError(f"{path} cannot be read: {reason}")
    try:
        file = kinds[path.suffix](path)
    except PermissionError as error:
        raise PermissionError(f"{path} cannot be read: {error.strerror}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    with contextlib.closing(file):
        yield file


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
        others = [f"{n} ({e.dtype})" for n, e in file.entries.items() if not e.word]
        others += [f"{name} (no array)" for name in file.foreign]
        if others and (left_out is None or not floats):
            name, dtype = others[0][:-1].rsplit(" (", 1)
            raise ValueError(
                f"{file.path} cannot be read: tensor {name} must be float32, float16 or bfloat16, "
                f"not {dtype}"
            )
        tensors = {name: file.tensor(name) for name in floats}
    if left_out is not None:
        left_out.extend(others)
    return tensors


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
    from .safetensors_file import Writer, replacing

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
        with replacing(path) as stream:
            (array,) = arrays.values()
            np.save(stream, array)
