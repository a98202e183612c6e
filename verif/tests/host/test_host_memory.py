"""The memory map: FIFO cores that hold whole packets, their limits, and their faults."""

import mmap

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.commands import host
from amxfp4.golden import Blocks
from amxfp4.golden.engine import expected, operand_a, operand_b
from amxfp4.host import Engine, EngineError, HostError, LineError
from amxfp4.host.driver import Packets
from amxfp4.host.link.mapping import MappedWindow
from amxfp4.host.link.memory_map import FifoCore, MemoryMap
from amxfp4.host.link.transport import Limits
from amxfp4.host.selftest import run
from amxfp4.params.engine import EngineConfig
from amxfp4.params.protocol import Stream
from amxfp4.verif.sim.line.model_engine import ModelEngine
from amxfp4.verif.tests.host.model_fifo import ModelFifo, ModelRegisters

STREAMS = {"bytes_a": 4, "bytes_b": 4, "bytes_c": 4, "depth_a": 4, "depth_b": 4}
CONFIGS = {
    "words": {"rows": 2, "cols": 2, "lanes": 8, "block": 16, **STREAMS},
    "records": {"rows": 2, "cols": 4, "lanes": 8, "block": 16, "requantize": "amxfp4", **STREAMS},
    "fixed": {"rows": 3, "cols": 2, "lanes": 8, "block": 16, "acc": "fixed", **STREAMS},
}


def nothing():
    return None


def engine_of(config, *, depth=64, depth_b=84, three=False, cut_through=False):
    """Put a model of an engine behind models of FIFO cores."""
    model = ModelEngine(config)

    def take(stream):
        return lambda data, last: model.take(stream, data, last)

    def give():
        return model.give(4)

    rx = {"depth": depth, "cut_through": cut_through}
    fifos = [
        ModelFifo(take(0), nothing if three else give, lacks=(0x18,) if three else (), **rx),
        ModelFifo(take(1), nothing, depth=depth_b, lacks=(0x18,)),
    ]
    fifos += [ModelFifo(take(0), give, lacks=(0x08,), **rx)] if three else []
    for fifo in fifos:
        fifo.others = [other for other in fifos if other is not fifo]
    transport = MemoryMap(ModelRegisters(model), fifos, depth=depth, cut_through=cut_through)
    transport.timeout = 0.05
    return Engine(transport), fifos


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("depth", "three"), [(20, False), (64, False), (64, True), (1024, True)])
def test_products_are_cut_into_packets_that_fit(name, depth, three, rng):
    config = EngineConfig(**CONFIGS[name])
    engine, fifos = engine_of(config, depth=depth, three=three)
    for m, n, k in ((1, 1, 1), (13, 2, 30), (3, 19, 17), (7, 9, 32)):
        a = rng.standard_normal((m, k)).astype(np.float32)
        b = rng.standard_normal((k, n)).astype(np.float32)
        want, flags = expected(config, operand_a(config, a)[0], operand_b(config, b))
        got = engine.matmul(a, b)
        if isinstance(want, Blocks):
            got, want = golden.pack(got), golden.pack(want)
        np.testing.assert_array_equal(got, want)
        assert set(engine.flags) == set(flags)
    assert fifos[-1 if three else 0].longest <= 4 * (depth - 4)


def test_cut_through_takes_packets_of_any_length(rng):
    config = EngineConfig(**CONFIGS["words"])
    engine, fifos = engine_of(config, depth=40, cut_through=True)
    a = rng.standard_normal((16, 4)).astype(np.float32)
    b = rng.standard_normal((4, 10)).astype(np.float32)
    want, _ = expected(config, operand_a(config, a)[0], operand_b(config, b))
    np.testing.assert_array_equal(engine.matmul(a, b), want)
    assert fifos[0].longest == 16 * 10 * 4


