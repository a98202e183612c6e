"""Bad input ends in one line that names parameter, value and range, in exit code 2, in no file."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli
from amxfp4.golden.files import Writer

FORMATS = "one of amxfp4, amxfp4-e4m3, "
SIZES = "one of 16, 32, 64, 128"
# No folder can be made there, not even by root, whom permissions do not stop.
UNWRITABLE = "/proc/amxfp4"

# What is typed, and what the line must hold: parameter, range, value.
CASES = {
    "unit-unknown": ("verilog nand", ["UNIT", "one of quantizer, dequantizer", "'nand'"]),
    "unit-missing": ("verilog", ["UNIT is missing", "one of quantizer, dequantizer"]),
    "unit-missing-option": ("verilog --lanes 4", ["UNIT is missing", "one of quantizer"]),
    "unit-format": ("verilog quantizer --format mxfp5", ["format", FORMATS, "'mxfp5'"]),
    "unit-lanes-3": ("verilog quantizer --lanes 3", ["lanes", "power of two from 1 to 32", "3"]),
    "unit-lanes-0": ("verilog quantizer --lanes 0", ["lanes", "power of two from 1 to 32", "0"]),
    "unit-lanes-64": ("verilog quantizer --lanes 64", ["lanes", "from 1 to 32", "64"]),
    "unit-lanes-word": ("verilog quantizer --lanes all", ["--lanes must be an integer, not 'all'"]),
    "unit-block-0": ("verilog dequantizer --block 0", ["block", SIZES, "0"]),
    "unit-block-24": ("verilog dequantizer --block 24", ["block", SIZES, "24"]),
    "unit-input": ("verilog quantizer --input fp64", ["input", "one of bf16, fp16", "'fp64'"]),
    "unit-output": ("verilog dequantizer --output fp16", ["output", "one of bf16", "'fp16'"]),
    "unit-ties": ("verilog quantizer --ties up", ["ties", "one of RNA, RNE", "'up'"]),
    "unit-wide": (
        "verilog array --rows 46 --cols 45 --lanes 1",
        ["rows must be from 1 to 45 with cols = 45", "at most 65536 bits", "not 46"],
    ),
    "unit-wide-engine": ("verilog engine --rows 64 --cols 64", ["rows must be from 1 to 31", "64"]),
    "unit-wide-uart": ("verilog engine_uart --rows 33 --cols 64", ["rows must be from 1", "33"]),
    "unit-foreign-option": (
        "verilog quantizer --output bf16",
        ["option of amxfp4 verilog quantizer", "one of --format, --block, ", "'--output'"],
    ),
    "unit-all-option": ("verilog all --lanes 4", ["option of amxfp4 verilog all", "'--lanes'"]),
    "unit-option-unknown": ("verilog quantizer --pipes 4", ["--pipes"]),
    "unit-out-is-file": ("verilog quantizer -o a.npy", ["--out", "a folder", "'a.npy'"]),
    "unit-out-under-file": ("verilog quantizer -o a.npy/x", ["--out", "a folder", "'a.npy/x'"]),
    "unit-out-unwritable": (f"verilog quantizer -o {UNWRITABLE}", ["--out", "a folder", "'/proc/"]),
    "format": ("quantize a.npy out.safetensors --format fp4", ["format", FORMATS, "'fp4'"]),
    "block-0": ("quantize a.npy out.safetensors --block 0", ["block", SIZES, "0"]),
    "block-48": ("quantize a.npy out.safetensors --block 48", ["block", SIZES, "48"]),
    "axis-2": (
        "quantize a.npy out.safetensors --axis 2",
        ["IN must", "'a' (F32 2x64: axis must be from -2 to 1, not 2)", "'a.npy'"],
    ),
    "axis-word": ("quantize a.npy out.safetensors --axis rows", ["--axis", "integer", "'rows'"]),
    "ties": ("quantize a.npy out.safetensors --ties RTZ", ["ties", "RNA, RNE", "'RTZ'"]),
    "dtype-int": ("quantize int.npy out.safetensors", ["int.npy", "float32", "I64"]),
    "dtype-double": ("quantize double.npy out.safetensors", ["double.npy", "float32", "F64"]),
    "dtype-object": ("quantize object.npy out.safetensors", ["IN", "object.npy"]),
    "no-floats": ("quantize ids.safetensors out.safetensors", ["IN", "float32", "ids.safetensors"]),
    "empty": (
        "quantize empty.npy out.safetensors",
        ["IN must hold a tensor", "'empty' (F32 0x32: no elements)", "'empty.npy'"],
    ),
    "scalar": ("quantize scalar.npy out.safetensors", ["scalar.npy", "F32 scalar"]),
    "in-missing": ("quantize none.npy out.safetensors", ["IN", "'none.npy'"]),
    "in-folder": ("quantize . out.safetensors", ["IN", "'.'"]),
    "in-suffix": (
        "quantize notes.txt out.safetensors",
        ["IN", ".npy, .npz, .safetensors or .gguf", "notes.txt"],
    ),
    "in-foreign": ("quantize foreign.safetensors out.safetensors", ["IN", "foreign.safetensors"]),
    "in-foreign-npy": ("quantize foreign.npy out.safetensors", ["IN", "foreign.npy"]),
    "in-zero-bytes": ("quantize zero.npy out.safetensors", ["IN", "zero.npy"]),
    "in-truncated": ("quantize cut.safetensors out.safetensors", ["IN", "cut.safetensors"]),
    "in-truncated-npy": ("quantize cut.npy out.safetensors", ["IN", "cut.npy"]),
    "out-suffix": ("quantize a.npy out.npy", ["OUT", ".safetensors", "'out.npy'"]),
    "out-is-folder": ("quantize a.npy dir.safetensors", ["OUT", "'dir.safetensors'"]),
    "out-no-folder": ("quantize a.npy none/out.safetensors", ["OUT", "none/out.safetensors"]),
    "out-under-file": ("quantize a.npy a.npy/out.safetensors", ["OUT", "a.npy/out.safetensors"]),
    "out-unwritable": (f"quantize a.npy {UNWRITABLE}.safetensors", ["OUT", "/proc/amxfp4"]),
    "argument-missing": ("quantize a.npy", ["OUT"]),
    "dequantize-plain": ("dequantize f.safetensors out.safetensors", ["IN", "f.safetensors"]),
    "dequantize-npy": ("dequantize a.npy out.safetensors", ["IN", "'a.npy'"]),
    "dequantize-missing": ("dequantize x.safetensors out.safetensors", ["IN", "x.safetensors"]),
    "dequantize-cut": ("dequantize cutq.safetensors out.safetensors", ["IN", "cutq.safetensors"]),
    "dequantize-metadata": (
        "dequantize odd.safetensors out.safetensors",
        ["IN", "odd.safetensors"],
    ),
    "dequantize-out": ("dequantize q.safetensors a.npy/o.safetensors", ["OUT", "a.npy/o"]),
    "info-missing": ("info none.safetensors", ["FILE", "none.safetensors"]),
    "info-cut": ("info cut.safetensors", ["FILE", "cut.safetensors"]),
    "sim-seed": ("sim --seed many", ["--seed", "an integer", "'many'"]),
    "command-unknown": ("synthesize", ["COMMAND", "one of verilog, ", "'synthesize'"]),
    "command-of-group": ("synth dots", ["COMMAND", "one of plan, ", "'dots'"]),
    "option-of-root": ("--quiet", ["option of amxfp4", "one of --version", "'--quiet'"]),
    "value-missing": ("verilog quantizer --lanes", ["--lanes"]),
    "argument-too-many": ("formats all", ["all", "amxfp4 formats --help"]),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Make a folder of good and bad files."""
    folder = tmp_path_factory.mktemp("files")
    values = np.linspace(-4, 4, 128, dtype=np.float32).reshape(2, 64)
    np.save(folder / "a.npy", values)
    np.save(folder / "int.npy", np.arange(64).reshape(2, 32))
    np.save(folder / "double.npy", values.astype(np.float64))
    np.save(folder / "object.npy", np.array([None, 1.0], dtype=object))
    np.save(folder / "empty.npy", np.empty((0, 32), np.float32))
    np.save(folder / "scalar.npy", np.float32(1.0))
    safetensors.numpy.save_file({"w": values}, folder / "f.safetensors")
    safetensors.numpy.save_file({"ids": np.arange(64)}, folder / "ids.safetensors")
    assert cli.run(["quantize", str(folder / "a.npy"), str(folder / "q.safetensors")]) == 0
    for whole, cut in (("a.npy", "cut.npy"), ("f.safetensors", "cut.safetensors")):
        (folder / cut).write_bytes((folder / whole).read_bytes()[:-17])
    quantized = (folder / "q.safetensors").read_bytes()
    (folder / "cutq.safetensors").write_bytes(quantized[:-3])
    # Of the same length, so that the file is whole and only what it says is wrong.
    (folder / "odd.safetensors").write_bytes(quantized.replace(b"amxfp4", b"amxfp5"))
    for foreign in ("notes.txt", "foreign.npy", "foreign.safetensors"):
        (folder / foreign).write_text("These are not the tensors you are looking for.\n")
    (folder / "zero.npy").touch()
    (folder / "dir.safetensors").mkdir()
    return folder


