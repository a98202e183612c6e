"""The driver's errors: each by its name, and the next product is right."""

import numpy as np
import pytest

from amxfp4.host import EngineError, JobError, LineError
from amxfp4.host.driver import FLAGS, Packets
from amxfp4.host.errors import ERRORS
from amxfp4.params.engine import EngineConfig
from amxfp4.params.registers import REGISTERS
from amxfp4.verif.sim.line import model_engine
from amxfp4.verif.sim.line.model_bridge import ModelBridge
from amxfp4.verif.tests.host.conftest import SMALL
from amxfp4.verif.tests.host.products import equal, operands, wanted

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
