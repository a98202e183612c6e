"""The driver: products in every configuration, errors by name, and what it does afterwards."""

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden.engine import operand_b, unpack_c
from amxfp4.host import EngineError
from amxfp4.host.comparison import difference
from amxfp4.host.driver import Packets
from amxfp4.params.engine import EngineConfig
from amxfp4.verif.sim.line.model_bridge import ModelBridge, Noise
from amxfp4.verif.tests.host.configs import CONFIGS
from amxfp4.verif.tests.host.products import equal, operands, wanted


@pytest.mark.parametrize("noise", [0.0, 0.001])
@pytest.mark.parametrize("name", CONFIGS)
def test_products_of_any_size(name, noise, connect, rng):
    """Odd sizes, one element, more tiles than the memories hold, the largest K."""
    config = EngineConfig(**CONFIGS[name])
    bridge = ModelBridge(config)
    engine = connect(bridge, attempts=40, out=Noise(noise, 1), back=Noise(noise, 2))
    most = config.largest_k
    shapes = [(1, 1, 1), (3, 5, 7), (9, 9, 70), (2, 40, 33), (13, 6, most), (5, 5, most - 1)]
    for m, n, k in shapes:
        k = min(k, most)
        a, b = operands(rng, m, n, k)
        want, flags = wanted(config, a, b)
        equal(engine.matmul(a, b), want)
        assert set(engine.flags) == set(flags)
    assert engine.transport.statistics()["retries"] == 0 or noise


def test_flags_of_results_are_reported(connect, rng):
    config = EngineConfig(**CONFIGS["fixed"])
    engine = connect(ModelBridge(config))
    a, b = operands(rng, 4, 4, 32)
    engine.matmul(100 * a, b)
    assert set(engine.flags) == {"acc_overflow"}
    engine.matmul(0.01 * a, b)
    assert set(engine.flags) == {"acc_inexact"}
    engine.matmul(np.zeros_like(a), b)
    assert engine.flags == ()


@pytest.mark.parametrize(
    ("output", "got", "right"),
    [("bf16", 0xFFA5, 0x7FC0), ("bf16", 0x7FC1, 0x7FC0), ("fp32", 0xFFA50000, 0x7FC00000)],
)
def test_every_bit_of_a_nan_is_compared(output, got, right):
    """From C's packet on."""
    config = EngineConfig(**CONFIGS["small"], output=output)
    size = 2 if output == "bf16" else 4
    have, want = (unpack_c(config, bits.to_bytes(size, "little"), 1, 1) for bits in (got, right))
    assert difference(config, want, want) is None
    found = difference(config, have, want)
    assert found is not None
    assert f"expected 0x{right:X}, got 0x{got:X}" in str(found)


def test_identity_is_the_configuration(bridge, connect):
    engine = connect(bridge)
    for name in ("rows", "cols", "lanes", "block", "format_a", "acc", "depth_b", "bytes_c", "ties"):
        assert getattr(engine.config, name) == getattr(bridge.config, name)
    assert engine.identity.digest == bridge.config.digest
    assert engine.identity.max_k == bridge.config.largest_k
    assert engine.identity.version == (1, 0)


@pytest.mark.parametrize(
    ("register", "value", "text"),
    [
        ("id", 0x12345678, "register id must read 0x414D5834, not 0x12345678"),
        ("version", 0x00020003, "map must be of version 1.x, not 2.3"),
        (
            "formats",
            0x00FF0044,
            r"field format_a must be one of 0, 1, .*, not 68: this program is",
        ),
        ("shape", 0x10030202, "describe a configuration: lanes must be a power of two from 1"),
        ("streams", 0x30080803, "bytes_a must be one of 4, 8"),
    ],
)
def test_what_is_no_engine_of_ours(bridge, connect, register, value, text):
    bridge.engine.constants[register] = value
    with pytest.raises(EngineError, match=text):
        connect(bridge)


def test_newer_minor_version_is_fine(bridge, connect):
    bridge.engine.constants["version"] = 0x00010007
    assert connect(bridge).identity.version == (1, 7)


def test_bfloat16_and_words_and_records(bridge, connect, rng):
    """A may come in any of its forms, and B quantized: the results are the same."""
    import ml_dtypes

    engine = connect(bridge)
    a, b = operands(rng, 3, 4, 40)
    a = a.astype(ml_dtypes.bfloat16)
    qb = golden.quantize(b, "amxfp4", axis=0, block=16)
    want, _ = wanted(bridge.config, a, b)
    for left in (a, a.astype(np.float32), a.view(np.uint16)):
        for right in (b, qb):
            equal(engine.matmul(left, right), want)