@pytest.mark.parametrize("three", [False, True])
def test_reset_with_results_in_flight(three, rng):
    """More of C than the FIFO takes, time and again, waits behind it."""
    config = EngineConfig(**CONFIGS["words"])
    engine, _ = engine_of(config, depth=40, depth_b=200, three=three)
    m, n, k = 16, 10, 2
    a, b = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
    raw_a, raw_b = operand_a(config, a)[1], golden.pack(operand_b(config, b)).tobytes()
    engine.start(Packets(m=m, n=n, k=k, a=raw_a, b=[raw_b], keep=True))
    assert engine.transport.send(Stream.A, raw_a, last=True) == len(raw_a)
    assert engine.transport.send(Stream.B, raw_b, last=True) == len(raw_b)
    assert len(engine.transport._engine.engine.c) > 2 * 4 * 40  # besides what is in the FIFO
    engine.recover(hard=True)
    want, _ = expected(config, operand_a(config, a[:3])[0], operand_b(config, b[:, :3]))
    np.testing.assert_array_equal(engine.matmul(a[:3], b[:, :3]), want)


def test_selftest_passes():
    """Injected errors included: they need packets only."""
    engine, _ = engine_of(EngineConfig(**CONFIGS["words"]), depth=256)
    totals = run.run(engine, seed=1, count=5)
    assert totals.passed, totals.failure
    assert totals.checks == 10  # refusals would be bus errors


@pytest.mark.parametrize(
    ("options", "depth", "depth_b"),
    [
        ({"depth_a": 64, "depth_b": 64}, 512, 512),  # not the largest K
        ({"depth_a": 4, "rows": 64}, 512, 84),  # no job of a whole tile
        ({"depth_a": 4, "rows": 2}, 64, 18),  # B in parts, which are not kept
        ({"depth_a": 4, "rows": 2, "input": "records", "format_a": "mxfp4"}, 20, 18),
    ],
)
def test_selftest_behind_small_fifos(options, depth, depth_b):
    """What cannot be carried is no fault of the engine."""
    config = EngineConfig(**CONFIGS["words"] | options)
    engine, _ = engine_of(config, depth=depth, depth_b=depth_b)
    totals = run.run(engine, seed=1, count=3)
    assert totals.passed, totals.failure
    assert totals.checks == 10
    assert (totals.skipped > 0) == (depth_b == 512)


def test_selftest_of_a_board_that_was_pulled_out():
    """A bus without a board reads ones, which is no failed check."""
    engine, fifos = engine_of(EngineConfig(**CONFIGS["words"]))

    def pull_out(totals, name):
        if totals.products == 5:
            for window in (engine.transport._engine, *fifos):
                window.read = lambda offset: 0xFFFFFFFF

    with pytest.raises(LineError, match="is gone: register id reads 0xFFFFFFFF"):
        run.run(engine, seed=1, progress=pull_out)


def test_selftest_that_skips_everything(capfd):
    """Nothing was compared."""
    engine, _ = engine_of(EngineConfig(**CONFIGS["words"]))
    engine.transport.limits = Limits(a=1, b=1, c=1, advice="make them deeper")
    assert host.selftest(engine, count=2, seed=1, first=7) == 1
    printed = capfd.readouterr()
    assert "2 products skipped, which cannot be carried: make them deeper" in printed.out
    assert "nothing was compared" in printed.err


@pytest.mark.parametrize(
    ("name", "n", "k", "text"),
    [
        ("words", 1, 33, "a row of A must be at most 64 bytes here, not 66: the FIFO cores hold"),
        ("words", 1, 32, None),
        ("records", 17, 32, "16 columns of B must be at most 240 bytes here, not 320: the FIFO"),
        ("records", 17, 16, None),
    ],
)
def test_what_cannot_be_cut_further(name, n, k, text):
    """A row, a column, or the columns of a block of C."""
    engine, _ = engine_of(EngineConfig(**CONFIGS[name]), depth=20, depth_b=64)
    a, b = np.ones((1, k), np.float32), np.ones((k, n), np.float32)
    if text is None:
        assert engine.matmul(a, b).shape == (1, n)
        return
    with pytest.raises(HostError, match=text):
        engine.matmul(a, b)


def test_packet_that_does_not_fit():
    core = FifoCore(ModelFifo(lambda data, last: True, nothing))
    with pytest.raises(HostError, match="241 bytes or more must be at most 240 for the FIFO"):
        core.send(bytes(241), last=True)
    assert core.send(bytes(240), last=True) == 240


