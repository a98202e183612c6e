"""Files: what is written is read again; what is broken says so and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from amxfp4 import golden
from amxfp4.golden import files
from amxfp4.params.formats import FORMATS


@pytest.fixture
def x() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(6).standard_normal((3, 5, 70)).astype(np.float32)


def test_blocks_round_trip(x: Any, tmp_path: Path) -> None:
    """All formats, axes and block sizes in one file."""
    tensors = {
        f"{format}.{axis}.{block}": golden.quantize(x, format, axis=axis, block=block)
        for format in FORMATS
        for axis in range(3)
        for block in (16, 32)
    }
    golden.save_blocks(tmp_path / "q.safetensors", tensors)
    back = golden.load_blocks(tmp_path / "q.safetensors")
    assert set(back) == set(tensors)
    for name, b in tensors.items():
        other = back[name]
        assert (other.format, other.shape, other.axis) == (b.format, b.shape, b.axis)
        assert np.array_equal(golden.pack(other), golden.pack(b))
    assert [f.name for f in tmp_path.iterdir()] == ["q.safetensors"]


def test_blocks_file_layout(x: Any, tmp_path: Path) -> None:
    """Two elements to a byte, scales positive then negative, the rest as metadata."""
    b = golden.quantize(x, axis=1)
    path = tmp_path / "q.safetensors"
    golden.save_blocks(path, {"w": b})
    with safetensors.safe_open(path, framework="numpy") as file:
        codes, scales = file.get_tensor("w.codes"), file.get_tensor("w.scales")
        metadata = file.metadata()
    raw = golden.pack(b)
    assert np.array_equal(np.concatenate([codes, scales], axis=-1), raw)
    assert metadata["w.format"] == "amxfp4"
    assert [json.loads(metadata[f"w.{k}"]) for k in ("block", "shape", "axis")] == [
        32, [3, 5, 70], 1,
    ]  # fmt: skip


def test_tensors_of_every_kind(x: Any, tmp_path: Path) -> None:
    """NumPy and safetensors files of the three word formats; BF16 without ml_dtypes' help."""
    words = {"fp32": x, "fp16": x.astype(np.float16), "bf16": x.astype(ml_dtypes.bfloat16)}
    safetensors.numpy.save_file(words, tmp_path / "x.safetensors")
    np.savez(tmp_path / "x.npz", **words)
    for suffix in ("safetensors", "npz"):
        found = golden.load_tensors(tmp_path / f"x.{suffix}")
        assert set(found) == set(words)
        for word, array in words.items():
            assert found[word].word == word
            assert np.array_equal(found[word].values, array.astype(np.float32))
    np.save(tmp_path / "big.npy", x.astype(">f4"))
    found = golden.load_tensors(tmp_path / "big.npy")
    assert np.array_equal(golden.quantize(found["big"].values).codes, golden.quantize(x).codes)


def test_save_tensors(x: Any, tmp_path: Path) -> None:
    for name in ("y.npy", "y.safetensors"):
        golden.save_tensors(tmp_path / name, {"y": x.transpose(2, 0, 1)})
        found = golden.load_tensors(tmp_path / name)["y"]
        assert np.array_equal(found.values, x.transpose(2, 0, 1))
    with pytest.raises(ValueError, match=r"y.npy must hold one tensor, not 2; use .safetensors"):
        golden.save_tensors(tmp_path / "y.npy", {"a": x, "b": x})
    with pytest.raises(ValueError, match=r"path must end in .npy or .safetensors, not '.*y.txt'"):
        golden.save_tensors(tmp_path / "y.txt", {"a": x})


@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors"])
@pytest.mark.parametrize("keep", [0, 4, 60, -3])
def test_load_truncated(x: Any, tmp_path: Path, suffix: str, keep: int) -> None:
    """Any prefix of a file is refused, with the file's name."""
    path = tmp_path / f"t.{suffix}"
    if suffix == "npz":
        np.savez(path, x=x)
    else:
        golden.save_tensors(path, {"t": x})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"t\.{suffix} cannot be read: ."):
        golden.load_tensors(path)


def test_load_blocks_truncated_or_foreign(x: Any, tmp_path: Path) -> None:
    path = tmp_path / "q.safetensors"
    golden.save_blocks(path, {"w": golden.quantize(x)})
    whole = path.read_bytes()
    for keep in (0, 7, 30, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(ValueError, match=r"q\.safetensors cannot be read as blocks: ."):
            golden.load_blocks(path)
    safetensors.numpy.save_file({"w": x}, path)
    with pytest.raises(ValueError, match=r"as blocks: it holds no blocks"):
        golden.load_blocks(path)


CODES, SCALES = np.zeros((2, 1, 16), np.uint8), np.zeros((2, 1, 2), np.uint8)
META = {"w.format": "amxfp4", "w.block": "32", "w.shape": "[2, 20]", "w.axis": "-1"}
BROKEN = [
    ({"w.codes": CODES}, META, "holds w.codes but no w.scales"),
    ({"w.codes": CODES, "w.scales": SCALES}, {}, "holds w.codes but no w.format"),
    (
        {"w.codes": CODES, "w.scales": SCALES[..., 0]},
        META,
        "w.scales must be U8 2x1x2 for amxfp4 .*, not U8 2x1",
    ),
    ({"w.codes": CODES.astype(np.int8), "w.scales": SCALES}, META, "it holds no blocks"),
    (
        {"w.codes": CODES, "w.scales": SCALES.astype(np.int8)},
        META,
        "w.scales must be U8 2x1x2 .*, not I8",
    ),
    (
        {"w.codes": CODES, "w.scales": SCALES},
        META | {"w.block": "16"},
        "w.codes must be U8 2x2x8 for amxfp4 in blocks of 16",
    ),
    (
        {"w.codes": CODES, "w.scales": SCALES},
        META | {"w.shape": "[2]"},
        "w.codes must be U8 1x16 .* of .2., not U8 2x1x16",
    ),
    ({"w.codes": CODES, "w.scales": SCALES}, META | {"w.shape": "{"}, "cannot be read as blocks"),
    ({"w.codes": CODES, "w.scales": SCALES}, META | {"w.format": "fp4"}, "format must be one of"),
    (
        {"w.codes": CODES, "w.scales": SCALES},
        META | {"w.format": "mxfp4"},
        "w.scales must be U8 2x1x1 for mxfp4",
    ),
    ({"w.codes": CODES, "w.scales": SCALES}, META | {"w.axis": "2"}, "axis must be from -2 to 1"),
]


@pytest.mark.parametrize(("tensors", "metadata", "message"), BROKEN)
def test_load_blocks_inconsistent(
    tensors: Any, metadata: Any, message: str, tmp_path: Path
) -> None:
    """Files whose parts do not belong together say which."""
    path = tmp_path / "q.safetensors"
    safetensors.numpy.save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=message):
        golden.load_blocks(path)


