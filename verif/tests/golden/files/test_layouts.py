"""Other people's layouts: what their owners decode, bit for bit; and every code of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from amxfp4 import cli, golden
from amxfp4.golden import files
from amxfp4.golden.files import Entry
from amxfp4.golden.files.layouts.parts import swizzle
from amxfp4.golden.nibbles import join_nibbles
from amxfp4.verif.tests.golden.files.made import codes_of, gguf_file, scales_of

DATA = Path(__file__).parents[3] / "data" / "checkpoints"
HELD = sorted(p.relative_to(DATA).as_posix() for p in (*DATA.rglob("*.safetensors"),
                                                       *DATA.rglob("*.gguf")))  # fmt: skip
OPENAI = {"block.0.mlp.mlp1_weight": "gate_up_proj", "block.0.mlp.mlp2_weight": "down_proj"}


def decoded(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Values that the owner decodes from a file, by the owner's names."""
    stem = path.parent.parent / "model" if path.parent.name == "original" else path.with_suffix("")
    held = np.load(f"{stem}.decoded.npz")
    who = "openai" if path.parent.name == "original" else "transformers"
    names = {f"model.layers.0.mlp.experts.{new}": old for old, new in OPENAI.items()}
    found = {}
    for key in held.files:
        name, *of = key.split("|")
        if of in ([who, "f32"],) if who == "openai" else of in ([], ["f32"], [who, "f32"]):
            if of == ["f32"] and not name.endswith(".weight"):
                name += ".weight"
            found[names.get(name, name) if who == "openai" else name] = held[key]
    return found


