"""Packets of the engine against docs/units/engine.md, written down once more as plain loops."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import Blocks, engine, formats, stimulus
from amxfp4.params.engine import EngineConfig
from amxfp4.params.formats import FP32, OUTPUTS
from amxfp4.verif.tests.golden.oracle import exact_blocks, exact_result

CONFIGS: dict[str, dict[str, Any]] = {
    "default": {},
    "one by one": {"rows": 1, "cols": 1, "block": 16},
    "wide": {"rows": 2, "cols": 5, "output": "bf16", "input": "fp32", "ties": "RNE"},
    "fixed": {"rows": 3, "cols": 2, "acc": "fixed", "frac_bits": 2, "int_bits": 4, "input": "fp16"},
    "records": {"rows": 3, "cols": 4, "format_a": "mxfp4", "input": "records", "acc": "fp32"},
    "requantized": {"rows": 3, "cols": 4, "block": 16, "requantize": "nvfp4"},
    "requantized twice": {
        "rows": 2, "cols": 16, "block": 16, "requantize": "amxfp4", "input": "records",
        "output": "bf16", "ties": "RNE",
    },
}  # fmt: skip
SHAPES = [(1, 1), (2, 3), (3, 4), (4, 8), (7, 9), (6, 40), (5, 17)]


def _words(config: EngineConfig, c: Any) -> Any:
    """Words of C, as integers."""
    return (c.view(np.uint32) >> (32 - config.word.width)).tolist()


def _stream(config: EngineConfig, c: Any) -> bytes:
    """C's packet, byte by byte, as the two loops of docs/units/engine.md have it."""
    out = bytearray()
    m, n = c.shape
    if config.requantize != "none":
        for top in range(0, m, config.rows):
            for left in range(0, n, config.block):
                for row in range(top, min(top + config.rows, m)):
                    part = np.zeros(config.block, np.float32)
                    part[: len(c[row, left : left + config.block])] = c[
                        row, left : left + config.block
                    ]
                    b = golden.quantize(
                        part, config.requantize, ties=config.ties, block=config.block
                    )
                    for low, high in zip(b.codes[0, ::2], b.codes[0, 1::2], strict=True):
                        out.append(int(low) | int(high) << 4)
                    out.append(int(b.scale_pos[0]))
                    out += bytes([] if b.scale_neg is None else [int(b.scale_neg[0])])
        return bytes(out)
    words = _words(config, c)
    for top in range(0, m, config.rows):
        for left in range(0, n, config.cols):
            for row in range(top, min(top + config.rows, m)):
                for column in range(left, min(left + config.cols, n)):
                    out += words[row][column].to_bytes(config.word.width // 8, "little")
    return bytes(out)


def _c(config: EngineConfig, rng: np.random.Generator, m: int, n: int) -> Any:
    """Draw a C of values that are exact in its words, some of them special."""
    c = rng.standard_normal((m, n)).astype(np.float32) * np.float32(4)
    c[rng.random((m, n)) < 0.1] = 0
    c[rng.random((m, n)) < 0.02] = np.inf
    c[rng.random((m, n)) < 0.02] = np.nan
    return formats.values(formats.words(c, config.output), config.output).reshape(m, n)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CONFIGS)
def test_packet_of_c(name: str, shape: tuple[int, int], rng: np.random.Generator) -> None:
    """Tiles in their order, ragged ones at the right and at the bottom; and back."""
    config = EngineConfig(**CONFIGS[name])
    c = _c(config, rng, *shape)
    raw = engine.pack_c(config, c)
    assert raw == _stream(config, c)
    assert len(raw) == engine.bytes_of_c(config, *shape)
    back = engine.unpack_c(config, raw, *shape)
    assert back.shape == shape
    if isinstance(back, Blocks):
        q = golden.quantize(c, config.requantize, ties=config.ties, block=config.block)
        assert (back.format, back.axis) == (q.format, q.axis)
        assert np.array_equal(golden.pack(back), golden.pack(q))
        assert engine.pack_c(config, back) == raw
    else:
        assert np.array_equal(back.view(np.uint32), c.view(np.uint32))


