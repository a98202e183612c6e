"""Tensors of other libraries: the values of their words, and their memory given back once."""

from __future__ import annotations

import functools
import gc
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from amxfp4 import golden
from amxfp4.golden import formats
from amxfp4.golden.dlpack import as_array
from amxfp4.golden.engine import operand_a, operand_b
from amxfp4.golden.quality import sqnr
from amxfp4.params.engine import EngineConfig
from amxfp4.verif.tests.golden.arrays.exporters import (
    BFLOAT,
    CUDA,
    FLOAT,
    FLOAT8,
    INT,
    UINT,
    ArrayLike,
    Exporter,
    Managed,
    Old,
    Refusing,
    Versioned,
)

WORDS = {
    "bf16": (BFLOAT, np.uint16, ml_dtypes.bfloat16),
    "fp16": (FLOAT, np.uint16, np.float16),
    "fp32": (FLOAT, np.uint32, np.float32),
}
LAYOUTS: dict[str, Any] = {
    "whole": lambda a: a,
    "transposed": lambda a: a.T,
    "backwards": lambda a: a[::-1, ::-1],
    "thinned": lambda a: a[1::2, ::3],
    "broadcast": lambda a: as_strided(a, (512, 40), (a.strides[0], 0)),
    "three axes": lambda a: a.reshape(32, 16, 128).transpose(2, 0, 1),
    "one axis": lambda a: a.reshape(-1),
}
CAPSULES: dict[str, Any] = {
    "versioned": Exporter,
    "unversioned": functools.partial(Exporter, kind=Managed),
    "old": Old,
}


def every(word: str) -> Any:
    """Every word of 16 bits; of 32 bits, each with the words beside it as its lower half."""
    _, dtype, _ = WORDS[word]
    upper = np.arange(1 << 16, dtype=dtype).reshape(512, 128)
    return upper if dtype is np.uint16 else upper << 16 | (upper * 40503) & 0xFFFF


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("capsule", CAPSULES)
@pytest.mark.parametrize("word", WORDS)
def test_values_are_those_of_the_words(word: str, capsule: str, layout: str) -> None:
    """Any strides, either kind of capsule: bit for bit what an array of the words gives."""
    code, _, dtype = WORDS[word]
    words = LAYOUTS[layout](every(word))
    held = words.copy()  # what is shared is overwritten once it is given back
    exporter = CAPSULES[capsule](words, code)
    values = as_array("x", exporter)
    wanted = formats.values(held, "bf16") if word == "bf16" else held.view(dtype)
    bits = np.uint32 if word == "bf16" else held.dtype
    assert values.dtype == wanted.dtype
    assert np.array_equal(values.view(bits), wanted.view(bits))
    del values
    again = CAPSULES[capsule](LAYOUTS[layout](every(word)), code)
    quantized, expected = (golden.quantize(x, "nvfp4", axis=0) for x in (again, held.view(dtype)))
    assert np.array_equal(golden.pack(quantized), golden.pack(expected))
    assert quantized.shape == expected.shape


@pytest.mark.parametrize("capsule", CAPSULES)
def test_offset_in_bytes(capsule: str) -> None:
    """The first word lies that many bytes behind the address."""
    words = every("bf16")[300:]
    held = formats.values(words.copy(), "bf16")
    exporter = CAPSULES[capsule](words, BFLOAT, offset=2 * 300 * 128)
    assert np.array_equal(as_array("x", exporter).view(np.uint32), held.view(np.uint32))


@pytest.mark.parametrize("capsule", CAPSULES)
@pytest.mark.parametrize("word", WORDS)
def test_memory_is_kept_and_given_back_once(word: str, capsule: str) -> None:
    """As long as there is an array of it, and no longer; bfloat16 values are a copy."""
    code, dtype, _ = WORDS[word]
    exporter = CAPSULES[capsule](np.full((2, 16), 0x3F80, dtype), code)
    array = as_array("x", exporter)
    assert exporter.deleted == (word == "bf16")
    assert array.astype(np.float32).all()
    part = array[:1]
    del array
    assert exporter.deleted == (word == "bf16")
    assert part.astype(np.float32).all()
    del part
    assert exporter.deleted == 1
    golden.quantize(exporter)
    assert (exporter.asked, exporter.deleted, exporter.left) == (2, 2, 0)