def assert_same(got: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> None:
    """Bits are equal, signs of zeros too; a NaN is any NaN."""
    assert got.shape == wanted.shape
    assert np.array_equal(np.isnan(got), np.isnan(wanted))
    number = ~np.isnan(wanted)
    assert np.array_equal(got[number].view(np.uint32), wanted[number].view(np.uint32))


@pytest.mark.parametrize("held", HELD)
def test_owner_decodes_the_same(
    held: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`dequantize` writes the values that the owner decodes, and keeps all other tensors."""
    wanted = decoded(DATA / held)
    out = tmp_path / "out.safetensors"
    assert cli.run(["dequantize", str(DATA / held), str(out)]) == (0 if "F16" not in held else 2)
    if "F16" in held:  # no codes
        assert "it holds no blocks" in capfd.readouterr().err
        assert not out.exists()
        return
    with files.open_file(DATA / held) as source, files.open_file(out) as file:
        codes = files.stored(source)
        assert codes
        for name, tensor in codes.items():
            assert file.entries[name].dtype == "F32"
            assert_same(file.raw(name), wanted[name])
            if tensor.row:
                values = golden.dequantize(tensor.blocks())
                assert np.array_equal(values, wanted[name], equal_nan=True)
        parts = {part for tensor in codes.values() for part in tensor.parts}
        others = source.entries.keys() - parts
        assert file.entries.keys() == codes.keys() | others
        # What told readers of codes is not said of numbers.
        assert file.metadata.items() <= source.metadata.items()
        assert file.metadata.keys().isdisjoint({*codes, "tensor_names"})
        for name in others:
            assert file.entries[name] == source.entries[name]
            assert file.raw(name).tobytes() == source.raw(name).tobytes()
            if name in wanted and file.entries[name].word:
                assert_same(file.tensor(name).values, wanted[name])
        compared = (codes.keys() | others) & wanted.keys()
    assert wanted.keys() - compared <= {"w_f4|raw"}


@pytest.mark.parametrize("held", [h for h in HELD if "F16" not in h])
def test_info_and_blocks(held: str, capfd: pytest.CaptureFixture[str]) -> None:
    """`info` names layout and format; blocks are those of the file."""
    assert cli.run(["info", str(DATA / held)]) == 0
    printed = capfd.readouterr().out
    with files.open_file(DATA / held) as file:
        tensors = files.stored(file)
        rows = {name for name, tensor in tensors.items() if tensor.row}
    layouts = {tensor.layout for tensor in tensors.values()} - {"safetensors"}
    assert all(layout in printed for layout in layouts)
    if rows:
        assert golden.load_blocks(DATA / held).keys() == rows
    else:
        with pytest.raises(ValueError, match="it holds no blocks"):
            golden.load_blocks(DATA / held)


T = 0.0123
E2M1 = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float32)


def _scale_values(block: int) -> npt.NDArray[np.float32]:
    codes = scales_of()
    if block == 32:
        return codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    # Decoders ignore a scale's sign.
    return (codes & 0x7F).view(ml_dtypes.float8_e4m3fn).astype(np.float32)


def _file(folder: Path, entries: dict[str, tuple[str, Any]], metadata: dict[str, str]) -> Path:
    path = folder / "x.safetensors"
    shapes = {name: Entry(kind, a.shape, a.nbytes) for name, (kind, a) in entries.items()}
    with files.Writer(path, shapes, metadata) as writer:
        for _, array in entries.values():
            writer.write(array)
    return path


def _compressed(folder: Path, block: int) -> tuple[Path, float, bool]:
    entries: dict[str, tuple[str, Any]] = {
        "w_packed": ("U8", join_nibbles(codes_of(block))),
        "w_scale": ("F8_E4M3" if block == 16 else "U8", scales_of()),
    }
    if block == 16:
        entries["w_global_scale"] = ("F32", np.array([T], np.float32))
    return _file(folder, entries, {}), T if block == 16 else 1.0, block == 16


def _modelopt(folder: Path, block: int) -> tuple[Path, float, bool]:
    entries: dict[str, tuple[str, Any]] = {
        "w": ("U8", join_nibbles(codes_of(block))),
        "w_scale": ("F8_E4M3", scales_of()),
        "w_scale_2": ("F32", np.array(T, np.float32)),
    }
    return _file(folder, entries, {}), T, False


def _gpt_oss(folder: Path, block: int) -> tuple[Path, float, bool]:
    raw = join_nibbles(codes_of(block)).reshape(1, 256, 2, 16)
    entries = {"w.blocks": ("U8", raw), "w.scales": ("U8", scales_of()[None])}
    return _file(folder, entries, {}), 1.0, False


def _torchao(swizzled: bool) -> Callable[[Path, int], tuple[Path, float, bool]]:
    def make(folder: Path, block: int) -> tuple[Path, float, bool]:
        kind = "F8_E8M0" if block == 32 else "F8_E4M3"
        scales = swizzle(scales_of()).reshape(64, 16) if swizzled else scales_of()
        fields: dict[str, Any] = {"block_size": block, "is_swizzled_scales": swizzled}
        if block == 32:
            fields["elem_dtype"] = {"_type": "torch.dtype", "_data": "float4_e2m1fn_x2"}
        said = {"_type": "MXTensor" if block == 32 else "NVFP4Tensor", "_data": fields}
        entries: dict[str, tuple[str, Any]] = {
            "_w_qdata": ("U8", join_nibbles(codes_of(block))), "_w_scale": (kind, scales),
        }  # fmt: skip
        if block == 16:
            entries["_w_per_tensor_scale"] = ("F32", np.array(T, np.float32))
        return _file(folder, entries, {"w": json.dumps(said)}), T if block == 16 else 1.0, False

    return make


def _gguf(folder: Path, block: int) -> tuple[Path, float, bool]:
    # NVFP4 has records of four blocks: two rows of ours make one of the file's.
    parts = codes_of(block).reshape(512, 2, block // 2)
    raw = parts[:, 0] | parts[:, 1] << 4
    scales = scales_of().reshape(-1, 1)
    if block == 16:
        raw, scales = raw.reshape(128, 32), scales.reshape(128, 4)
    records = np.concatenate([scales, raw], axis=1).reshape(-1, 34 if block == 32 else 36)
    path = folder / "x.gguf"
    path.write_bytes(gguf_file({"w": (39 if block == 32 else 40, records)}))
    return path, 1.0, False


MAKERS = {
    "compressed-tensors": _compressed, "modelopt": _modelopt, "gpt-oss": _gpt_oss,
    "torchao": _torchao(False), "torchao swizzled": _torchao(True), "gguf": _gguf,
}  # fmt: skip
NONE = (("modelopt", 32), ("gpt-oss", 16))


@pytest.mark.parametrize(
    ("layout", "block"),
    [(m, k) for m in MAKERS for k in (16, 32) if (m, k) not in NONE],
)
def test_every_code(layout: str, block: int, tmp_path: Path) -> None:
    """All scale codes with all element codes, by ml_dtypes' values and FP32's own arithmetic."""
    path, t, divides = MAKERS[layout](tmp_path, block)
    (b,) = golden.load_blocks(path).values()
    assert (b.format, b.block, b.divides) == ("mxfp4" if block == 32 else "nvfp4", block, divides)
    assert b.tensor_scale == np.float32(t)
    s = _scale_values(block)
    with np.errstate(all="ignore"):
        scaled = s / np.float32(t) if divides else s * np.float32(t)
        wanted = E2M1[codes_of(block).reshape(256, 2, block)] * scaled[..., None]
    got = golden.dequantize(b).reshape(wanted.shape)
    assert np.array_equal(got, wanted, equal_nan=True)
    assert np.isnan(got).sum() == (2 if block == 32 else 4) * block  # NaN scales are NaN
    zero = (E2M1[codes_of(block).reshape(256, 2, block)] == 0) | (s[..., None] == 0)
    assert not np.signbit(got[zero]).any()
    with files.open_file(path) as file:
        (tensor,) = files.stored(file).values()
        own = tensor.values().reshape(wanted.shape)
    eight = codes_of(block).reshape(wanted.shape) == 8
    signed = layout not in ("modelopt", "gguf")
    number = ~np.isnan(wanted) & (signed | ~eight)
    assert np.array_equal(own[number].view(np.uint32), wanted[number].view(np.uint32))
    assert (own[eight & ~np.isnan(wanted)] == 0).all()


@pytest.mark.parametrize(("dtype", "kind"), [("F8_E4M3", ml_dtypes.float8_e4m3fn),
                                             ("F8_E5M2", ml_dtypes.float8_e5m2),
                                             ("F8_E8M0", ml_dtypes.float8_e8m0fnu)])  # fmt: skip
def test_every_code_of_plain_numbers(dtype: str, kind: Any, tmp_path: Path) -> None:
    """FP8 numbers are those of ml_dtypes, infinity and signs of zero included."""
    codes = np.arange(256, dtype=np.uint8).reshape(2, 128)
    path = _file(tmp_path, {"w": (dtype, codes)}, {})
    with files.open_file(path) as file:
        assert_same(files.stored(file)["w"].values(), codes.view(kind).astype(np.float32))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1"])
def test_every_code_of_gguf(kind: str, rng: np.random.Generator, tmp_path: Path) -> None:
    """Integers of every value with every FP16 scale: as float64 makes them, rounded once."""
    number, size = {"Q8_0": (8, 34), "Q4_0": (2, 18), "Q4_1": (3, 20)}[kind]
    d = np.arange(1 << 16, dtype="<u2")
    records = rng.integers(0, 256, (1 << 16, size), np.uint8)
    records[:, :2] = d.view(np.uint8).reshape(-1, 2)
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf_file({"w": (number, records)}))
    with files.open_file(path) as file:
        got = files.stored(file)["w"].values()
    with np.errstate(all="ignore"):
        scale = d.view(np.float16).astype(np.float64)[:, None]
        if kind == "Q8_0":
            exact = scale * records[:, 2:].view(np.int8)
        else:
            raw = records[:, -16:]
            q = np.concatenate([raw & 15, raw >> 4], axis=1).astype(np.float64)
            least = records[:, 2:4].copy().view("<f2").astype(np.float64)
            exact = scale * (q - 8) if kind == "Q4_0" else scale * q + least
        wanted = exact.astype(np.float32)
    assert np.array_equal(got, wanted, equal_nan=True)
    assert np.array_equal(np.signbit(got[got != 0]), np.signbit(wanted[got != 0]))


def test_gguf_library_agrees(tmp_path: Path) -> None:
    """The owner's reader finds the same tensors, sizes and values in files of every type."""
    library = pytest.importorskip("gguf", reason="gguf comes with the test extra")
    from gguf.quants import dequantize

    from amxfp4.golden.files.gguf_file import TYPES

    sizes = {kind.name: size for kind, size in library.GGML_QUANT_SIZES.items()}
    for name, elements, size in TYPES.values():
        assert sizes[name] == (elements, size), name
    own = tmp_path / "own.gguf"
    tensors = {f: golden.quantize(np.ones((3, 128), np.float32), f) for f in ("mxfp4", "nvfp4")}
    golden.save_blocks(own, tensors, layout="gguf")
    for path in (own, *sorted(DATA.glob("gguf/*.gguf"))):
        reader = library.GGUFReader(path)
        with files.open_file(path) as file:
            held = files.stored(file)
            assert list(file.entries) == [tensor.name for tensor in reader.tensors]
            for tensor in reader.tensors:
                entry = file.entries[tensor.name]
                assert entry.dtype == tensor.tensor_type.name
                assert entry.shape == tuple(int(n) for n in reversed(tensor.shape))
                if tensor.name in held:
                    wanted = dequantize(tensor.data, tensor.tensor_type)
                    assert_same(held[tensor.name].values(), wanted.reshape(entry.shape))


@pytest.mark.parametrize(("codes", "scales"), [("w", "w_scale"), ("w_codes", "w_scale")])
def test_bytes_that_are_no_blocks(codes: str, scales: str, tmp_path: Path) -> None:
    """Bytes beside scales, of names and types that no layout has together, are tensors."""
    entries = {codes: ("U8", join_nibbles(codes_of(32))), scales: ("U8", scales_of())}
    with files.open_file(_file(tmp_path, entries, {})) as file:
        assert files.stored(file) == {}
