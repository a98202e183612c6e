"""Conversions of checkpoints: shard by shard, and on from where they were interrupted.

A shard appears when it is whole. Until all are there, the folder holds a file that says of which
input and with which options they are made, and which are complete.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amxfp4.golden import files
from amxfp4.golden.files import STATE, Checkpoint, Entry, TensorFile
from amxfp4.util.errors import reading, writing
from amxfp4.util.files import locked, replacing, write

__all__ = ["Conversion", "Notes", "Shard"]

Notes = dict[str, float]
"""A figure of each tensor of a shard that was converted."""
_LOCK = ".amxfp4-quantize.lock"
_VERSION = 1
"""That of what the state says; not the package's."""


@dataclass(frozen=True, slots=True)
class Shard:
    """What a file holds once it is converted."""

    entries: dict[str, Entry]
    metadata: dict[str, str]


class Conversion:
    """A checkpoint on its way into another folder, with the same names of files.

    Parameters
    ----------
    model
    target
        The folder: new, empty, or one where the same conversion was interrupted.
    options
        What else decides what is written: JSON values, by the names that messages give them.
    shards
        What is going to be written, by name of the shard.

    Raises
    ------
    ValueError
        `target` is any other folder, or none.
    """

    def __init__(
        self,
        model: Checkpoint,
        target: Path,
        options: Mapping[str, Any],
        shards: Mapping[str, Shard],
        *,
        again: bool = False,
    ) -> None:
        self._model, self._target, self._shards, self._again = model, target, shards, again
        names = [*shards, *model.others, *filter(None, [model.index])]
        self._asked: dict[str, Any] = {
            "version": _VERSION,
            "options": dict(options),
            "input": {name: _identity(model.folder / name) for name in names},
        }
        place, folder = target.resolve(), model.folder.resolve()
        if target.suffix == ".safetensors" or (target.exists() and not target.is_dir()):
            raise self._refused("must be a folder, as IN is a checkpoint")
        if folder in (place, *place.parents):
            raise self._refused("must be a folder outside that of IN")
        if not target.parent.is_dir():
            raise self._refused("must be a folder in an existing folder")
        self._index = ""
        if model.index:
            with reading("IN", model.folder / model.index, "an index of shards"):
                self._index = model.index_of({n: shard.entries for n, shard in shards.items()})
        self._done = self._earlier()
        self.resumed = len(self._done)
        """How many shards an earlier run has completed."""

    def _refused(self, wanted: str, why: str = "") -> ValueError:
        return ValueError(f"OUT {wanted}, not {str(self._target)!r}{f' ({why})' if why else ''}")

    def _earlier(self) -> dict[str, Notes]:
        """Read what an earlier run has completed; refuse a folder of anything else."""
        state = self._state()
        if state is None or self._again:
            return {}
        if difference := _difference(state, self._asked):
            raise self._refused(
                "must be an unfinished conversion of the same input with the same options",
                f"{difference}; --again starts anew",
            )
        return {
            shard: state["done"][shard]
            for shard in self._shards
            if shard in state["done"] and self._is_whole(shard)
        }

    def _state(self) -> dict[str, Any] | None:
        """Read what an earlier run has left, if there was one."""
        if not self._target.is_dir():
            return None
        # The state's own name may have another in front, where a run ended while it was written.
        held = [p.name for p in self._target.iterdir() if not p.name.endswith((STATE, _LOCK))]
        path = self._target / STATE
        if not path.is_file():
            if held:
                raise self._refused(
                    "must be a new or empty folder, or one where quantize was interrupted"
                )
            return None
        try:
            state = json.loads(path.read_bytes())
            parts = [state["options"], state["input"], state["done"], *state["done"].values()]
            if not all(isinstance(part, dict) for part in parts):
                raise TypeError
            if not all(files.is_plain(name) for name in state["input"]):
                raise ValueError
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            why = f"its {STATE} is damaged; remove the folder to start anew"
            raise self._refused("must be an unfinished conversion", why) from error
        return dict(state)

    def _is_whole(self, name: str) -> bool:
        with contextlib.suppress(OSError, ValueError), files.open_file(self._target / name) as file:
            shard = self._shards[name]
            return (file.entries, file.metadata) == (shard.entries, shard.metadata)
        return False

    def run(self, convert: Callable[[TensorFile, Path], Notes]) -> Notes:
        """Convert what is not complete yet, copy what travels along, write the index.

        Parameters
        ----------
        convert
            Writes what an open shard becomes to a path, and returns figures of its tensors.

        Returns
        -------
        The figures of all tensors, also of those that earlier runs have converted.

        Raises
        ------
        ValueError
            Another process converts into the same folder, or the folder cannot be written.
        KeyboardInterrupt
            Ctrl-C; what is complete stays, and standard error says so.
        """
        with writing("OUT", self._target, "a folder that can be written"), self._alone():
            try:
                self._run(convert)
            except KeyboardInterrupt:
                print(
                    f"interrupted: {len(self._done)} of {len(self._shards)} shards are complete; "
                    f"the same command{' without --again' if self._again else ''} goes on",
                    file=sys.stderr,
                )
                raise
        return {name: note for notes in self._done.values() for name, note in notes.items()}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._target.mkdir(exist_ok=True)
        try:
            with locked(self._target / _LOCK, wait=False):
                yield
        except TimeoutError as error:
            raise self._refused("must be a folder that no other run writes to") from error
        with contextlib.suppress(OSError):  # another run may have it already
            (self._target / _LOCK).unlink()

    def _run(self, convert: Callable[[TensorFile, Path], Notes]) -> None:
        model, target, names = self._model, self._target, self._asked["input"]
        if self._again and (state := self._state()):
            for name in state["input"]:
                (target / name).unlink(missing_ok=True)
        self._done = self._earlier()
        self._save()
        for path in target.iterdir():
            # What `replacing` could not remove in a process that was killed.
            ours = path.name[:1] == path.name[9:10] == "." and path.name[10:] in (*names, STATE)
            if ours and path.name not in names:
                path.unlink()
        for name in self._shards:
            if name not in self._done:
                with contextlib.ExitStack() as stack:
                    with reading("IN", model.folder, "a checkpoint that stays as it is"):
                        shard = stack.enter_context(model.shard(name))
                    notes = convert(shard, target / name)
                if _identity(model.folder / name) != names[name]:
                    raise ValueError(f"IN must stay as it is meanwhile: {name!r} was changed")
                self._done[name] = notes
                self._save()
        for name in model.others:
            with replacing(target / name) as part:
                shutil.copyfile(model.folder / name, part)
        if model.index:
            write(target / model.index, self._index)
        (target / STATE).unlink()

    def _save(self) -> None:
        write(self._target / STATE, json.dumps(self._asked | {"done": self._done}))


def _identity(path: Path) -> list[int]:
    """Size and time of a file that can be read."""
    with reading("IN", path, "a checkpoint of files that can be read"), path.open("rb") as stream:
        stat = os.fstat(stream.fileno())
    return [stat.st_size, stat.st_mtime_ns]


def _difference(state: dict[str, Any], asked: dict[str, Any]) -> str:
    """Say in what an earlier run differs from what is asked for; empty if in nothing."""
    if state.get("version") != asked["version"]:
        return "another version of amxfp4 began it"
    for name, value in asked["options"].items():
        if (before := state["options"].get(name)) != value:
            return f"{name} was {before}, not {value}"
    for name in sorted(state["input"].keys() | asked["input"].keys()):
        if name not in asked["input"]:
            return f"IN has lost {name!r}"
        if name not in state["input"]:
            return f"IN has a new {name!r}"
        if state["input"][name] != asked["input"][name]:
            return f"{name!r} of IN has changed"
    return ""
