"""Damaged and malicious files: an error of one line, before anything is allocated."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import golden
from amxfp4.golden.files import open_file
from amxfp4.verif.tests.golden.files.made import gguf_file

X = np.arange(6, dtype=np.float32).reshape(2, 3)
EIGHT = np.arange(8, dtype=np.float32)
RECORDS = np.arange(34, dtype=np.uint8).reshape(2, 17)
"""Two blocks of MXFP4."""


def _npy(x: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, x)
    return stream.getvalue()


def _npz(compression: int, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def _blocks(folder: Path) -> bytes:
    path = folder / "q.safetensors"
    golden.save_blocks(path, {"w": golden.quantize(X, block=16)})
    return path.read_bytes()


def _weights(folder: Path) -> bytes:
    path = folder / "q.safetensors"
    golden.save_blocks(path, {"w": golden.quantize(X, "afpq-nf3", block=-1, packed=True)})
    return path.read_bytes()


WHOLE = {
    "npy": lambda _: _npy(X.astype(np.float16)),
    "npz": lambda _: _npz(zipfile.ZIP_STORED, w=_npy(X)),
    "deflated.npz": lambda _: _npz(zipfile.ZIP_DEFLATED, w=_npy(X)),
    "safetensors": lambda _: safetensors.numpy.save({"w": X, "ids": np.arange(3)}, {"a": "b"}),
    "blocks.safetensors": _blocks,
    "weights.safetensors": _weights,
    "gguf": lambda _: gguf_file({"q": (39, RECORDS), "w": (0, EIGHT)}, {"name": "x", "n": 3}),
}


def _read_all(path: Path) -> None:
    """Read whatever a file holds, as every command does."""
    with open_file(path) as file:
        for name in file.entries:
            file.raw(name)
    if path.name != "x.safetensors" and path.suffix in (".safetensors", ".gguf"):
        golden.load_blocks(path)


# Changes of the low bit and of all bits by day; at night every other value.
BY_DAY = (0x01, 0xFF)


@pytest.mark.parametrize("kind", WHOLE)
def test_every_changed_byte(tmp_path: Path, kind: str, at_night: bool) -> None:
    """What is read is right or refused in one line; nothing is allocated for what is not there."""
    whole = WHOLE[kind](tmp_path)
    path = tmp_path / f"x.{kind}"
    said: list[str] = []
    tracemalloc.start()
    try:
        for at in range(len(whole)):
            for change in range(1, 256) if at_night else BY_DAY:
                path.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])
                try:
                    _read_all(path)
                except ValueError as error:
                    said.append(str(error))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert len(said) > len(whole) / 4
    assert all(str(path) in line and "\n" not in line for line in said)


@pytest.mark.parametrize("kind", WHOLE)
def test_every_length(tmp_path: Path, kind: str) -> None:
    """A file that is cut off anywhere, or that goes on, is refused."""
    whole = WHOLE[kind](tmp_path)
    path = tmp_path / f"x.{kind}"
    for keep in range(len(whole)):
        path.write_bytes(whole[:keep])
        with pytest.raises(ValueError, match=r"cannot be read"):
            _read_all(path)
    if path.suffix != ".npz":  # a zip file may have anything before and behind it
        path.write_bytes(whole + b"\0")
        with pytest.raises(ValueError, match=r"cannot be read"):
            _read_all(path)


def _declares(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def _header(text: str | bytes, body: bytes = b"") -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return len(raw).to_bytes(8, "little") + raw + body


def _declared(**fields: Any) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | fields
    return _header(json.dumps({"w": entry}), bytes(8))


def _int(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def _text(text: str) -> bytes:
    return _int(len(text), 8) + text.encode()


def _gguf(keys: bytes) -> bytes:
    """Make a GGUF file of no tensor and one key."""
    return b"GGUF\3\0\0\0" + _int(0, 8) + _int(1, 8) + keys


def _nested(field: str) -> bytes:
    """Blocks, one of whose fields is 100,000 brackets."""
    metadata = {"w.format": "mxfp4", "w.block": "16", "w.shape": "[1]", "w.axis": "0"}
    arrays = {"w.codes": np.zeros((1, 8), np.uint8), "w.scales": np.zeros((1, 1), np.uint8)}
    return safetensors.numpy.save(arrays, metadata | {field: "[" * 100_000})


NPY = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}\n"
MALICIOUS = {
    "petabytes.npy": (_declares(NPY.format("'<f4'", "(1000000000000, 1000)")), "declares 4,000,"),
    "overflow.npy": (_declares(NPY.format("'<f4'", f"({1 << 62}, 8)")), "declares"),
    "negative.npy": (_declares(NPY.format("'<f4'", "(-1,)")), "its shape must be sizes"),
    "bool.npy": (_declares(NPY.format("'<f4'", "(True,)")), "its shape must be sizes"),
    "brackets.npy": (_declares("[" * 60_000), "its header is not that of an array"),
    "code.npy": (_declares("__import__('os').getcwd()"), "its header is not that of an array"),
    "objects.npy": (_declares(NPY.format("'|O'", "(1,)")), "it holds Python objects"),
    "type.npy": (_declares(NPY.format("'<q9'", "(1,)")), "its header is not that of an array"),
    "long.npy": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "its header must be of at most 65,536"),
    "twice.npz": (_npz(0, w=_npy(X), v=_npy(X)).replace(b"v.npy", b"w.npy"), "'w.npy' twice"),
    "lzma.npz": (_npz(zipfile.ZIP_LZMA, w=_npy(X)), "'w.npy' is compressed in a way that NumPy"),
    "member.npz": (_npz(zipfile.ZIP_DEFLATED, w=_declares(NPY.format("'<f8'", "(1 << 60,)"))), "w"),
    "size.safetensors": (b"\xff" * 8, "its header is cut off"),
    "brackets.safetensors": (_header("[" * 100_000), "its header is nested too deeply"),
    "nested.safetensors": (_nested("w.shape"), "metadata of w are not what quantize writes"),
    "list.safetensors": (_header("[]"), "its header is not an object of tensors"),
    "text.safetensors": (_header(b"\xff\xfe"), "its header is not JSON"),
    "twice.safetensors": (_header('{"w":1,"w":2}'), "its header has 'w' twice"),
    "number.safetensors": (_header('{"w":1}'), "must have a dtype, a shape and two"),
    "metadata.safetensors": (_header('{"__metadata__":{"a":1}}'), "its metadata must be texts"),
    "float.safetensors": (_declared(shape=[2.0]), "must have a dtype, a shape and two"),
    "half.safetensors": (_header('{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
                         "must have a dtype, a shape"),
    "minus.safetensors": (_declared(shape=[-2]), "must have a dtype, a shape and two"),
    "version.gguf": (b"GGUF" + bytes([0, 0, 0, 3]) + bytes(16), "of version 2 or 3, little endian"),
    "counts.gguf": (b"GGUF\3\0\0\0" + b"\xff" * 16, "its header is cut off"),
    "text.gguf": (_gguf(b"\xff" * 8), "its header is cut off"),
    "array.gguf": (_gguf(_text("a") + _int(9, 4) + _int(0, 4) + b"\xff" * 8), "is cut off"),
    "texts.gguf": (_gguf(_text("a") + _int(9, 4) + _int(8, 4) + b"\xff" * 8), "is cut off"),
    "arrays.gguf": (_gguf(_text("a") + _int(9, 4) + _int(9, 4) + _int(1, 8)), "unknown type 9"),
    "value.gguf": (_gguf(_text("a") + _int(13, 4)), "a value of the unknown type 13"),
    "align.gguf": (_gguf(_text("general.alignment") + _int(4, 4) + _int(3, 4)), "a power of two"),
    "twice.gguf": (gguf_file({"w": (0, X), "v": (0, X)}).replace(b"v", b"w"), "has 'w' twice"),
    "overlap.gguf": (gguf_file({"w": (0, EIGHT), "v": (0, EIGHT)}).replace(
        _int(0, 4) + _int(32, 8), _int(0, 4) + _int(0, 8)), "behind byte 32"),
    "type.gguf": (gguf_file({"w": (99, X)}), "of a type that is known, not 99"),
    "row.gguf": (gguf_file({"w": (39, X)}), "rows of whole blocks of 32"),
    "axes.gguf": (gguf_file({"w": (0, X.reshape(1, 1, 1, 1, 1, 1, 1, 2, 3))}), "at most 4 axes"),
    "gap.safetensors": (_declared(data_offsets=[4, 8], shape=[1]), "must lie from byte 0 on"),
    "beyond.safetensors": (_declared(data_offsets=[0, 16], shape=[4]), "must lie .* within 8"),
    "backwards.safetensors": (_declared(data_offsets=[8, 0]), "must be of F32 2, not of -8 bytes"),
    "petabytes.safetensors": (_declared(shape=[1 << 50]), "must be of F32 1125899906842624"),
    "rest.safetensors": (_declared(data_offsets=[0, 4], shape=[1]), "must fill 8 bytes, not 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALICIOUS)
def test_malicious_file(tmp_path: Path, name: str) -> None:
    content, said = MALICIOUS[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read.*{said}") as caught:
        _read_all(path)
    assert "\n" not in str(caught.value)


def test_encrypted_member(tmp_path: Path) -> None:
    """The flag of a password in both headers of a member."""
    raw = bytearray(_npz(zipfile.ZIP_STORED, w=_npy(X)))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(ValueError, match=r"x\.npz cannot be read: 'w\.npy': .* encrypted"):
        _read_all(tmp_path / "x.npz")


def test_declared_and_not_there_in_a_zip(tmp_path: Path) -> None:
    """A member whose sizes say petabytes is refused by the size of the file."""
    raw = bytearray(_npz(zipfile.ZIP_STORED, w=_npy(X)))
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = b"\xfe\xff\xff\xff"
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(ValueError, match="declares more bytes than it can hold"):
        _read_all(tmp_path / "x.npz")


FLOATS = ("float32", "float16", "bfloat16")


@pytest.mark.parametrize("name", FLOATS)
def test_byte_order(tmp_path: Path, name: str, rng: np.random.Generator) -> None:
    """Big-endian arrays and files, of either memory order, have the values that they had."""
    x = rng.standard_normal((5, 40)).astype(getattr(ml_dtypes, name, name))
    big = x.astype(x.dtype.newbyteorder(">"))
    wanted = golden.pack(golden.quantize(x, axis=0))
    assert np.array_equal(golden.pack(golden.quantize(big, axis=0)), wanted)
    for order in ("C", "F"):
        np.save(tmp_path / "x.npy", np.asarray(big, order=order))
        np.savez_compressed(tmp_path / "x.npz", x=np.asarray(big, order=order))
        for path in (tmp_path / "x.npy", tmp_path / "x.npz"):
            found = golden.load_tensors(path)["x"].values
            assert np.array_equal(found, x.astype(found.dtype))
            assert np.array_equal(golden.pack(golden.quantize(found, axis=0)), wanted)


def test_masked_array_is_refused() -> None:
    masked = np.ma.masked_array(X, X > 3)
    with pytest.raises(TypeError, match="x must be an array without a mask: fill it first"):
        golden.quantize(masked)