REFUSED: list[tuple[str, Any, type[Exception], str]] = [
    ("another device", {"device": (CUDA, 1)}, ValueError, r"CPU's memory, not on \(2, 1\): copy"),
    ("FP8", {"code": FLOAT8, "bits": 8}, TypeError, "must be an array that NumPy can .* Exporter"),
    ("wide bfloat", {"bits": 32}, TypeError, "an array that NumPy can read, not Exporter"),
    ("vectors", {"lanes": 2}, TypeError, "x must be an array that NumPy can read, not Exporter"),
    ("integers", {"code": INT}, TypeError, "x must be an array of dtype .*, not int16"),
    ("words", {"code": UINT}, TypeError, "x must be an array of dtype .*, not uint16"),
    ("a later version", {"major": 2}, TypeError, "x must be an array that NumPy can read, not"),
]


@pytest.mark.parametrize(
    ("options", "error", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_refused(options: Any, error: type[Exception], message: str) -> None:
    """Named by what it is; memory on another device is not asked for, none is kept."""
    exporter: Any = Exporter(every("bf16"), **({"code": BFLOAT} | options))
    with pytest.raises(error, match=message):
        golden.quantize(exporter)
    gc.collect()
    assert exporter.asked == ("device" not in options)
    assert exporter.deleted + exporter.left == exporter.asked


def test_device_is_named_as_its_library_does() -> None:
    exporter: Any = Exporter(every("bf16"), BFLOAT, device=(CUDA, 0))
    exporter.device = "cuda:0"
    with pytest.raises(ValueError, match="y must be in the CPU's memory, not on cuda:0: copy it"):
        sqnr(np.ones(3, np.float32), exporter)


@pytest.mark.parametrize(
    "x", [Refusing(every("bf16"), BFLOAT), ArrayLike(None)], ids=["DLPack", "array"]
)
def test_reason_of_the_library_is_passed_on(x: Any) -> None:
    message = f"x must be an array that NumPy can read, not {type(x).__name__}: it .* a"
    with pytest.raises(TypeError, match=message):
        golden.quantize(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_what_knows_how_to_become_an_array(dtype: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 50)).astype(dtype)
    assert np.array_equal(golden.quantize(ArrayLike(x)).codes, golden.quantize(x).codes)
    assert sqnr(ArrayLike(x), ArrayLike(x)) == np.inf
    with pytest.raises(TypeError, match=r"x must be an array of dtype .*, not float64"):
        golden.quantize(ArrayLike(x.astype(np.float64)))


def test_exporters_are_what_dlpack_describes() -> None:
    """NumPy reads them without our help, but for bfloat16."""
    words = every("fp32")
    for kind in (Managed, Versioned):
        shared = np.from_dlpack(Exporter(words, FLOAT, kind))
        assert np.array_equal(shared.view(np.uint32), words)
        assert np.shares_memory(shared, words)
        with pytest.raises((BufferError, RuntimeError), match="dtype"):
            np.from_dlpack(Exporter(every("bf16"), BFLOAT, kind))


def test_everything_that_takes_floats(rng: np.random.Generator) -> None:
    """A ratio of signal and noise, and the operands of an engine."""
    x = rng.standard_normal((32, 64)).astype(ml_dtypes.bfloat16)
    wide = x.astype(np.float32)
    y = golden.dequantize(golden.quantize(x))

    def tensor() -> Any:
        return Exporter(x.view(np.uint16).copy(), BFLOAT)

    assert sqnr(tensor(), y) == sqnr(wide, y)
    assert sqnr(y, tensor()) == sqnr(y, wide)
    config = EngineConfig()
    assert operand_a(config, tensor())[1] == operand_a(config, wide)[1]
    words = Exporter(x.view(np.uint16).copy(), UINT)
    assert operand_a(config, words)[1] == operand_a(config, wide)[1]
    assert np.array_equal(golden.pack(operand_b(config, tensor())),
                          golden.pack(operand_b(config, wide)))  # fmt: skip
    with pytest.raises(TypeError, match="A must be an array without a mask"):
        operand_a(config, np.ma.masked_array(wide, wide > 0))
