"""Files through the command: quantize, dequantize, info."""

import os
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli, golden
from amxfp4.commands.files import quantize as quantize_command
from amxfp4.golden import files
from amxfp4.golden.nibbles import join_nibbles
from amxfp4.golden.quality import sqnr
from amxfp4.params.formats import FORMATS


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    """Change to a folder with one tensor as .npy and two as .safetensors."""
    monkeypatch.chdir(tmp_path)
    x = rng.standard_normal((6, 80)).astype(np.float32)
    np.save("x.npy", x)
    safetensors.numpy.save_file({"x": x, "half": x[0].astype(np.float16)}, "two.safetensors")
    return tmp_path


def rows_of(printed):
    """Return the cells of the printed table's rows, by tensor."""
    lines = [line.split() for line in printed.splitlines()]
    start = next(i for i, cells in enumerate(lines) if cells[:1] == ["tensor"])
    return {cells[0]: cells[1:] for cells in lines[start + 1 :]}


@pytest.mark.parametrize("format", FORMATS)
def test_there_and_back_is_golden(folder, format):
    """What the files hold is what the model says, for every format."""
    assert cli.run(["quantize", "x.npy", "q.safetensors", "--format", format]) == 0
    assert cli.run(["dequantize", "q.safetensors", "y.safetensors"]) == 0
    blocks = golden.quantize(np.load("x.npy"), format, tensor_scale="auto")
    stored = files.load_blocks("q.safetensors")["x"]
    np.testing.assert_array_equal(golden.pack(stored), golden.pack(blocks))
    after = safetensors.numpy.load_file("y.safetensors")["x"]
    np.testing.assert_array_equal(after, golden.dequantize(blocks))


def test_options_reach_the_model(folder):
    options = {"axis": 0, "ties": "RNE", "block": 16}
    typed = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert cli.run(["quantize", "x.npy", "q.safetensors", "--format", "mxfp4", *typed]) == 0
    stored = files.load_blocks("q.safetensors")["x"]
    expected = golden.quantize(np.load("x.npy"), "mxfp4", **options)
    np.testing.assert_array_equal(golden.pack(stored), golden.pack(expected))
    assert (stored.axis, stored.block, stored.shape) == (0, 16, (6, 80))


def test_every_tensor_and_its_figures(folder, capfd):
    assert cli.run(["quantize", "two.safetensors", "q.safetensors", "--min-axes", "1"]) == 0
    rows = rows_of(capfd.readouterr().out)
    x = np.load("x.npy")
    # 80 elements are three blocks of 32, the last padded; a record of amxfp4 is 18 bytes.
    ratio = f"{sqnr(x, golden.dequantize(golden.quantize(x))):.2f}"
    assert rows["x"] == ["6x80", "fp32", "1,920", "18", "324", ratio]
    assert rows["half"][:5] == ["80", "fp16", "160", "3", "54"]


def test_bfloat16_is_read(folder, capfd):
    words = np.load("x.npy").astype(ml_dtypes.bfloat16)
    np.save("b.npy", words)
    assert cli.run(["quantize", "b.npy", "q.safetensors"]) == 0
    assert rows_of(capfd.readouterr().out)["b"][1:3] == ["bf16", "960"]
    stored = files.load_blocks("q.safetensors")["b"]
    np.testing.assert_array_equal(golden.pack(stored), golden.pack(golden.quantize(words)))


def test_dequantize_to_npy(folder):
    assert cli.run(["quantize", "x.npy", "q.safetensors"]) == 0
    assert cli.run(["dequantize", "q.safetensors", "y.npy"]) == 0
    np.testing.assert_array_equal(
        np.load("y.npy"), golden.dequantize(golden.quantize(np.load("x.npy")))
    )


def test_info_of_tensors_and_of_blocks(folder, capfd):
    assert cli.run(["info", "two.safetensors"]) == 0
    assert rows_of(capfd.readouterr().out)["half"] == ["80", "fp16", "160"]
    assert cli.run(["quantize", "two.safetensors", "q.safetensors", "--format", "nvfp4"]) == 0
    capfd.readouterr()
    assert cli.run(["info", "q.safetensors"]) == 0
    assert rows_of(capfd.readouterr().out)["x"] == [
        "6x80",
        "1",
        "blocks",
        "nvfp4",
        "16",
        "30",
        "274",
    ]


def saved(path, tensors, metadata=None):
    """Write entries of any type, given as (dtype, array of bytes or words, shape)."""
    entries = {
        name: files.Entry(dtype, shape, array.nbytes)
        for name, (dtype, array, shape) in tensors.items()
    }
    with files.Writer(path, entries, metadata or {}) as writer:
        for _, array, _ in tensors.values():
            writer.write(array)


