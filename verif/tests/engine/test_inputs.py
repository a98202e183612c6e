# amaranth: UnusedElaboratable=no
"""Streams to words and records: every byte accounted for, every wrong packet named."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from amxfp4.params.engine import EngineConfig
from amxfp4.rtl.engine.inputs import BeatGate, RecordInput, WordInput

PROBLEMS = ("early", "late", "keep")


def beats(raw, width):
    """Cut a packet into (data, keep, last)."""
    cut = [raw[n : n + width] for n in range(0, len(raw), width)]
    return [
        (int.from_bytes(part, "little"), (1 << len(part)) - 1, n == len(cut) - 1)
        for n, part in enumerate(cut)
    ]


def run(dut, sent, wanted, rng, *, begin, before=None, eager=False):
    """Send beats; return what came out, and the problems that were named first."""
    got, problems = [], set()

    async def testbench(ctx):
        waiting = list(sent)
        begin(ctx)
        for _ in range(2000):
            offers = bool(waiting) and (eager or rng.random() < 0.7)
            ctx.set(dut.i.valid, offers)
            if offers:
                data, keep, last = waiting[0]
                ctx.set(dut.i.payload.data.as_value(), data)
                ctx.set(dut.i.payload.keep, keep)
                ctx.set(dut.i.payload.last, last)
            if before is not None:
                before(ctx, len(got))
            ready = eager or rng.random() < 0.7
            ctx.set(dut.o.ready, ready)
            if ctx.get(dut.o.valid) and ready:
                payload = dut.o.payload
                got.append(ctx.get(getattr(payload, "as_value", lambda p=payload: p)()))
            if offers and ctx.get(dut.i.ready):
                waiting.pop(0)
            problems.update(p for p in PROBLEMS if ctx.get(getattr(dut.problems, p)))
            await ctx.tick()
            if dut_start is not None:
                ctx.set(dut_start, 0)
            if problems or (len(got) == wanted and not waiting):
                return

    dut_start = getattr(dut, "start", None)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return got, problems


def records(raw, count, size, width, rng, **options):
    dut = RecordInput(width, 8 * size)

    def before(ctx, done):
        ctx.set(dut.enable, done < count)
        ctx.set(dut.is_last, done == count - 1)

    return run(dut, beats(raw, width), count, rng, begin=lambda ctx: None, before=before, **options)


@pytest.mark.parametrize(
    ("size", "width"),
    [
        pytest.param(size, width, marks=() if (i + j) % 2 == 0 else pytest.mark.nightly)
        for i, size in enumerate((17, 18, 9))
        for j, width in enumerate((4, 8, 32, 64))
    ],
)
def test_records(size, width):
    rng = np.random.default_rng([size, width])
    for count in (1, 2, 7):
        raw = rng.bytes(count * size)
        got, problems = records(raw, count, size, width, rng)
        assert not problems
        assert b"".join(word.to_bytes(size, "little") for word in got) == raw


@pytest.mark.by_day(2)
@pytest.mark.parametrize("width", [4, 8, 64])
def test_records_of_wrong_length(width):
    """One byte too few or too many is enough, wherever TLAST falls in a beat."""
    rng, size, count = np.random.default_rng(width), 18, 4
    right = count * size
    for length in (1, 17, 18, 36, right - 1, right, right + 1, right + 18, right + 100):
        _, problems = records(rng.bytes(length), count, size, width, rng)
        expected = set() if length == right else {"early"} if length < right else {"late"}
        assert problems == expected, length


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize(("word", "block"), [("bf16", 16), ("fp32", 32)])
def test_words(width, word, block):
    """Rows of any length are filled up to whole blocks with zeros."""
    config = EngineConfig(
        bytes_a=width, input=word, block=block, depth_a=4, depth_b=4, format_a="mxfp4"
    )
    size, lanes = config.quantizer.word.width // 8, config.quantizer.lanes
    rng = np.random.default_rng([width, block])
    for m, k in ((1, 1), (3, 1), (2, block), (3, block + 1), (2, 3 * block - 1), (4, 7)):
        rows = [rng.bytes(k * size) for _ in range(m)]
        blocks = -(-k // block)
        expected = b"".join(row.ljust(blocks * block * size, b"\0") for row in rows)
        got, problems = words(config, b"".join(rows), m, k, rng)
        assert not problems
        assert b"".join(b.to_bytes(lanes * size, "little") for b in got) == expected


def words(config, raw, m, k, rng):
    dut = WordInput(config)

    def begin(ctx):
        ctx.set(dut.start, 1)
        ctx.set(dut.m, m)
        ctx.set(dut.k, k)

    wanted = m * -(-k // config.block) * config.quantizer.beats
    return run(dut, beats(raw, config.bytes_a), wanted, rng, begin=begin)


@pytest.mark.by_day(2)
@pytest.mark.parametrize("width", [4, 8, 32])
def test_words_of_wrong_length(width):
    config = EngineConfig(bytes_a=width, block=16, format_a="mxfp4", depth_a=4, depth_b=4)
    rng, m, k = np.random.default_rng(width), 3, 19
    right = m * k * 2
    for length in (1, 2, 38, 39, right - 32, right - 2, *range(right - 1, right + 3), right + 64):
        _, problems = words(config, rng.bytes(length), m, k, rng)
        expected = set() if length == right else {"early"} if length < right else {"late"}
        assert problems == expected, length


def test_words_need_words():
    with pytest.raises(ValueError, match=r"^input must be a format of words, not 'records'$"):
        WordInput(EngineConfig(input="records"))


@pytest.mark.parametrize(("width", "unit"), [(4, 1), (4, 4), (8, 2)])
def test_gate_judges_every_keep(width, unit):
    dut = BeatGate(width, unit)

    async def testbench(ctx):
        for keep in range(1 << width):
            for last in (0, 1):
                ctx.set(dut.beat.keep, keep)
                ctx.set(dut.beat.last, last)
                length = bin(keep).count("1")
                whole = keep == (1 << length) - 1 and length > 0
                good = whole and (last or length == width)
                assert ctx.get(dut.bad) == (not good)
                if whole:
                    assert ctx.get(dut.entry.count) == length // unit
                    assert ctx.get(dut.entry.cut) == (length % unit != 0)
                    assert ctx.get(dut.entry.last) == last

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()
