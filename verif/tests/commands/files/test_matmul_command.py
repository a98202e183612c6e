"""Matrix products through the command: ``amxfp4 matmul``."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli, golden
from amxfp4.params.array import ArrayConfig
from amxfp4.verif.sim import tiles as product
from amxfp4.verif.sim.batch import dut

SMALL = ["--rows", "2", "--cols", "2", "--lanes", "8"]
FORMATS = "one of amxfp4, amxfp4-e4m3, "
# No folder can be made there, not even by root, whom permissions do not stop.
UNWRITABLE = "/proc/amxfp4"
BUILD = Path(product.__file__).parents[3] / "build"

# What is typed, and what the line must hold: parameter, range, value.
CASES = {
    "shapes": ("a.npy bt.npy", ["B must be [64, N]", "A of [5, 64]", "not [3, 64]"]),
    "shapes-transposed": (
        "a.npy b.npy --transpose-b",
        ["B must be [N, 64]", "A of [5, 64]", "not [64, 3]"],
    ),
    "name-unknown": ("two.npz:z b.npy", ["A must name one of a, b ", "'two.npz:z'"]),
    "name-missing": ("a.npy two.npz", ["B must name one of a, b ", "FILE:NAME", "'two.npz'"]),
    "name-missing-st": ("two.safetensors b.npy", ["A must name one of a, b ", "two.safetensors"]),
    "name-of-one": ("a.npy:z b.npy", ["A must name one of a ", "'a.npy:z'"]),
    "vector": ("vector.npy b.npy", ["A must be a matrix", "[64]"]),
    "vector-b": ("a.npy vector.npy", ["B must be a matrix", "[64]"]),
    "cube": ("cube.npy b.npy", ["A must be a matrix", "[2, 3, 64]"]),
    "missing": ("none.npy b.npy", ["A must be ", "'none.npy'"]),
    "missing-b": ("a.npy none.npz:x", ["B must be ", "'none.npz"]),
    "foreign": ("foreign.npy b.npy", ["A must be ", "'foreign.npy'"]),
    "suffix": (
        "notes.txt b.npy",
        ["A must be ", ".npy, .npz, .safetensors or .gguf", "'notes.txt'"],
    ),
    "dtype": ("ints.npy b.npy", ["A must be ", "float32", "I64 5x64", "'ints.npy'"]),
    "argument-missing": ("a.npy", ["B"]),
    "format-a": ("a.npy b.npy --format-a mxfp5", ["format_a", FORMATS, "'mxfp5'"]),
    "format-b": ("a.npy b.npy --format-b fp4", ["format_b", FORMATS, "'fp4'"]),
    "pair-blocks": (
        "a.npy b.npy --format-a amxfp4 --format-b nvfp4",
        ["block must be given", "32 (amxfp4) and 16 (nvfp4)", "None"],
    ),
    "block": ("a.npy b.npy --block 24", ["block", "one of 16, 32, 64, 128", "24"]),
    "exact-e8m0": (
        "a.npy b.npy --format-a mxfp4 --acc exact",
        ["acc must be fp32", "mxfp4", "'exact'"],
    ),
    "fixed-e8m0": ("a.npy b.npy --format-b amxfp4-pot --acc fixed", ["acc must be fp32"]),
    "acc": ("a.npy b.npy --acc kulisch", ["acc", "one of exact, fixed, fp32", "'kulisch'"]),
    "frac-bits": (
        "a.npy b.npy --frac-bits 20",
        ["frac_bits must be left out unless acc is fixed", "20"],
    ),
    "int-bits": ("a.npy b.npy --acc fixed --int-bits 129", ["int_bits", "0 to 128", "129"]),
    "max-blocks": ("a.npy b.npy --max-blocks 8", ["max_blocks", "4096", "8"]),
    "lanes": ("a.npy b.npy --lanes 3", ["lanes", "power of two from 1 to 32", "3"]),
    "rows": ("a.npy b.npy --rows 0", ["rows", "1 to 64", "0"]),
    "cols": ("a.npy b.npy --cols 65", ["cols", "1 to 64", "65"]),
    "output": ("a.npy b.npy --output fp16", ["output", "one of bf16, fp32", "'fp16'"]),
    "pipeline": ("a.npy b.npy --pipeline sum", ["pipeline", "one of input, sums, ", "'sum'"]),
    "through": ("a.npy b.npy --through fpga", ["--through", "one of golden, rtl", "'fpga'"]),
    "out-suffix": ("a.npy b.npy --out c.txt", ["--out", ".npy or .safetensors", "'c.txt'"]),
    "out-folder": ("a.npy b.npy --out dir.npy", ["--out", "'dir.npy'"]),
    "out-no-folder": ("a.npy b.npy -o none/c.npy", ["--out", "'none/c.npy'"]),
    "out-under-file": ("a.npy b.npy -o a.npy/c.npy", ["--out", "'a.npy/c.npy'"]),
    "out-unwritable": (f"a.npy b.npy -o {UNWRITABLE}.npy", ["--out", UNWRITABLE]),
    "out-unwritable-st": (f"a.npy b.npy -o {UNWRITABLE}.safetensors", ["--out", UNWRITABLE]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a folder of operands, good and bad."""
    folder = tmp_path_factory.mktemp("operands")
    rng = np.random.default_rng(7)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((5, 64), (64, 3)))
    np.save(folder / "a.npy", a)
    np.save(folder / "b.npy", b)
    np.save(folder / "bt.npy", b.T)
    np.save(folder / "vector.npy", a[0])
    np.save(folder / "cube.npy", np.resize(a, (2, 3, 64)))
    np.save(folder / "ints.npy", np.arange(320).reshape(5, 64))
    np.savez(folder / "two.npz", a=a, b=b)
    safetensors.numpy.save_file({"a": a, "b": b}, folder / "two.safetensors")
    for foreign in ("notes.txt", "foreign.npy"):
        (folder / foreign).write_text("These are not the tensors you are looking for.\n")
    (folder / "dir.npy").mkdir()
    return folder


