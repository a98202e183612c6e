"""Indexes and folders of shards as one file: what is read, and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import golden
from amxfp4.golden import files
from amxfp4.golden.files import checkpoint

INDEX = "model.safetensors.index.json"
A, B = "model-1.safetensors", "model-2.safetensors"
X = np.arange(6, dtype=np.float32).reshape(2, 3)
PLACES = {"x": A, "y": B, "z": A}


def _write(folder: Path, index: Any = None, shards: dict[str, Any] | None = None) -> Path:
    """Write shards, each with its tensors, and an index: an object, or a text as it is."""
    folder.mkdir(exist_ok=True)
    for number, (name, held) in enumerate((shards or {A: "zx", B: "y"}).items()):
        tensors = {tensor: X + ord(tensor) for tensor in held}
        safetensors.numpy.save_file(tensors, folder / name, {"made": str(number)})
    index = {"metadata": {"total_size": 1}, "weight_map": PLACES} if index is None else index
    text = index if isinstance(index, str | bytes) else json.dumps(index)
    (folder / INDEX).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_shards_are_one_file(tmp_path: Path) -> None:
    """By the folder or by the index: all tensors, from the shard that has each."""
    folder = _write(tmp_path / "model")
    for path in (folder, folder / INDEX):
        with files.open_file(path) as file:
            assert isinstance(file, files.Checkpoint)
            assert list(file.shards) == [A, B]
            assert sorted(file.entries) == ["x", "y", "z"]
            assert file.metadata == {"made": "0"}
            for name in "xyzxy":  # from shard to shard and back
                assert np.array_equal(file.raw(name), X + ord(name))
                file.release()
    tensors = golden.load_tensors(folder)
    assert np.array_equal(tensors["y"].values, X + ord("y"))


def test_what_else_a_folder_holds(tmp_path: Path) -> None:
    """Other files belong to a folder; an index stands for its shards alone."""
    folder = _write(tmp_path / "model")
    for name in ("config.json", ".gitattributes", "tokenizer.model"):
        (folder / name).write_text("{}")
    (folder / "original").mkdir()
    (folder / "dir.safetensors").mkdir()
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    (folder / "other.safetensors").write_text("not even read")
    with files.open_file(folder) as file:
        assert isinstance(file, files.Checkpoint)
        assert file.others == [".gitattributes", "config.json", "tokenizer.model"]
        assert file.left_out == {
            "dir.safetensors": "a folder", "original": "a folder", "gone.txt": "no file",
            "other.safetensors": f"{INDEX} does not name it",
        }  # fmt: skip
    with files.open_file(folder / INDEX) as file:
        assert isinstance(file, files.Checkpoint)
        assert (file.others, file.left_out) == ([], {})


def test_folder_without_index(tmp_path: Path) -> None:
    """All its safetensors files are shards, also one without tensors."""
    folder = _write(tmp_path / "m.5B", shards={A: "x", "b.safetensors": "y", "c.safetensors": ""})
    (folder / INDEX).unlink()
    with files.open_file(folder) as file:
        assert isinstance(file, files.Checkpoint)
        assert (file.index, list(file.entries)) == ("", ["y", "x"])
        assert list(file.shards) == ["b.safetensors", "c.safetensors", A]
    safetensors.numpy.save_file({"y": X}, folder / "d.safetensors")
    with pytest.raises(ValueError, match=r"'y' is both in 'b.safetensors' and in 'd.safetensors'"):
        golden.load_tensors(folder)


def test_links_as_in_a_cache(tmp_path: Path) -> None:
    """Shards and index are links to files of other names in another folder."""
    blobs, snapshot = _write(tmp_path / "blobs"), tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for name in (A, B, INDEX):
        (blobs / name).rename(blobs / f"hash-of-{name[6]}")
        (snapshot / name).symlink_to(Path("../../blobs") / f"hash-of-{name[6]}")
    assert sorted(golden.load_tensors(snapshot)) == ["x", "y", "z"]
    (blobs / f"hash-of-{B[6]}").unlink()
    with pytest.raises(ValueError, match=f"1 of 2 shards are missing: '{B}'"):
        golden.load_tensors(snapshot)
    (snapshot / INDEX).unlink()
    with pytest.raises(ValueError, match=f"1 of 2 shards are missing: '{B}'"):
        golden.load_tensors(snapshot)


def _of(**places: object) -> dict[str, object]:
    return {"weight_map": PLACES | places}


OUTSIDE = "must be a .safetensors file of the same folder, not "
BAD: dict[str, tuple[Any, str]] = {
    "absolute": (_of(x="/etc/x.safetensors"), OUTSIDE + "'/etc/x.safetensors'"),
    "parent": (_of(x=f"../model/{A}"), OUTSIDE),
    "parent-inside": (_of(x=f"sub/../{A}"), OUTSIDE),
    "below": (_of(x=f"sub/{A}"), OUTSIDE),
    "here": (_of(x=f"./{A}"), OUTSIDE),
    "windows": (_of(x=f"..\\{A}"), OUTSIDE),
    "drive": (_of(x=f"c:{A}"), OUTSIDE),
    "two dots": (_of(x=".."), OUTSIDE),
    "empty": (_of(x=""), OUTSIDE),
    "number": (_of(x=1), OUTSIDE),
    "null": (_of(x=None), OUTSIDE),
    "list": (_of(x=[A]), OUTSIDE),
    "pickle": (_of(x="model.bin"), OUTSIDE),
    "a folder": (_of(x="dir.safetensors"), "1 of 3 shards are missing: 'dir.safetensors'"),
    "a dead link": (_of(x="dead.safetensors"), "1 of 3 shards are missing"),
    "null byte": (_of(x="\0.safetensors"), "1 of 3 shards are missing"),
    "half character": (_of(x="\ud800.safetensors"), "1 of 3 shards are missing"),
    "very long": (_of(x="m" * 5000 + ".safetensors"), "File name too long"),
    "missing": (_of(x="model-3.safetensors"), "1 of 3 shards are missing: 'model-3.safetensors'"),
    "other case": (_of(X=A), f"shard '{A}' lacks 'X', which {INDEX} names"),
    "lacks": (_of(w=A), f"shard '{A}' lacks 'w', which {INDEX} names"),
    "other shard": (_of(x=B), f"shard '{B}' lacks 'x'"),
    "unnamed": ({"weight_map": {"x": A, "y": B}}, f"'{A}' holds 'z', which {INDEX} does not name"),
    "cut": ('{"weight_map": {"x":', "is not JSON"),
    "nothing": ("", "is not JSON"),
    "bytes": (b"\xff\xfe", "is not JSON"),
    "a list": ("[]", "is not an object"),
    "a number": ("7", "is not an object"),
    "a long number": ('{"weight_map": ' + "7" * 5000 + "}", "4300 digits"),
    "no map": ("{}", "must have a weight_map"),
    "empty map": ('{"weight_map": {}}', "must have a weight_map"),
    "list for map": ('{"weight_map": ["x"]}', "must have a weight_map"),
    "list for metadata": ({"metadata": [], **_of()}, "must have a weight_map"),
    "nested": ("[" * 100_000, "nested too deeply"),
    "twice": (
        f'{{"weight_map": {{"x": "{A}", "y": "{B}", "x": "{B}"}}}}',
        f"index '{INDEX}' has 'x' twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", ["folder", "index"])
@pytest.mark.parametrize("case", BAD)
def test_bad_index(tmp_path: Path, case: str, how: str) -> None:
    """One line that names the path, and says what is wrong."""
    index, said = BAD[case]
    folder = _write(tmp_path / "model", index)
    (folder / "sub").mkdir()
    for path in (tmp_path / A, folder / "sub" / A):
        path.write_bytes((folder / A).read_bytes())  # as if it were worth reading
    (folder / "dir.safetensors").mkdir()
    (folder / "dead.safetensors").symlink_to("nowhere")
    path = folder if how == "folder" else folder / INDEX
    with pytest.raises(ValueError, match="cannot be read") as caught:
        golden.load_tensors(path)
    line = str(caught.value)
    assert line.startswith(f"{path} cannot be read: ")
    assert said in line
    assert "\n" not in line


def test_bad_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"it holds no \.safetensors files"):
        golden.load_tensors(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        golden.load_tensors(tmp_path / INDEX)
    folder = _write(tmp_path / "model")
    whole = (folder / B).read_bytes()
    (folder / B).write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=f"shard '{B}' cannot be read: tensor 'y' must lie"):
        golden.load_tensors(folder)
    (folder / B).write_bytes(whole)
    (folder / "other.safetensors.index.json").write_text("{}")
    with pytest.raises(ValueError, match=f"several indexes, of which one must be named: .*{INDEX}"):
        golden.load_tensors(folder)
    assert sorted(golden.load_tensors(folder / INDEX)) == ["x", "y", "z"]
    monkeypatch.setattr(checkpoint, "_MOST_INDEX", 20)
    with pytest.raises(ValueError, match="an index must be of at most 20 bytes, not"):
        golden.load_tensors(folder / INDEX)
    (folder / files.STATE).touch()
    with pytest.raises(ValueError, match="it is an unfinished conversion"):
        golden.load_tensors(folder / INDEX)


def test_shard_in_two_places(tmp_path: Path) -> None:
    """A tensor that two shards hold is one too many, whichever the index names."""
    folder = _write(tmp_path / "model", shards={A: "xz", B: "xy"})
    said = f"shard '{B}' holds 'x', which {INDEX} says is in '{A}'"
    with pytest.raises(ValueError, match=said):
        golden.load_tensors(folder)


def test_changed_meanwhile(tmp_path: Path) -> None:
    """A shard is opened again when its tensors are read: it must be what it was."""
    folder = _write(tmp_path / "model")
    with files.open_file(folder) as file:
        safetensors.numpy.save_file({"y": X, "v": X}, folder / B)
        assert file.raw("x").shape == X.shape
        with pytest.raises(ValueError, match=f"shard '{B}' was changed meanwhile"):
            file.raw("y")