def test_full_fifo_takes_what_fits():
    """The rest is taken when packets before it have left."""
    lets = [False]
    core = FifoCore(ModelFifo(lambda data, last: lets[0], nothing))
    assert core.send(bytes(200), last=True) == 200
    assert core.send(bytes(100), last=True) == 40
    assert core.send(bytes(60), last=True) == 0
    lets[0] = True
    assert core.send(bytes(60), last=True) == 60


def test_packet_keeps_its_odd_end():
    got = []
    core = FifoCore(ModelFifo(lambda data, last: got.append((data, last)) or True, nothing))
    assert core.send(b"abcd", last=False) == 4
    assert core.send(b"efg", last=True) == 3
    assert got == [(b"abcd", False), (b"efg", True)]


@pytest.mark.parametrize("most", [1, 3, 4, 100])
def test_packet_is_received_in_pieces(most):
    beats = []
    core = FifoCore(ModelFifo(lambda *_: True, lambda: beats.pop(0) if beats else None))
    beats += [(b"abcd", False), (b"ef", True), (b"g", True)]
    got = []
    while len(got) < 2:
        packet = b""
        last = False
        while not last:
            data, last = core.receive(most)
            assert 0 < len(data) <= most
            packet += data
        got.append(packet)
    assert got == [b"abcdef", b"g"]
    assert core.receive(most) == (b"", False)


def test_what_is_no_fifo():
    with pytest.raises(LineError, match="no AXI4-Stream FIFO at 0xF1F0: its reset does not end"):
        FifoCore(ModelFifo(lambda *_: True, nothing, resets=False))
    with pytest.raises(LineError, match="must have room after a reset"):
        FifoCore(ModelFifo(lambda *_: True, nothing, depth=4))


@pytest.mark.parametrize(("bit", "name"), [(31, "RPURE"), (29, "RPUE"), (28, "TPOE"), (25, "TSE")])
def test_fault_is_named(bit, name):
    fifo = ModelFifo(lambda *_: True, nothing)
    core = FifoCore(fifo)
    fifo.isr |= 1 << bit
    with pytest.raises(HostError, match=f"reports a fault: .*{name}.*data width"):
        core.send(bytes(4), last=True)


@pytest.mark.parametrize(
    ("fifos", "depth", "text"),
    [
        (1, 512, "FIFO cores must be 2 .* or 3 .*, not 1"),
        (2, 15, "depth must be from 16 to"),
    ],
)
def test_memory_map_wrong(fifos, depth, text):
    windows = [ModelFifo(lambda *_: True, nothing) for _ in range(fifos)]
    with pytest.raises(ValueError, match=text):
        MemoryMap(ModelRegisters(None), windows, depth=depth)


def test_nothing_is_written_where_no_engine_is():
    model = ModelEngine(EngineConfig(**CONFIGS["words"]))
    model.constants["id"] = 0
    written = []
    fifos = [ModelFifo(lambda *_: True, nothing) for _ in range(2)]
    for fifo in fifos:
        fifo.write = lambda *arguments: written.append(arguments)
    with pytest.raises(
        EngineError, match="register id at 0x43C00000 must read 0x414D5834, not 0x0"
    ):
        MemoryMap(ModelRegisters(model), fifos)
    assert not written


def test_window_is_words_of_a_file(tmp_path):
    """A device file is mapped like any other."""
    path = tmp_path / "uio"
    path.write_bytes(bytes(4096) + bytes.fromhex("34584d41") + bytes(4092))
    window = MappedWindow(path, mmap.ALLOCATIONGRANULARITY, "test")
    assert window.read(0) == 0x414D5834
    window.write(8, 0x01020304)
    window.close()
    with path.open("rb") as file:
        file.seek(4104)
        assert file.read(4) == bytes([4, 3, 2, 1])
    with pytest.raises(LineError, match="test cannot be mapped"):
        MappedWindow(path, 1, "test")
    assert path.stat().st_size == 8192