def listing(folder):
    """Return every path below `folder` with its size."""
    return {path: path.stat().st_size for path in folder.rglob("*")}


@pytest.mark.parametrize("case", CASES)
def test_one_line_exit_code_2_no_file(case, folder, monkeypatch, capfd):
    typed, wanted = CASES[case]
    monkeypatch.chdir(folder)
    before = listing(folder)
    assert cli.run(["matmul", *typed.split()]) == 2
    captured = capfd.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("amxfp4: error: ")
    for part in wanted:
        assert part in captured.err
    if not case.startswith("out-"):
        assert captured.out == ""
    assert listing(folder) == before


def run(folder, monkeypatch, *typed):
    """Run the command in `folder`, with the builds of all tests; return its exit code."""
    monkeypatch.chdir(folder)
    return cli.run(["matmul", *typed, "--build", str(BUILD)])


def expected(folder, *, format_a="amxfp4", format_b="amxfp4", **options):
    """Return what golden makes of the operands."""
    a = golden.quantize(np.load(folder / "a.npy"), format_a, axis=1)
    b = golden.quantize(np.load(folder / "bt.npy"), format_b, axis=1)
    return golden.matmul(a, b, **options)


@pytest.mark.parametrize("through", ["golden", "rtl"])
@pytest.mark.parametrize(
    "operands",
    [
        ["a.npy", "b.npy"],
        ["a.npy", "bt.npy", "--transpose-b"],
        ["two.npz:a", "two.npz:b"],
        ["two.safetensors:a", "b.npy"],
    ],
    ids=lambda o: o[0] + "-" + o[1],
)
def test_result_is_golden(operands, through, folder, tmp_path, monkeypatch, capfd):
    """The file holds what the model says, however it was computed and reported."""
    out = tmp_path / "c.npy"
    typed = [*operands, *SMALL, "--through", through, "--out", str(out)]
    assert run(folder, monkeypatch, *typed) == 0
    printed = capfd.readouterr().out
    result = np.load(out)
    assert result.shape == (5, 3)
    np.testing.assert_array_equal(result, expected(folder))
    ratio = re.search(r"SQNR .*: ([\d.]+) dB", printed)
    assert ratio
    assert 10 < float(ratio[1]) < 30
    assert ("6 tiles of 2 x 2 through the RTL: every word equals golden" in printed) == (
        through == "rtl"
    )


@pytest.mark.parametrize(
    "through",
    ["golden", pytest.param("rtl", marks=pytest.mark.nightly)],  # an array of its own
)
def test_flags_are_reported(through, folder, tmp_path, monkeypatch, capfd):
    """In fixed mode the number of flagged results is printed, the same both ways."""
    out = tmp_path / "c.safetensors"
    fixed = ["--acc", "fixed", "--frac-bits", "4", "--int-bits", "3", "--output", "bf16"]
    typed = ["a.npy", "b.npy", *SMALL, *fixed, "--through", through, "-o", str(out)]
    assert run(folder, monkeypatch, *typed) == 0
    result, flags = expected(folder, acc="fixed", frac_bits=4, int_bits=3, out="bf16")
    assert flags[..., 0].any()
    assert f"15 results: {flags[..., 0].sum()} inexact, {flags[..., 1].sum()} overflow" in (
        capfd.readouterr().out
    )
    np.testing.assert_array_equal(safetensors.numpy.load_file(out)["c"], result)


def test_mismatch_is_exit_code_1(folder, tmp_path, monkeypatch, capfd):
    """A wrong word in a tile: the tile, what was expected and what came; no file."""
    real = dut.BatchDut.run

    def spoiled(self, beats, n_out, **options):
        done = real(self, beats, n_out, **options)
        outputs = done.outputs.copy()
        outputs[3, 2] ^= 1  # word (1, 0) of the fourth tile
        return dataclasses.replace(done, outputs=outputs)

    monkeypatch.setattr(dut.BatchDut, "run", spoiled)
    out = tmp_path / "c.npy"
    typed = ["a.npy", "b.npy", *SMALL, "--through", "rtl", "--out", str(out)]
    assert run(folder, monkeypatch, *typed) == 1
    captured = capfd.readouterr()
    assert "every word equals golden" not in captured.out
    assert "tile (1, 1), rows from 2, columns from 2" in captured.err
    assert "result (1, 0)" in captured.err
    words = dict(re.findall(r"^ *(expected|got) +([0-9a-f]+)$", captured.err, re.M))
    assert int(words["expected"], 16) ^ int(words["got"], 16) == 1 << 64
    assert repr(ArrayConfig(rows=2, cols=2, lanes=8)) in captured.err
    assert not out.exists()
