"""The driver: products in every configuration, errors by name, and what it does afterwards."""

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import Blocks
from amxfp4.golden.engine import expected, operand_a, operand_b, unpack_c
from amxfp4.host import EngineError, JobError, LineError
from amxfp4.host.comparison import difference
from amxfp4.host.driver import FLAGS, Packets
from amxfp4.host.errors import ERRORS
from amxfp4.params.engine import EngineConfig
from amxfp4.params.registers import REGISTERS
from amxfp4.verif.sim.line import model_engine
from amxfp4.verif.sim.line.model_bridge import ModelBridge, Noise
from amxfp4.verif.tests.host.configs import CONFIGS
from amxfp4.verif.tests.host.conftest import SMALL


def operands(rng, m, n, k):
    return (
        rng.standard_normal((m, k)).astype(np.float32),
        rng.standard_normal((k, n)).astype(np.float32),
    )


def wanted(config, a, b):
    return expected(config, operand_a(config, a)[0], operand_b(config, b))


def equal(got, want):
    if isinstance(want, Blocks):
        assert (got.format, got.shape, got.axis) == (want.format, want.shape, want.axis)
        got, want = golden.pack(got), golden.pack(want)
    np.testing.assert_array_equal(got, want)


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


def test_flags_of_results_are_told(connect, rng):
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

NAMES = [f.name for r in REGISTERS if r.name == "error" for f in r.fields]


def test_every_error_has_advice():
    assert list(ERRORS) == NAMES


@pytest.mark.parametrize("name", [n for n in NAMES if n not in FLAGS and n not in ("overrun",)])
def test_error_by_name(name, bridge, connect, rng, monkeypatch):
    """Each error is raised by its name, with advice, and the next product is right."""
    engine = connect(bridge)
    a, b = operands(rng, 3, 3, 20)
    if name == "bad_dimension":
        job = Packets(m=1, n=1, k=65, a=b"", b=[])
    elif name == "no_kept_b":
        job = Packets(m=1, n=1, k=1, a=b"", b=[], reuse=True)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(model_engine.ModelEngine, "_judge", lambda self, *_: self._fail(name))
            with pytest.raises(JobError) as caught:
                engine.matmul(a, b)
        job = None
    if job is not None:
        with pytest.raises(JobError) as caught:
            engine.run(job)
    assert caught.value.names == (name,)
    assert ERRORS[name] in str(caught.value)
    equal(engine.matmul(a, b), wanted(bridge.config, a, b)[0])


def test_overrun(bridge, connect):
    engine = connect(bridge)
    engine.start(Packets(m=1, n=1, k=1, a=b"", b=[]))
    with pytest.raises(JobError, match="overrun"):
        engine.start(Packets(m=1, n=1, k=1, a=b"", b=[]))


def test_errors_of_a_job_that_is_done(bridge, connect, rng, monkeypatch):
    """C may be whole, and is not believed."""
    engine = connect(bridge)
    a, b = operands(rng, 3, 3, 20)
    right = model_engine.ModelEngine._results

    def wrong(self, *arguments):
        right(self, *arguments)
        self._raise("overrun")

    with monkeypatch.context() as patch:
        patch.setattr(model_engine.ModelEngine, "_results", wrong)
        with pytest.raises(JobError) as caught:
            engine.matmul(a, b)
    assert caught.value.names == ("overrun",)
    equal(engine.matmul(a, b), wanted(bridge.config, a, b)[0])


NARROW = SMALL | {"bytes_a": 4, "bytes_b": 4}


def interrupted(engine, monkeypatch, error):
    """End a product where B would be sent: a beat of A waits in the bridge, two in the engine."""
    right = engine.transport.send

    def send(stream, data, *, last):
        if stream == 1:
            raise error
        return right(stream, data, last=last)

    with monkeypatch.context() as patch:
        patch.setattr(engine.transport, "send", send)
        with pytest.raises(type(error)):
            engine.matmul(np.full((7, 2), 100, "f4"), np.ones((2, 1), "f4"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), LineError("no answer")])
def test_product_after_one_that_was_interrupted(error, connect, monkeypatch):
    """What was sent for the one is not taken for the other."""
    engine = connect(ModelBridge(EngineConfig(**NARROW)))
    interrupted(engine, monkeypatch, error)
    ones = np.ones((1, 2), "f4"), np.ones((2, 1), "f4")
    for _ in range(2):
        equal(engine.matmul(*ones), wanted(engine.config, *ones)[0])


def test_overrun_leaves_nothing_behind(connect, monkeypatch):
    """Also if nobody knew that a job was in flight."""
    engine = connect(ModelBridge(EngineConfig(**NARROW)))
    interrupted(engine, monkeypatch, KeyboardInterrupt())
    engine._dirty = False
    ones = np.ones((1, 2), "f4"), np.ones((2, 1), "f4")
    with pytest.raises(JobError, match="overrun"):
        engine.matmul(*ones)
    equal(engine.matmul(*ones), wanted(engine.config, *ones)[0])


@pytest.mark.parametrize(
    ("method", "result", "text"),
    [
        ("give", None, r"no byte moved for 0.05 s .* 0 of 36 bytes"),
        ("take", False, "no byte moved"),
    ],
)
def test_engine_that_hangs(bridge, connect, rng, monkeypatch, method, result, text):
    engine = connect(bridge)
    a, b = operands(rng, 3, 3, 20)
    with monkeypatch.context() as patch:
        patch.setattr(model_engine.ModelEngine, method, lambda self, *_: result)
        with pytest.raises(EngineError, match=text):
            engine.matmul(a, b)
    equal(engine.matmul(a, b), wanted(bridge.config, a, b)[0])


@pytest.mark.parametrize("change", [-4, 4, 8, 64])
def test_c_that_is_too_short_or_too_long(bridge, connect, rng, monkeypatch, change):
    engine = connect(bridge)
    a, b = operands(rng, 3, 3, 20)
    right = model_engine.ModelEngine._results

    def wrong(self, raw_a, raw_b):
        right(self, raw_a, raw_b)
        if len(raw_a) == 40:  # the last row, alone in its tile
            if change > 0:
                self.c += bytes(change)
            else:
                del self.c[change:]

    with monkeypatch.context() as patch:
        patch.setattr(model_engine.ModelEngine, "_results", wrong)
        with pytest.raises(EngineError, match="must return 36 bytes and be done, not"):
            engine.matmul(a, b)
    equal(engine.matmul(a, b), wanted(bridge.config, a, b)[0])


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
