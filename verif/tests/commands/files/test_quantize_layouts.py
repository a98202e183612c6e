"""`quantize` in other people's layouts, with factors and by ModelOpt's rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4 import cli, golden
from amxfp4.cli import files as cli_files
from amxfp4.golden import files
from amxfp4.golden.files import Entry
from amxfp4.golden.quality import sqnr
from amxfp4.golden.quantizer import RULES

W = (np.random.default_rng(5).standard_normal((48, 192)) * 1e-3).astype(np.float32)
NORM = np.linspace(0, 2, 48, dtype=np.float32).astype(ml_dtypes.bfloat16)
VECTORS = np.load(Path(__file__).parents[3] / "data" / "vectors" / "nvfp4_modelopt.npz")
WORDS = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32}


def saved(path: Path, tensors: dict[str, tuple[str, Any]]) -> None:
    """Write entries of any type."""
    entries = {name: Entry(kind, a.shape, a.nbytes) for name, (kind, a) in tensors.items()}
    with files.Writer(path, entries, {"by": "hand"}) as writer:
        for _, array in tensors.values():
            writer.write(array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array)


@pytest.fixture(params=WORDS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any]:
    """Make a file of weights in each word; one tensor does not fit, and two are not matrices."""
    x = W.astype(WORDS[request.param])
    tensors = {
        "a.weight": (request.param, x), "norm": ("BF16", NORM), "ids": ("I64", np.arange(3)),
        "odd": (request.param, np.ascontiguousarray(x[:, :40])),
        "f8": ("F8_E4M3", np.arange(8, dtype=np.uint8)),
    }  # fmt: skip
    saved(tmp_path / "x.safetensors", tensors)
    return tmp_path / "x.safetensors", x


CASES = [
    (layout, format) for layout, held in files.LAYOUTS.items() for format in ("mxfp4", "nvfp4")
    if format in held.formats
]  # fmt: skip


@pytest.mark.parametrize(("layout", "format"), CASES)
def test_layouts(
    source: tuple[Path, Any], layout: str, format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Blocks are golden's; what fits no layout is kept; the table states what is decoded."""
    path, x = source
    how = files.LAYOUTS[layout]
    out = path.with_name(f"q{how.suffix}")
    command = ["quantize", str(path), str(out), "--format", format, "--layout", layout]
    assert cli.run(command) == 0
    printed = capfd.readouterr().out
    held = golden.load_blocks(out)
    fits = layout == "blocks"
    assert list(held) == (["a.weight", "odd"] if fits else ["a.weight"])
    if not fits:
        whole = 64 if (layout, format) == ("gguf", "nvfp4") else 32 if format == "mxfp4" else 16
        assert "kept as it is: odd (" in printed
        assert f"it must have a multiple of {whole} elements along axis 1" in printed
    b = held["a.weight"]
    wide = x.astype(np.float32)
    t = np.float32(1)
    if format == "nvfp4":
        t = np.abs(wide).max() / np.float32(2688)
        if how.divides:
            divisor = np.float32(1) / t
            assert (b.tensor_scale, b.divides) == (divisor, True)
            t = np.float32(1) / divisor
        elif layout != "gguf":
            assert (b.tensor_scale, b.divides) == (t, False)
    wanted = golden.quantize(x, format, tensor_scale=float(t))
    assert np.array_equal(golden.pack(b), golden.pack(wanted))
    with files.open_file(out) as file:
        kept = {name: file.raw(name).tobytes() for name in ("norm",)}
        assert kept["norm"] == NORM.tobytes()
        if layout == "gguf":
            assert "left out: f8 (F8_E4M3 8)" in printed
            assert "f8" not in file.entries
            if format == "nvfp4":
                assert file.tensor("a.scale").values == t
                wanted = b = golden.Blocks(b.codes, b.scale_pos, None, format, b.shape,
                                           tensor_scale=float(t))  # fmt: skip
        else:
            assert file.metadata["by"] == "hand"
            assert file.raw("f8").tobytes() == bytes(range(8))
    ratio = sqnr(wide, golden.dequantize(b))
    row = next(line.split() for line in printed.splitlines() if line.startswith("a.weight"))
    assert row[-1] == f"{ratio:.2f}"
    assert ratio > (19 if format == "nvfp4" else 15)