W = np.random.default_rng(3).standard_normal((8, 64)).astype(np.float32)
ODD = {
    "ids": ("I64", np.arange(4), (4,)),
    "mask": ("BOOL", np.ones((2, 2), bool), (2, 2)),
    "f8": ("F8_E4M3", np.arange(16, dtype=np.uint8), (8, 2)),
    "f4": ("F4", np.arange(128, dtype=np.uint8), (8, 32)),
    "e8m0": ("F8_E8M0", np.arange(8, dtype=np.uint8), (8, 1)),
    "complex": ("C64", np.ones((2, 2), np.complex64), (2, 2)),
    "double": ("F64", np.ones((2, 2)), (2, 2)),
    "scalar": ("F32", np.ones(1, np.float32), ()),
    "empty": ("F32", np.empty(0, np.float32), (0, 3)),
    "bias": ("BF16", np.arange(8, dtype=np.uint16), (8,)),
    "codec.scales": ("F32", np.ones(4, np.float32), (4,)),
    "codec.codes": ("F32", W, (8, 64)),
}
"""Tensors that are not blocks and, but for the last, not quantized: type, elements, shape."""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Change to a folder with a file of one matrix among odd tensors."""
    monkeypatch.chdir(tmp_path)
    words = W.astype(ml_dtypes.bfloat16).view(np.uint16)
    saved(tmp_path / "odd.safetensors", {"w": ("BF16", words, W.shape), **ODD})
    return W.astype(ml_dtypes.bfloat16)


def test_odd_tensors_spoil_nothing(odd, capfd):
    """They are listed, kept byte for byte, in their place, and named; and come back again."""
    assert cli.run(["info", "odd.safetensors"]) == 0
    listed = rows_of(capfd.readouterr().out)
    assert list(listed) == ["w", *ODD]
    assert listed["f4"] == ["8x32", "F4", "128"]
    assert cli.run(["quantize", "odd.safetensors", "q.safetensors", "--axis", "1"]) == 0
    printed = capfd.readouterr().out.splitlines()
    kept = [line.split(":")[1].split()[0] for line in printed if line.startswith("kept as it is")]
    assert kept == [name for name in ODD if name != "codec.codes"]
    stored = files.load_blocks("q.safetensors")
    assert list(stored) == ["w", "codec.codes"]
    assert np.array_equal(golden.pack(stored["w"]), golden.pack(golden.quantize(odd)))
    with files.open_file("q.safetensors") as file:
        for name in kept:
            dtype, array, shape = ODD[name]
            assert (file.entries[name].dtype, file.entries[name].shape) == (dtype, shape)
            assert file.raw(name).tobytes() == array.tobytes()
    assert cli.run(["dequantize", "q.safetensors", "y.safetensors"]) == 0
    assert "kept as it is: ids (I64 4)" in capfd.readouterr().out
    with files.open_file("y.safetensors") as file:
        assert list(file.entries) == ["w", *ODD]
        assert np.array_equal(file.raw("w"), golden.dequantize(stored["w"]))
    assert cli.run(["info", "q.safetensors"]) == 0
    assert "scalar" in capfd.readouterr().out


def test_metadata_and_blocks_travel_along(odd, capfd):
    """Blocks beside a float tensor are blocks after it was quantized, too, and texts are kept."""
    first = golden.quantize(W, "mxfp4")
    entries, metadata = files.OURS.declared("a", first.row, W.shape, 1, factor=False)
    parts = [join_nibbles(first.codes), first.scale_pos[..., None]]
    held = {n: (e.dtype, x, e.shape) for (n, e), x in zip(entries.items(), parts, strict=True)}
    saved("m.safetensors", {**held, "w": ("F32", W, W.shape)}, metadata | {"made by": "hand"})
    assert cli.run(["quantize", "m.safetensors", "q.safetensors"]) == 0
    stored = files.load_blocks("q.safetensors")
    assert [(name, b.format) for name, b in stored.items()] == [("a", "mxfp4"), ("w", "amxfp4")]
    assert np.array_equal(golden.pack(stored["a"]), golden.pack(first))
    assert cli.run(["dequantize", "q.safetensors", "y.safetensors"]) == 0
    with files.open_file("y.safetensors") as file:
        assert list(file.entries) == ["a", "w"]
        assert file.metadata == {"made by": "hand"}


def test_odd_tensors_of_numpy(tmp_path, monkeypatch, capfd):
    """Types that safetensors does not have, and members that are no arrays, are left out."""
    monkeypatch.chdir(tmp_path)
    np.savez("odd.npz", text=np.array(["a"]), w=W, z=np.ones(3, np.complex128), n=np.arange(3))
    with zipfile.ZipFile("odd.npz", "a") as archive:
        archive.writestr("README.txt", "hello")
    assert cli.run(["info", "odd.npz"]) == 0
    listed = capfd.readouterr().out
    assert "README.txt: no array" in listed
    assert rows_of(listed)["z"] == ["3", "complex128", "48"]
    assert cli.run(["quantize", "odd.npz", "q.safetensors"]) == 0
    printed = capfd.readouterr().out
    assert "left out: text (str32 1): no type of safetensors" in printed
    assert "left out: z (complex128 3): no type of safetensors" in printed
    assert "left out: README.txt: no array" in printed
    assert "kept as it is: n (I64 3)" in printed
    with files.open_file("q.safetensors") as file:
        assert list(file.entries) == ["w.codes", "w.scales", "n"]


def test_only_what_is_asked_for_is_read(odd, capfd):
    """A product of one tensor does not look at the others."""
    product = ["matmul", "odd.safetensors:w", "odd.safetensors:w", "--transpose-b"]
    assert cli.run(product) == 0
    assert "C [8, 8]" in capfd.readouterr().out
    assert cli.run(["matmul", "odd.safetensors:ids", "odd.safetensors:w"]) == 2
    assert (
        "A must be of float32, float16 or bfloat16, not 'odd.safetensors:ids' (I64 4)"
        in capfd.readouterr().err
    )


def test_order_bytes_and_mode(tmp_path, monkeypatch):
    """Tensors keep the file's order, equal input gives equal bytes, modes are the user's."""
    monkeypatch.chdir(tmp_path)
    names = [f"layers.{n}.w" for n in (9, 0, 8, 1, 7, 2)]
    saved(tmp_path / "x.safetensors", dict.fromkeys(names, ("F32", W, W.shape)), {"b": "1"})
    before = os.umask(0o027)
    try:
        for out in ("1.safetensors", "2.safetensors"):
            assert cli.run(["quantize", "x.safetensors", out]) == 0
        assert Path("1.safetensors").stat().st_mode & 0o777 == 0o640
        assert Path("1.safetensors").read_bytes() == Path("2.safetensors").read_bytes()
        assert list(files.load_blocks("1.safetensors")) == names
        Path("2.safetensors").chmod(0o604)
        assert cli.run(["quantize", "x.safetensors", "2.safetensors", "--format", "mxfp4"]) == 0
        assert Path("2.safetensors").stat().st_mode & 0o777 == 0o604
        assert cli.run(["dequantize", "2.safetensors", "y.safetensors"]) == 0
    finally:
        os.umask(before)
    with files.open_file("y.safetensors") as file:
        assert list(file.entries) == names


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pieces_are_the_whole(tmp_path, monkeypatch, rng, axis):
    """A tensor that is worked on in pieces gives the bytes that it gives at once."""
    monkeypatch.chdir(tmp_path)
    x = rng.standard_normal((5, 70, 90)).astype(np.float32)
    np.save("x.npy", x)
    np.save("line.npy", x.reshape(-1))
    whole = golden.quantize(x, axis=axis)
    for piece in (128, 1000, 6000, 1 << 22):
        monkeypatch.setattr(quantize_command, "PIECE", piece)
        assert cli.run(["quantize", "x.npy", "q.safetensors", "--axis", str(axis)]) == 0
        assert np.array_equal(
            golden.pack(files.load_blocks("q.safetensors")["x"]), golden.pack(whole)
        )
        assert cli.run(["quantize", "line.npy", "q.safetensors", "--min-axes", "1"]) == 0
        stored = files.load_blocks("q.safetensors")["line"]
        assert np.array_equal(golden.pack(stored), golden.pack(golden.quantize(x.reshape(-1))))


def test_poor_quantization_is_said(tmp_path, monkeypatch, capfd):
    """Weights too small for the scales vanish; the user reads it."""
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", small=W * 1e-7, fine=W)
    assert (
        cli.run(["quantize", "x.npz", "q.safetensors", "--format", "nvfp4", "--tensor-scale", "1"])
        == 0
    )
    printed = capfd.readouterr().out
    assert "small: SQNR 0.00 dB, below 6 dB, is poor" in printed
    assert "fine: SQNR" not in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["bias.npy"],
            "IN must hold a tensor to quantize, not only ones such as 'bias' (F32 8: few",
        ),
        (["ids.npy"], "such as 'ids' (I64 4: not float32, float16 or bfloat16), as 'ids.npy' does"),
        (["bias.npy", "--min-axes", "0"], "--min-axes must be at least 1, not 0"),
        (
            ["bias.npy", "--axis", "1", "--min-axes", "1"],
            "8: axis must be from -1 to 0, not 1)",
        ),
    ],
)
def test_nothing_to_quantize(tmp_path, monkeypatch, capfd, arguments, said):
    monkeypatch.chdir(tmp_path)
    np.save("bias.npy", W[0, :8])
    np.save("ids.npy", np.arange(4))
    source, *options = arguments
    assert cli.run(["quantize", source, "q.safetensors", *options]) == 2
    assert said in capfd.readouterr().err
    assert not Path("q.safetensors").exists()