def test_load_wrong_path(tmp_path: Path) -> None:
    (tmp_path / "x.npy").mkdir()
    np.save(tmp_path / "i.npy", np.arange(3))
    for read in (golden.load_tensors, golden.load_blocks):
        with pytest.raises(FileNotFoundError, match=r"no\.npy cannot be read: no such file"):
            read(tmp_path / "no.npy")
        with pytest.raises(FileNotFoundError, match=r"x\.npy cannot be read: is a directory"):
            read(tmp_path / "x.npy")
    kinds = r".npy, .npz, .safetensors, .gguf, .json or be a folder"
    with pytest.raises(ValueError, match=rf"path must end in {kinds}, not '.*txt'"):
        golden.load_tensors(tmp_path / "x.txt")
    with pytest.raises(
        ValueError, match=r"i\.npy cannot be .* tensor i must be float32,.* not I64"
    ):
        golden.load_tensors(tmp_path / "i.npy")


def test_save_fails_clean(x: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written leaves the old file, and no other."""
    b = {"w": golden.quantize(x)}
    with pytest.raises(OSError, match=r"none/q\.safetensors cannot be written: "):
        golden.save_blocks(tmp_path / "none" / "q.safetensors", b)
    (tmp_path / "d.safetensors").mkdir()
    with pytest.raises(OSError, match=r"d\.safetensors cannot be written: "):
        golden.save_blocks(tmp_path / "d.safetensors", b)
    path = tmp_path / "q.safetensors"
    golden.save_blocks(path, b)
    before = path.read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.Writer, "write", full)
    with pytest.raises(OSError, match=r"q\.safetensors cannot be written: No space left"):
        golden.save_blocks(path, {"other": b["w"]})
    assert path.read_bytes() == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["d.safetensors", "q.safetensors"]


def test_save_blocks_wrong_tensors(x: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tensors must hold at least one tensor, not none"):
        golden.save_blocks(tmp_path / "q.safetensors", {})
    with pytest.raises(TypeError, match="tensor w must be Blocks, not ndarray"):
        golden.save_blocks(tmp_path / "q.safetensors", {"w": x})
    with pytest.raises(ValueError, match=r"path must end in .safetensors, not '.*npy'"):
        golden.save_blocks(tmp_path / "q.npy", {"w": golden.quantize(x)})


def test_load_tensors_leaves_out_other_types(tmp_path):
    """A file's integers are an error, or are named and left out if the caller asks for that."""
    floats, ids = np.ones((2, 16), np.float32), np.arange(4)
    np.savez(tmp_path / "a.npz", x=floats, ids=ids)
    safetensors.numpy.save_file({"x": floats, "ids": ids}, tmp_path / "a.safetensors")
    for path in (tmp_path / "a.npz", tmp_path / "a.safetensors"):
        with pytest.raises(ValueError, match="tensor ids must be float32, float16 or bfloat16"):
            files.load_tensors(path)
        left_out: list[str] = []
        assert list(files.load_tensors(path, left_out=left_out)) == ["x"]
        assert left_out == ["ids (I64)"]
    np.savez(tmp_path / "b.npz", ids=ids)
    with pytest.raises(
        ValueError, match="tensor ids must be float32, float16 or bfloat16, not I64"
    ):
        files.load_tensors(tmp_path / "b.npz", left_out=[])


def test_writer_is_reproducible_and_complete(tmp_path):
    """Metadata in any order give equal bytes; a piece that is missing leaves no file."""
    entries = {"x": files.Entry("U8", (4,), 4)}
    texts = {name: name for name in ("b", "a", "c")}
    for path, metadata in (("1", texts), ("2", dict(sorted(texts.items())))):
        with files.Writer(tmp_path / path, entries, metadata) as writer:
            writer.write(np.arange(4, dtype=np.uint8))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    library = safetensors.numpy.load((tmp_path / "1").read_bytes())
    assert library["x"].tolist() == [0, 1, 2, 3]
    with (
        pytest.raises(ValueError, match="2 bytes of what was declared are missing"),
        files.Writer(tmp_path / "3", entries, {}) as writer,
    ):
        writer.write(np.arange(2, dtype=np.uint8))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