@pytest.mark.parametrize("name", CONFIGS)
def test_expected(name: str, rng: np.random.Generator) -> None:
    """Every element of C against fractions, with the flags of the whole product."""
    config = EngineConfig(**CONFIGS[name])
    x = rng.standard_normal((4, 37)).astype(np.float32)
    y = rng.standard_normal((37, 5)).astype(np.float32)
    a, raw_a = engine.operand_a(config, x)
    b = engine.operand_b(config, y)
    found, names = engine.expected(config, a, b)
    steps = a.codes.shape[1]
    left, right = exact_blocks(a), exact_blocks(b)
    bits = (config.frac_bits or 0, config.int_bits or 0)
    c, flags = np.zeros((4, 5), np.uint32), set()
    for i, j in np.ndindex(4, 5):
        word, *raised = exact_result(
            left[i * steps : (i + 1) * steps], right[j * steps : (j + 1) * steps], (a.row, b.row),
            config.acc, config.output, bits,
        )  # fmt: skip
        c[i, j] = word << (FP32.width - OUTPUTS[config.output].width)
        flags |= {n for n, up in zip(("acc_inexact", "acc_overflow"), raised, strict=True) if up}
    assert set(names) == flags
    assert bool(flags) == (config.acc == "fixed")
    assert engine.pack_c(config, found) == _stream(config, c.view(np.float32))
    if config.input == "records":
        assert raw_a == golden.pack(golden.quantize(x, config.format_a, ties=config.ties,
                                                    block=config.block)).tobytes()  # fmt: skip
    else:
        words = formats.words(x, config.input)
        assert raw_a == b"".join(int(w).to_bytes(words.itemsize, "little") for w in words.flat)
        assert np.array_equal(
            golden.pack(a),
            golden.pack(golden.quantize(formats.values(words, config.input), config.format_a,
                                        ties=config.ties, block=config.block)),
        )  # fmt: skip
    assert (b.format, b.shape, b.axis) == (config.format_b, (37, 5), 0)


def test_operands_in_all_their_forms(rng: np.random.Generator) -> None:
    """Words, narrower floats, reversed views and blocks are the same A and B."""
    config = EngineConfig()
    raw = stimulus.blocks(rng, 6, 32, "bf16")
    x = formats.values(raw, "bf16")
    a, packet = engine.operand_a(config, raw)
    for same in (x, raw.view(ml_dtypes.bfloat16), np.asfortranarray(x), x[::-1][::-1]):
        blocks, other = engine.operand_a(config, same)
        assert np.array_equal(golden.pack(blocks), golden.pack(a))
        # On the way through floats a NaN loses its payload.
        assert other == np.where(np.isnan(x), 0x7FC0, raw).astype("<u2").tobytes()
    assert packet == raw.tobytes()
    records = EngineConfig(input="records")
    assert engine.operand_a(records, a)[0] is a
    b = engine.operand_b(config, x.T)
    assert engine.operand_b(config, b) is b


X = np.ones((3, 40), np.float32)
Q = golden.quantize(X, axis=1)
DEFAULT, RECORDS = EngineConfig(), EngineConfig(input="records")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: engine.operand_a(DEFAULT, Q), TypeError, "A must be an array of bf16 words .*"),
        (lambda: engine.operand_a(DEFAULT, np.ones(3)), TypeError, "A must be .*, not float64"),
        (lambda: engine.operand_a(DEFAULT, X.view(np.uint32)), TypeError, "for bf16, not uint32"),
        (lambda: engine.operand_a(DEFAULT, X[0]), ValueError, r"A must be a matrix .* \(40,\)"),
        (lambda: engine.operand_a(DEFAULT, X[:0]), ValueError, r"A must be a matrix .* \(0, 40\)"),
        (lambda: engine.operand_a(RECORDS, golden.quantize(X, axis=0)), ValueError,
         "A must be quantized as amxfp4 in blocks of 32 along axis 1, not as .* along axis 0"),
        (lambda: engine.operand_b(DEFAULT, golden.quantize(X, "mxfp4", axis=0)), ValueError,
         "B must be quantized as amxfp4 .*, not as mxfp4"),
        (lambda: engine.operand_b(DEFAULT, golden.quantize(X, axis=0, block=16)), ValueError,
         "B must be quantized .*, not as amxfp4 in blocks of 16"),
        (lambda: engine.operand_b(DEFAULT, X.astype(int)), TypeError, "B must be .*, not int64"),
        (lambda: engine.unpack_c(DEFAULT, bytes(23), 2, 3), ValueError,
         r"raw must be of 24 bytes for C of \[2, 3\], not 23"),
    ],
)  # fmt: skip
def test_packets_wrong(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def _swapped(m: int, n: int, rows: int, cols: int) -> Any:
    """Column tiles before row tiles."""
    tile = np.arange(n) // cols * -(-m // rows) + np.arange(m)[:, None] // rows
    return np.argsort(tile, axis=None, kind="stable")


def test_a_wrong_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loops above find tiles in another order, which the way back alone would not."""
    config = EngineConfig(rows=2, cols=2)
    c = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert engine.pack_c(config, c) == _stream(config, c)
    monkeypatch.setattr(engine, "_order", _swapped)
    assert engine.pack_c(config, c) != _stream(config, c)
    assert np.array_equal(engine.unpack_c(config, engine.pack_c(config, c), 4, 4), c)  # type: ignore[arg-type]