def listing(folder):
    """Return every path below `folder` with its size."""
    return {path: path.stat().st_size for path in Path(folder).rglob("*")}


@pytest.mark.parametrize("case", CASES)
def test_one_line_exit_code_2_no_file(case, files, monkeypatch, capfd):
    typed, wanted = CASES[case]
    monkeypatch.chdir(files)
    before = listing(files)
    assert cli.run(typed.split()) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("amxfp4: error: ")
    for part in wanted:
        assert part in captured.err
    assert listing(files) == before


def test_existing_output_survives_bad_input(tmp_path, monkeypatch, capfd):
    """The second tensor of a file is damaged: what OUT held before is still there, whole."""
    monkeypatch.chdir(tmp_path)
    good = np.ones((16, 512), np.float32)  # more than is read with its header
    np.savez(tmp_path / "in.npz", a=good, b=2 * good)
    whole = (tmp_path / "in.npz").read_bytes()
    (tmp_path / "in.npz").write_bytes(whole.replace((2 * good).tobytes(), (3 * good).tobytes()))
    (tmp_path / "out.safetensors").write_text("before")
    before = listing(tmp_path)
    assert cli.run(["quantize", "in.npz", "out.safetensors"]) == 2
    line = capfd.readouterr().err
    assert line.startswith("amxfp4: error: in.npz cannot be read: 'b.npy': Bad CRC-32")
    assert line.count("\n") == 1
    assert listing(tmp_path) == before
    assert (tmp_path / "out.safetensors").read_text() == "before"


@pytest.mark.parametrize("there_before", [False, True], ids=["new", "existing"])
def test_failure_while_writing_leaves_no_file(files, tmp_path, monkeypatch, capfd, there_before):
    """The disk fills up half way: nothing is left of the attempt, and an old file stays."""

    def fill(self, piece):
        self._stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Writer, "write", fill)
    if there_before:
        (tmp_path / "out.safetensors").write_text("before")
    before = listing(tmp_path)
    assert cli.run(["quantize", str(files / "a.npy"), "out.safetensors"]) == 2
    line = capfd.readouterr().err
    assert line.startswith("amxfp4: error: OUT must be a .safetensors file that can be written, ")
    assert "'out.safetensors' (No space left on device)" in line
    assert listing(tmp_path) == before


def test_json_of_bad_header_is_one_line(tmp_path, monkeypatch, capfd):
    """A header that promises more than there is, as a damaged download has."""
    monkeypatch.chdir(tmp_path)
    header = json.dumps({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode()
    (tmp_path / "h.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert cli.run(["quantize", "h.safetensors", "out.safetensors"]) == 2
    assert capfd.readouterr().err.count("\n") == 1
