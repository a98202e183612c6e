"""Checkpoints: the tensors of all safetensors files of a folder, as one file of tensors.

Large models come in several files, the shards, and an index beside them, a JSON object whose
``weight_map`` names the shard of every tensor. A folder without an index holds the tensors of all
its safetensors files. Headers are read and compared with the index when a checkpoint is opened.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy.typing as npt

from .safetensors_file import SafetensorsFile, parsed
from .tensor_file import Entry, TensorFile

__all__ = ["STATE", "Checkpoint", "is_plain"]

STATE = ".amxfp4-quantize.json"
"""What an unfinished conversion keeps in its folder: the folder is no checkpoint yet."""
_SHARD, _INDEX = ".safetensors", ".safetensors.index.json"
_MOST_INDEX = 100_000_000
"""Bytes; an index of a million tensors has as many."""


def is_plain(name: object) -> bool:
    """Whether `name` is that of a file of the folder itself, on every system."""
    return isinstance(name, str) and name not in ("", "..") and PureWindowsPath(name).name == name


class Checkpoint(TensorFile):
    """The shards of an index or of a folder as one file; see `TensorFile`.

    Metadata are those of all shards; where two have a text of one name, it is the first one's.

    Parameters
    ----------
    path
        An index, which stands for its shards and nothing else, or a folder.

    Attributes
    ----------
    folder
    index
        Name of the index; empty if there is none.
    shards
        What each shard declares, by name of the file; they are closed.
    others
        Names of the files without tensors that a folder has beside the shards.
    left_out
        What else there is, with the reason why it is no part of the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path if path.is_dir() else path.parent
        self.foreign: list[str] = []
        self.others: list[str] = []
        self.left_out: dict[str, str] = {}
        if (self.folder / STATE).exists():
            raise ValueError("it is an unfinished conversion: the command that began it goes on")
        whole = path.is_dir()
        found = sorted(p.name for p in path.iterdir()) if whole else []
        indexes = [name for name in found if name.endswith(_INDEX)] if whole else [path.name]
        if len(indexes) > 1:
            raise ValueError(f"it holds several indexes, of which one must be named: {indexes}")
        self.index, self._fields = "", dict[str, Any]()
        if indexes:
            self.index = indexes[0]
            self._fields = _index(self.folder / self.index)
        places = self._fields.get("weight_map", {})
        alone = {n for n in found if n.endswith(_SHARD) and not (self.folder / n).is_dir()}
        names = sorted(places.values() if indexes else alone)
        self._sort_files(found, set(names))
        self.shards: dict[str, TensorFile] = {}
        for name in dict.fromkeys(names):
            with self.shard(name) as file:
                self.shards[name] = file
        self._places = self._compared(places) if indexes else self._named()
        self.entries = {n: entry for f in self.shards.values() for n, entry in f.entries.items()}
        self.metadata: dict[str, str] = {}
        for file in reversed(self.shards.values()):
            self.metadata.update(file.metadata)
        self._open = contextlib.ExitStack()
        self._held: tuple[str, TensorFile] | None = None

    def _sort_files(self, found: list[str], shards: set[str]) -> None:
        """Say what there is beside shards and index; refuse shards that are not there."""
        missing = sorted(name for name in shards if not (self.folder / name).is_file())
        if missing:
            raise ValueError(f"{len(missing)} of {len(shards)} shards are missing: {missing[0]!r}")
        if not shards:
            raise ValueError("it holds no .safetensors files")
        for name in found:
            if not (self.folder / name).is_file():
                folder = (self.folder / name).is_dir()
                self.left_out[name] = "a folder" if folder else "no file"
            elif name not in shards and name.endswith(_SHARD):
                self.left_out[name] = f"{self.index} does not name it"
            elif name not in shards and name != self.index:
                self.others.append(name)

    def _compared(self, places: Mapping[str, str]) -> dict[str, str]:
        """Return in which shard each tensor is, which must be where the index says."""
        for name, shard in places.items():
            if name not in self.shards[shard].entries:
                raise ValueError(f"shard {shard!r} lacks {name!r}, which {self.index} names")
        for shard, file in self.shards.items():
            for name in file.entries:
                if places.get(name) != shard:
                    where = f"says is in {places[name]!r}" if name in places else "does not name"
                    raise ValueError(f"shard {shard!r} holds {name!r}, which {self.index} {where}")
        return dict(places)

    def _named(self) -> dict[str, str]:
        places: dict[str, str] = {}
        for shard, file in self.shards.items():
            for name in file.entries:
                if name in places:
                    raise ValueError(f"{name!r} is both in {places[name]!r} and in {shard!r}")
                places[name] = shard
        return places

    @contextlib.contextmanager
    def shard(self, name: str) -> Iterator[TensorFile]:
        """Open a shard alone.

        Raises
        ------
        ValueError
            It is no safetensors file, or is not what it was when the checkpoint was opened.
        """
        try:
            file = SafetensorsFile(self.folder / name)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ValueError(f"shard {name!r} cannot be read: {why}") from error
        with contextlib.closing(file):
            known = self.shards.get(name, file)
            if (file.entries, file.metadata) != (known.entries, known.metadata):
                raise ValueError(f"shard {name!r} was changed meanwhile")
            yield file

    def index_of(self, shards: Mapping[str, Mapping[str, Entry]]) -> str:
        """Text of the index of the same shards with other tensors.

        Raises
        ------
        ValueError
            What else the old index holds is nested too deeply.
        """
        size = sum(entry.bytes for held in shards.values() for entry in held.values())
        places = {name: shard for shard, held in shards.items() for name in held}
        metadata = self._fields.get("metadata", {}) | {"total_size": size}
        whole = self._fields | {"metadata": metadata, "weight_map": dict(sorted(places.items()))}
        try:
            return json.dumps(whole, indent=2) + "\n"
        except RecursionError as error:
            raise ValueError(f"index {self.index!r} is nested too deeply") from error

    def raw(self, name: str) -> npt.NDArray[Any]:
        """See `TensorFile`; a single shard is open at a time."""
        place = self._places[name]
        if self._held is None or self._held[0] != place:
            self.close()
            self._held = place, self._open.enter_context(self.shard(place))
        return self._held[1].raw(name)

    def release(self) -> None:
        """See `TensorFile`."""
        if self._held:
            self._held[1].release()

    def close(self) -> None:
        """See `TensorFile`."""
        self._held = None
        self._open.close()


def _index(path: Path) -> dict[str, Any]:
    """Read an index and check what it says but for the shards themselves."""
    size = path.stat().st_size
    if size > _MOST_INDEX:
        raise ValueError(f"an index must be of at most {_MOST_INDEX:,} bytes, not {size:,}")
    fields = parsed(path.read_bytes(), f"index {path.name!r}")
    places, metadata = fields.get("weight_map"), fields.get("metadata", {})
    if not isinstance(places, dict) or not places or not isinstance(metadata, dict):
        raise ValueError(f"index {path.name!r} must have a weight_map of tensors and metadata")
    for name, shard in places.items():
        if not is_plain(shard) or not shard.endswith(_SHARD):
            raise ValueError(
                f"the shard of {name!r} must be a .safetensors file of the same folder, not "
                f"{shard!r}"
            )
    return fields