@pytest.mark.parametrize("case", ["normal|bf16", "outliers|fp32", "wide|bf16", "tiny|fp32"])
def test_modelopt_file(case: str, tmp_path: Path) -> None:
    """A file as ModelOpt writes it, byte for byte but for -0."""
    x = VECTORS[f"{case}|x"]
    word = "BF16" if x.dtype == np.uint16 else "F32"
    saved(tmp_path / "x.safetensors", {"w": (word, x)})
    out = tmp_path / "q.safetensors"
    options = ["--format", "nvfp4", "--rule", "modelopt", "--layout", "modelopt"]
    assert cli.run(["quantize", str(tmp_path / "x.safetensors"), str(out), *options]) == 0
    with files.open_file(out) as file:
        assert file.raw("w_scale").tobytes() == VECTORS[f"{case}|modelopt|scale"].tobytes()
        assert file.raw("w_scale_2") == VECTORS[f"{case}|modelopt|t"]
        codes = VECTORS[f"{case}|modelopt|codes"]
        codes = np.where(codes == 8, 0, codes)
        assert file.raw("w").tobytes() == (codes[:, ::2] | codes[:, 1::2] << 4).tobytes()
        (tensor,) = files.stored(file).values()
        assert np.array_equal(tensor.values(), VECTORS[f"{case}|modelopt|y"])


def test_given_factor(tmp_path: Path) -> None:
    """A factor is rounded to FP32 and counts for every tensor; 1 is none."""
    saved(tmp_path / "x.safetensors", {"w": ("F32", W), "v": ("F32", W * 2)})
    for text, t in (("0.01", np.float32(0.01)), ("1", 1)):
        out = tmp_path / "q.safetensors"
        command = ["quantize", str(tmp_path / "x.safetensors"), str(out), "--tensor-scale", text]
        assert cli.run(command) == 0
        for name, scale in (("w", 1), ("v", 2)):
            b = golden.load_blocks(out)[name]
            assert b.tensor_scale == t
            wanted = golden.quantize(W * np.float32(scale), tensor_scale=float(t))
            assert np.array_equal(golden.pack(b), golden.pack(wanted))


def test_tiny_weights_and_divisors(tmp_path: Path) -> None:
    """A divisor does not overflow where weights are as small as FP32 has them."""
    tiny = np.full((2, 64), 2.0**-140, np.float32)
    saved(tmp_path / "x.safetensors", {"w": ("F32", tiny)})
    out = tmp_path / "q.safetensors"
    options = ["--format", "nvfp4", "--layout", "compressed-tensors"]
    assert cli.run(["quantize", str(tmp_path / "x.safetensors"), str(out), *options]) == 0
    b = golden.load_blocks(out)["w"]
    assert b.tensor_scale == np.finfo(np.float32).max


def test_divisor_that_is_stored_counts(tmp_path: Path) -> None:
    """Where R(1 / R(1 / t)) is above t, an element at a tie of t lies below that of the file."""
    for most in np.linspace(1, 2, 1000, dtype=np.float32):
        t = most / np.float32(2688)
        divisor = np.float32(1) / t
        if np.float32(1) / divisor > t and np.float32(112) * t / t == 112:
            break
    x = np.zeros((1, 64), np.float32)
    x[0, :2] = most, np.float32(112) * t  # a quarter of the scale 448
    saved(tmp_path / "x.safetensors", {"w": ("F32", x)})
    out = tmp_path / "q.safetensors"
    options = ["--format", "nvfp4", "--layout", "compressed-tensors"]
    assert cli.run(["quantize", str(tmp_path / "x.safetensors"), str(out), *options]) == 0
    b = golden.load_blocks(out)["w"]
    assert b.tensor_scale == divisor
    by = [float(t), float(np.float32(1) / divisor)]
    codes = [golden.quantize(x, "nvfp4", tensor_scale=f).codes[0, 0, 1] for f in by]
    assert codes == [1, 0]
    assert b.codes[0, 0, 1] == 0