@pytest.mark.parametrize(
    ("a", "b", "error", "text"),
    [
        (np.ones((2, 65), "f4"), np.ones((65, 1), "f4"), ValueError, "K must be at most 64 .*no"),
        (np.ones((2, 8), "f4"), np.ones((9, 1), "f4"), ValueError, r"B must be \[8, N\] for A of"),
        (np.ones((2, 8), "f8"), np.ones((8, 1), "f4"), TypeError, "A must be an array .*float64"),
        (np.ones((2, 8), "f4"), np.ones((8, 1), "i4"), TypeError, "B must be an array .*int32"),
        (np.ones(8, "f4"), np.ones((8, 1), "f4"), ValueError, "A must be a matrix"),
        (np.ones((0, 8), "f4"), np.ones((8, 1), "f4"), ValueError, "A must be a matrix"),
        (np.ones((2, 8), "u4"), np.ones((8, 1), "f4"), TypeError, "uint16 for bf16"),
        (np.ones((2, 8), "f4"), None, ValueError, "b must be given: no B"),
        (golden.quantize(np.ones((2, 8), "f4"), block=16), np.ones((8, 1), "f4"), TypeError,
         "A must be an array of bf16 words"),
        (np.ones((2, 8), "f4"), golden.quantize(np.ones((8, 1), "f4"), axis=0), ValueError,
         "must be quantized as amxfp4 in blocks of 16 along axis 0, not as amxfp4 in blocks of"),
        (np.ones((2, 8), "f4"), golden.quantize(np.ones((8, 1), "f4"), "mxfp4", axis=0, block=16),
         ValueError, "not as mxfp4"),
        (np.ones((2, 8), "f4"), golden.quantize(np.ones((8, 1), "f4"), block=16), ValueError,
         "along axis 0, not as .* along axis 1"),
    ],
)  # fmt: skip
def test_wrong_operands(bridge, connect, a, b, error, text):
    with pytest.raises(error, match=text):
        connect(bridge).matmul(a, b)


def sends(bridge):
    """Count the bytes that went to each stream."""
    return [sum(len(p) - 2 for o, p in bridge.done if o == 3 and p[0] == s) for s in (0, 1)]


def test_kept_b_is_sent_once(bridge, connect, rng):
    engine = connect(bridge)
    a, b = operands(rng, 6, 3, 30)
    want, _ = wanted(bridge.config, a, b)
    size = golden.pack(operand_b(bridge.config, b)).size
    equal(engine.matmul(a, b), want)  # by default: it fits, and there are three row tiles
    assert sends(bridge)[1] == size
    equal(engine.matmul(a), want)
    assert sends(bridge)[1] == size
    equal(engine.matmul(a, b, keep_b=False), want)
    assert sends(bridge)[1] == 4 * size
    with pytest.raises(ValueError, match="b must be given"):
        engine.matmul(a)


def test_kept_b_serves_small_products_on(bridge, connect, rng):
    """Vectors, one after another, by the same weights."""
    engine = connect(bridge)
    a, b = operands(rng, 2, 3, 30)
    want, _ = wanted(bridge.config, a, b)
    size = golden.pack(operand_b(bridge.config, b)).size
    equal(engine.matmul(a, b, keep_b=True), want)
    for row in (0, 1, 0):
        equal(engine.matmul(a[row : row + 1]), want[row : row + 1])
    assert sends(bridge)[1] == size
    equal(engine.matmul(a, keep_b=False), want)
    with pytest.raises(ValueError, match="b must be given"):
        engine.matmul(a)


def test_b_that_cannot_be_kept(bridge, connect, rng):
    a, b = operands(rng, 6, 12, 64)
    with pytest.raises(ValueError, match="keep_b must be False for N = 12 and K = 64: B takes 24"):
        connect(bridge).matmul(a, b, keep_b=True)
    equal(connect(bridge).matmul(a, b), wanted(bridge.config, a, b)[0])


def test_what_another_program_left_is_cleared(bridge, connect, rng):
    """A job in flight, a beat in the bridge, errors: a new driver begins with none of them."""
    engine = connect(bridge)
    engine.start(Packets(m=2, n=2, k=2, a=b"", b=[]))
    engine.transport.send(0, bytes(8), last=False)
    engine.pulse("start")
    again = connect(bridge)
    assert again.state()[0]["idle"]
    assert again.state()[1] == ()
    a, b = operands(rng, 3, 3, 3)
    equal(again.matmul(a, b), wanted(bridge.config, a, b)[0])


# Errors.


def test_abort(bridge, connect, rng):
    engine = connect(bridge)
    engine.start(Packets(m=1, n=1, k=1, a=b"", b=[]))
    engine.abort()
    assert engine.state()[0]["idle"]


def test_counters(bridge, connect, rng):
    engine = connect(bridge)
    a, b = operands(rng, 3, 3, 20)
    engine.matmul(a, b)
    assert engine.counters()["busy"] == 4 * 2 * 2
    bridge.engine.counted["stall_b"] = 0x1234_5678_9ABC
    assert engine.counters()["stall_b"] == 0x1234_5678_9ABC
