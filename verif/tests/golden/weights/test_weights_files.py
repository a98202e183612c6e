"""Weights in files: every bit is where docs/files.md says, and comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from amxfp4 import golden
from amxfp4.golden import files
from amxfp4.golden.files.layouts import weights as layout
from amxfp4.golden.weights import bytes_of, pack_codes, packing, unpack_codes
from amxfp4.params.weights import WEIGHT_FORMATS, WeightFormat
from amxfp4.verif.tests.golden.weights.exact import NAMES

quantize: Any = golden.quantize


def _bits(codes: list[int], bits: int) -> list[int]:
    """Bytes of codes as one little-endian number."""
    number = sum(code << (bits * i) for i, code in enumerate(codes))
    return list(number.to_bytes(-(-len(codes) * bits // 8), "little"))


@pytest.mark.parametrize("bits", [3, 4])
def test_bytes_of_codes(bits: int, rng: np.random.Generator) -> None:
    """Codes of any number are the bits of one number, and what is left over is 0."""
    for count in (*range(1, 20), 128, 1001):
        codes = rng.integers(0, 1 << bits, (2, 3, count), np.uint8)
        raw = pack_codes(codes, bits)
        assert raw.shape == (2, 3, bytes_of(count, bits))
        assert raw[1, 2].tolist() == _bits(codes[1, 2].tolist(), bits)
        assert np.array_equal(unpack_codes(raw, bits, count), codes)


def _assert_same(found: Any, wanted: Any) -> None:
    assert isinstance(found, golden.WeightBlocks)
    for field in ("format", "shape", "axis", "block", "packed"):
        assert getattr(found, field) == getattr(wanted, field)
    assert np.array_equal(found.codes, wanted.codes)
    for one, other in zip(found.scales, wanted.scales, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


def test_round_trip(rng: np.random.Generator, tmp_path: Path) -> None:
    """All formats, axes and groups in one file, beside blocks of E2M1."""
    x = rng.standard_normal((3, 5, 131)).astype(np.float32)
    x[0, 0, 0] = np.nan
    tensors: dict[str, Any] = {
        f"{format}.{axis}.{block}.{packed}": quantize(
            x, format, axis=axis, block=block, packed=packed
        )
        for format in NAMES
        for axis in range(3)
        for block in (128, -1)
        for packed in (False, True)
    }
    tensors["e2m1"] = golden.quantize(x)
    golden.save_blocks(tmp_path / "q.safetensors", tensors)
    back = golden.load_blocks(tmp_path / "q.safetensors")
    assert list(back) == list(tensors)
    assert np.array_equal(golden.pack(back.pop("e2m1")), golden.pack(tensors["e2m1"]))
    for name, b in back.items():
        _assert_same(b, tensors[name])
    with files.open_file(tmp_path / "q.safetensors") as file:
        for name, stored in files.stored(file).items():
            wanted = golden.dequantize(tensors[name])
            assert np.array_equal(stored.values(), wanted, equal_nan=True)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("format", ["afpq-nf3", "fpq-fp4"])
def test_layout(format: str, packed: bool, rng: np.random.Generator, tmp_path: Path) -> None:
    """Codes as bits, numbers as scales, the rest as metadata: read by another library."""
    x = rng.standard_normal((2, 130)).astype(np.float32)
    b, row = quantize(x, format, packed=packed), WEIGHT_FORMATS[format]
    golden.save_blocks(tmp_path / "q.safetensors", {"w": b})
    with safetensors.safe_open(tmp_path / "q.safetensors", framework="numpy") as file:
        codes, scales = file.get_tensor("w.codes"), file.get_tensor("w.scales")
        metadata = file.metadata()
    assert codes.shape == (2, 2, 16 * row.bits)
    assert codes[1, 0].tolist() == _bits(b.codes[1, 0].tolist(), row.bits)
    assert scales.dtype == (np.float16 if packed else np.float32)
    assert np.array_equal(scales, np.stack(b.scales, axis=-1))
    assert metadata.pop("w.format") == format
    assert {key: json.loads(text) for key, text in metadata.items()} == {
        "w.block": 128, "w.shape": [2, 130], "w.axis": 1,
    }  # fmt: skip


def test_other_layouts_refuse(tmp_path: Path) -> None:
    b = quantize(np.ones((2, 128), np.float32), "afpq-nf4")
    for other in ("modelopt", "compressed-tensors", "gpt-oss", "gguf"):
        path = tmp_path / ("q.gguf" if other == "gguf" else "q.safetensors")
        with pytest.raises(ValueError, match=f"format must be .* for layout {other}, not 'afpq-n"):
            golden.save_blocks(path, {"w": b}, layout=other)
    assert not list(tmp_path.iterdir())


ONES = np.full((1, 64), 0x77, np.uint8)
SCALE = np.ones((1, 1), np.float32)
META = {"w.format": "fpq-nf4", "w.block": "128", "w.shape": "[128]", "w.axis": "0"}
BROKEN: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"w.scales": SCALE.astype(np.float64)}, {}, r"w.scales must be F32 1x1 .*, not F64 1x1"),
    ({"w.scales": SCALE[..., :0]}, {}, r"w.scales must be F32 1x1 .*, not F32 1x0"),
    ({"w.scales": -SCALE}, {}, r"scale_pos must be finite and at least 0, or NaN, not -1\.0"),
    ({"w.codes": ONES[:, :48]}, {}, r"w.codes must be U8 1x64 for fpq-nf4 in groups of 128 .*1x48"),
    ({}, {"w.format": "fpq-nf3"}, r"w.codes must be U8 1x48 for fpq-nf3"),
    ({}, {"w.format": "afpq-nf4"}, r"w.scales must be F32 1x2 for afpq-nf4"),
    ({}, {"w.block": "64"}, "not what quantize writes: block must be one of 128, -1, not 64"),
    ({}, {"w.block": "true"}, "not what quantize writes: block must be an integer, not True"),
    ({}, {"w.shape": "[1, 130]"}, r"w.codes must be U8 1x64|w.codes must be U8"),
    ({}, {"w.axis": "1"}, "not what quantize writes: axis must be from -1 to 0, not 1"),
    ({}, {"w.axis": None}, "it holds w.codes but no w.axis"),  # type: ignore[dict-item]
]


@pytest.mark.parametrize(("entries", "metadata", "message"), BROKEN)
def test_broken(entries: Any, metadata: Any, message: str, tmp_path: Path) -> None:
    """Parts that do not belong together are refused, by name."""
    path = tmp_path / "q.safetensors"
    whole = {"w.codes": ONES, "w.scales": SCALE, **entries}
    said = {key: text for key, text in {**META, **metadata}.items() if text is not None}
    safetensors.numpy.save_file(whole, path, said)
    with pytest.raises(ValueError, match=rf"q.safetensors cannot be read as blocks: .*{message}"):
        golden.load_blocks(path)


def test_whole_is_read(tmp_path: Path) -> None:
    """What the table above breaks is read as it stands."""
    path = tmp_path / "q.safetensors"
    safetensors.numpy.save_file({"w.codes": ONES, "w.scales": SCALE}, path, META)
    assert not golden.dequantize(golden.load_blocks(path)["w"]).any()


def _high_bits_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(packing, "_SHIFTS", (8 + 3, 16 + 6, 32 + 12))


def _swapped_sides(patch: pytest.MonkeyPatch) -> None:
    real = golden.WeightBlocks
    patch.setattr(
        layout, "WeightBlocks", lambda codes, pos, neg, *rest: real(codes, neg, pos, *rest)
    )


def _always_fp32(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WeightFormat, "scale_bits", 32)


@pytest.mark.parametrize("mutate", [_high_bits_first, _swapped_sides, _always_fp32])
def test_mutant_is_found(mutate: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is written or read wrong is found out."""

    def check() -> None:
        x = np.random.default_rng(3).standard_normal((2, 130)).astype(np.float32)
        b = quantize(x, "afpq-nf3", packed=True)
        assert pack_codes(b.codes, 3)[1, 0].tolist() == _bits(b.codes[1, 0].tolist(), 3)
        golden.save_blocks(tmp_path / "q.safetensors", {"w": b})
        _assert_same(golden.load_blocks(tmp_path / "q.safetensors")["w"], b)

    check()
    mutate(monkeypatch)
    with pytest.raises((AssertionError, TypeError, ValueError)):
        check()