def test_checkpoint_in_a_layout(tmp_path: Path) -> None:
    """Shards and index name the entries of the layout."""
    model = tmp_path / "model"
    model.mkdir()
    saved(model / "1.safetensors", {"a.weight": ("F32", W)})
    saved(model / "2.safetensors", {"b.weight": ("F32", W * 3)})
    index = {"weight_map": {"a.weight": "1.safetensors", "b.weight": "2.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    out = tmp_path / "q"
    options = ["--format", "nvfp4", "--layout", "compressed-tensors"]
    assert cli.run(["quantize", str(model), str(out), *options]) == 0
    named = json.loads((out / "model.safetensors.index.json").read_text())["weight_map"]
    assert set(named) == {
        f"{name}.weight_{part}" for name in "ab" for part in ("packed", "scale", "global_scale")
    }
    assert list(golden.load_blocks(out)) == ["a.weight", "b.weight"]
    assert cli.run(["quantize", str(model), str(tmp_path / "r"), *options[:2],
                    "--layout", "gguf"]) == 2  # fmt: skip


@pytest.mark.parametrize(("options", "message"), [
    (["--layout", "modelopt"], "format must be nvfp4 for layout modelopt, not 'amxfp4'"),
    (["--layout", "x"], "layout must be one of blocks, compressed-tensors, modelopt, gpt-oss, gg"),
    (["--rule", "modelopt"], "format must be nvfp4 in blocks of 16 with rule 'modelopt', not 'am"),
    (["--format", "nvfp4", "--rule", "modelopt", "--ties", "RNA"], "ties must be 'RNE' with rule"),
    (["--rule", "x"], "--rule must be one of nearest, modelopt, not 'x'"),
    (["--tensor-scale", "x"], "--tensor-scale must be a number or auto, not 'x'"),
    (["--tensor-scale", "-1"], "tensor_scale must be finite and above 0, not -1.0"),
    (["--tensor-scale", "1e60"], "tensor_scale must be finite and above 0, not inf"),
    (["--format", "nvfp4", "--layout", "gguf"], "OUT must be a .gguf file, not"),
])  # fmt: skip
def test_refused(
    options: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, and no file."""
    saved(tmp_path / "x.safetensors", {"w": ("F32", W)})
    out = tmp_path / "q.safetensors"
    assert cli.run(["quantize", str(tmp_path / "x.safetensors"), str(out), *options]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_names_of_the_command_line() -> None:
    """Completion knows every layout and rule without importing the model."""
    assert tuple(files.LAYOUTS) == cli_files.LAYOUTS
    assert tuple(RULES) == cli_files.RULES


def test_search(source: tuple[Path, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Scales are searched as golden does it, the output says so, and bad pairs are refused."""
    path, x = source
    out = path.with_name("q.safetensors")
    command = ["quantize", str(path), str(out), "--format", "amxfp4-ue5m3", "--search"]
    assert cli.run([*command, "-1,2"]) == 0
    assert "search=-1,2" in capsys.readouterr().out
    b = golden.load_blocks(out)["a.weight"]
    due = golden.quantize(x, "amxfp4-ue5m3", search=(-1, 2))
    assert np.array_equal(golden.pack(b), golden.pack(due))
    assert not np.array_equal(golden.pack(b), golden.pack(golden.quantize(x, "amxfp4-ue5m3")))
    before = out.read_bytes()
    for bad, message in (
        ("3", "two integers LO,HI, not '3'"), ("2,1", "not (2, 1)"), ("0,x", "not '0,x'"),
    ):  # fmt: skip
        assert cli.run([*command, bad]) == 2
        assert message in capsys.readouterr().err
    assert out.read_bytes() == before
