# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The engine's data path: two streams in, one out, and everything between them."""

from __future__ import annotations

from math import gcd

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.engine import EngineConfig
from amxfp4.rtl.array import MacArray
from amxfp4.rtl.bus.axi_stream import axis_layout
from amxfp4.rtl.engine.drain import BeatPacker, TileDrain, chunk_layout, drain_width
from amxfp4.rtl.engine.inputs import RecordInput, WordInput, problems_layout
from amxfp4.rtl.engine.job import job_members
from amxfp4.rtl.engine.requantize import Requantizer
from amxfp4.rtl.engine.sequencer import StepSequencer, tile_layout
from amxfp4.rtl.engine.tiles import TileCount, TileLoader, TileMemory
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.pipes import Queue, SkidBuffer
from amxfp4.rtl.lib.share import Shared
from amxfp4.rtl.quantizer.quantizer import Quantizer

__all__ = ["EngineDatapath"]


class EngineDatapath(wiring.Component):
    """One job after another: C = A B, tile by tile.

    Between jobs, and where one fails, it is held in reset; what the memories hold remains.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    a, b : In(stream of axis_layout), c : Out(stream of axis_layout)
    begins : In(1), begin `job`, which stays as it is until the job has ended
    job : In, see `amxfp4.rtl.engine.job.job_members`
    problems_a, problems_b : Out(problems_layout())
    inexact, overflow : Out(1), for one cycle: a valid result had this flag
    step : Out(1), for one cycle: the array takes a step
    stall_a, stall_b, stall_c : Out(1), what the array waits for
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        flags = ("inexact", "overflow", "step", "stall_a", "stall_b", "stall_c")
        super().__init__(
            {
                "a": In(stream.Signature(axis_layout(config.bytes_a))),
                "b": In(stream.Signature(axis_layout(config.bytes_b))),
                "c": Out(stream.Signature(axis_layout(config.bytes_c))),
                "begins": In(1),
                "job": In(wiring.Signature(job_members(config))),
                "problems_a": Out(problems_layout()),
                "problems_b": Out(problems_layout()),
                **{name: Out(1) for name in flags},
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        row_a, row_b = config.rows_ab
        self._input_a(m)
        self._input_b(m)

        # Tiles: loaded by turns, counted, read together.
        m.submodules.sequencer = sequencer = StepSequencer(config)
        memories = []
        for name, ways, depth, row, most in (
            ("a", config.rows, config.depth_a, row_a, 2),
            ("b", config.cols, config.depth_b, row_b, 2 * config.depth_b),
        ):
            memory, count = TileMemory(ways, depth, row.record_bits), TileCount(most)
            m.submodules[f"memory_{name}"], m.submodules[f"count_{name}"] = memory, count
            loader = self._loaders[name]
            m.d.comb += [
                memory.write.eq(loader.write),
                count.loaded.eq(loader.loaded),
                count.released.eq(getattr(sequencer, f"release_{name}")),
                # A matrix that is kept has been found to fit.
                loader.room.eq(count.room | loader.keep),
                getattr(sequencer, f"count_{name}").eq(count.count),
            ]
            memories.append(memory)

        # Steps: an address each, the records a cycle later.
        array = MacArray(config.array)
        m.submodules.array = Shared(array, "array", config.array)
        waiting = Signal()
        reads = Signal()
        taken = Signal()
        ends_tile = Signal()
        tile = Signal(tile_layout(config))
        step = sequencer.o.payload
        m.d.comb += [
            sequencer.start.eq(self.begins),
            *(
                getattr(sequencer, name).eq(getattr(job, name))
                for name in ("m", "n", "blocks", "keep", "reuse")
            ),
            sequencer.o.ready.eq(~waiting | array.i.ready),
            reads.eq(sequencer.o.valid & sequencer.o.ready),
            memories[0].address.eq(step.address_a),
            memories[1].address.eq(step.address_b),
            *(memory.read.eq(reads) for memory in memories),
            array.i.valid.eq(waiting),
            array.i.payload.eq(Cat(*(memory.records for memory in memories), ends_tile)),
            taken.eq(waiting & array.i.ready),
        ]
        with m.If(taken):
            m.d.sync += waiting.eq(0)
        with m.If(reads):
            m.d.sync += [waiting.eq(1), ends_tile.eq(step.ends_tile), tile.eq(step.tile)]
        self._count(m, sequencer, waiting, taken)

        # Tiles inside the array; each is in a register of its own there, so there is room.
        tiles = Queue(tile_layout(config), array.latency + 4)
        m.submodules.tiles = tiles
        m.submodules.drain = drain = TileDrain(config, drain_width(config))
        m.d.comb += [
            tiles.i.valid.eq(taken & ends_tile),
            tiles.i.payload.eq(tile),
            tiles.o.ready.eq(drain.i.valid & drain.i.ready),
            drain.tile.eq(tiles.o.payload),
            drain.i.payload.eq(array.o.payload),
            drain.i.valid.eq(array.o.valid),
            array.o.ready.eq(drain.i.ready),
            self.inexact.eq(drain.inexact),
            self.overflow.eq(drain.overflow),
        ]
        self._output(m, drain)
        return m

    def _input_a(self, m: Module) -> None:
        """Bring words through the quantizer, or records, into the loader of A."""
        config, job = self._config, self.job
        row = config.rows_ab[0]
        m.submodules.loader_a = loader = TileLoader(config.rows, config.depth_a, row.record_bits)
        m.d.comb += [
            loader.start.eq(self.begins),
            loader.total.eq(job.m),
            loader.blocks.eq(job.blocks),
        ]
        self._loaders = {"a": loader}
        if config.quantizer is None:
            m.submodules.input_a = source = RecordInput(config.bytes_a, row.record_bits)
            m.d.comb += [source.enable.eq(loader.active), source.is_last.eq(loader.ends_pass)]
            wiring.connect(m, source.o, loader.i)
        else:
            m.submodules.input_a = source = WordInput(config)
            m.d.comb += [source.start.eq(self.begins), source.m.eq(job.m), source.k.eq(job.k)]
            quantizer = Quantizer(config.quantizer)
            m.submodules.quantizer_a = Shared(quantizer, "quantizer", config.quantizer)
            wiring.connect(m, source.o, quantizer.i)
            wiring.connect(m, quantizer.o, loader.i)
        wiring.connect(m, wiring.flipped(self.a), source.i)
        m.d.comb += self.problems_a.eq(source.problems)

    def _input_b(self, m: Module) -> None:
        """Bring records into the loader of B: once for every row tile, once, or not at all."""
        config, job = self._config, self.job
        row = config.rows_ab[1]
        m.submodules.input_b = source = RecordInput(config.bytes_b, row.record_bits)
        m.submodules.loader_b = loader = TileLoader(
            config.cols, config.depth_b, row.record_bits, rows=config.rows
        )
        self._loaders["b"] = loader
        m.d.comb += [
            loader.start.eq(self.begins & ~job.reuse),
            loader.total.eq(job.n),
            loader.blocks.eq(job.blocks),
            loader.m.eq(job.m),
            loader.keep.eq(job.keep),
            source.enable.eq(loader.active),
            source.is_last.eq(loader.ends_pass),
            self.problems_b.eq(source.problems),
        ]
        wiring.connect(m, wiring.flipped(self.b), source.i)
        wiring.connect(m, source.o, loader.i)

    def _count(self, m: Module, sequencer: StepSequencer, waiting: Signal, taken: Signal) -> None:
        """Say what the array does: it works on a step for as many cycles as the step has beats."""
        beats = self._config.beats
        works = Signal(range(beats))
        m.d.comb += [
            self.step.eq(taken),
            self.stall_a.eq(sequencer.lacks_a & ~waiting & (works == 0)),
            self.stall_b.eq(sequencer.lacks_b & ~waiting & (works == 0)),
            self.stall_c.eq(waiting & ~taken & (works == 0)),
        ]
        if beats > 1:
            with m.If(taken):
                m.d.sync += works.eq(beats - 1)
            with m.Elif(works != 0):
                m.d.sync += assign_low(works, works - 1)

    def _output(self, m: Module, drain: TileDrain) -> None:
        """Pack words, or records made of them, into beats."""
        config = self._config
        bits, width = config.word.width, drain_width(config)
        # No stall passes through it at once: it has a long way through the array.
        m.submodules.drained = drained = SkidBuffer(chunk_layout(bits, width))
        wiring.connect(m, drain.o, drained.i)
        if config.row_c is None:
            m.submodules.packer = packer = BeatPacker(bits // 8, width, config.bytes_c)
            m.d.comb += [
                packer.i.payload.units.eq(drained.o.payload.words),
                packer.i.payload.count.eq(drained.o.payload.count),
                packer.i.payload.last.eq(drained.o.payload.ends_job),
                packer.i.valid.eq(drained.o.valid),
                drained.o.ready.eq(packer.i.ready),
            ]
        else:
            m.submodules.requantizer = requantizer = Requantizer(config)
            wiring.connect(m, drained.o, requantizer.i)
            unit = gcd(config.row_c.record_bytes, config.bytes_c)
            entry = config.row_c.record_bytes // unit
            m.submodules.packer = packer = BeatPacker(unit, entry, config.bytes_c)
            m.d.comb += [
                packer.i.payload.units.as_value().eq(requantizer.o.payload.record),
                packer.i.payload.count.eq(entry),
                packer.i.payload.last.eq(requantizer.o.payload.last),
                packer.i.valid.eq(requantizer.o.valid),
                requantizer.o.ready.eq(packer.i.ready),
            ]
        wiring.connect(m, packer.o, wiring.flipped(self.c))
