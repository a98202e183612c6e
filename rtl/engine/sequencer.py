"""The order of the engine's steps: which blocks meet in the array, and when."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.engine import LARGEST_MN, EngineConfig
from amxfp4.rtl.lib.arith import assign_low

__all__ = ["StepSequencer", "step_layout", "tile_layout"]


def tile_layout(config: EngineConfig) -> data.StructLayout:
    """Describe a tile to the drain: its valid rows and columns, and where it stands."""
    return data.StructLayout(
        {
            "rows": range(config.rows + 1),
            "cols": range(config.cols + 1),
            "ends_row": 1,
            "ends_job": 1,
        }
    )


def step_layout(config: EngineConfig) -> data.StructLayout:
    """One step: where its blocks lie, and, with a tile's last one, the tile."""
    return data.StructLayout(
        {
            "address_a": range(2 * config.depth_a),
            "address_b": range(2 * config.depth_b),
            "ends_tile": 1,
            "tile": tile_layout(config),
        }
    )


class StepSequencer(wiring.Component):
    """Walks over the tiles of C: for each row tile, for each column tile, for each block.

    A step leaves in every cycle in which its tiles are loaded and the array takes it; there is no
    cycle between tiles. A's tile is released with its last step, B's too unless it is kept.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    o : Out(stream of step_layout(config))
    start : In(1), begin with what stands on the next members in this cycle
    m, n, blocks, keep, reuse : In
    count_a, count_b : In, tiles that are loaded
    release_a, release_b : Out(1), for one cycle: the tile is done with
    lacks_a, lacks_b : Out(1), a step is due whose tile of A (else of B) is not loaded
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        blocks = range(min(config.depth_a, config.depth_b) + 1)
        super().__init__(
            {
                "o": Out(stream.Signature(step_layout(config))),
                "start": In(1),
                "m": In(range(LARGEST_MN + 1)),
                "n": In(range(LARGEST_MN + 1)),
                "blocks": In(blocks),
                "keep": In(1),
                "reuse": In(1),
                "count_a": In(2),
                "count_b": In(range(2 * config.depth_b + 1)),
                "release_a": Out(1),
                "release_b": Out(1),
                "lacks_a": Out(1),
                "lacks_b": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        active = Signal()
        job_keep = Signal()
        job_reuse = Signal()
        job_n = Signal.like(self.n)
        job_blocks = Signal.like(self.blocks)
        rows_left = Signal.like(self.m)
        cols_left = Signal.like(self.n)
        block = Signal(range(min(config.depth_a, config.depth_b)))
        half_a = Signal()
        base_b = Signal(range(2 * config.depth_b))
        # Tiles of this row tile that came before: a kept tile is there once more than these are.
        index = Signal(range(2 * config.depth_b))
        has_a = Signal()
        has_b = Signal()
        moves = Signal()
        ends_tile = Signal()
        ends_row = Signal()
        ends_job = Signal()
        step = self.o.payload
        m.d.comb += [
            has_a.eq(self.count_a != 0),
            has_b.eq(job_reuse | (self.count_b > Mux(job_keep, index, 0))),
            self.o.valid.eq(active & has_a & has_b),
            self.lacks_a.eq(active & ~has_a),
            self.lacks_b.eq(active & has_a & ~has_b),
            moves.eq(self.o.valid & self.o.ready),
            ends_tile.eq(block == (job_blocks - 1)[: len(block)]),
            ends_row.eq(cols_left <= config.cols),
            ends_job.eq(ends_row & (rows_left <= config.rows)),
            assign_low(step.address_a, block | (half_a * config.depth_a)),
            assign_low(step.address_b, base_b + block),
            step.ends_tile.eq(ends_tile),
            assign_low(step.tile.rows, Mux(rows_left < config.rows, rows_left, config.rows)),
            assign_low(step.tile.cols, Mux(cols_left < config.cols, cols_left, config.cols)),
            step.tile.ends_row.eq(ends_row),
            step.tile.ends_job.eq(ends_job),
            self.release_a.eq(moves & ends_tile & ends_row),
            self.release_b.eq(moves & ends_tile & ~job_keep & ~job_reuse),
        ]
        stays = job_keep | job_reuse
        with m.If(moves):
            m.d.sync += assign_low(block, Mux(ends_tile, 0, block + 1))
        with m.If(moves & ends_tile):
            m.d.sync += [
                assign_low(cols_left, Mux(ends_row, job_n, cols_left - config.cols)),
                assign_low(index, Mux(ends_row, 0, index + 1)),
                active.eq(~ends_job),
            ]
            with m.If(stays):
                m.d.sync += assign_low(base_b, Mux(ends_row, 0, base_b + job_blocks))
            with m.Else():
                m.d.sync += base_b.eq(base_b ^ config.depth_b)
            with m.If(ends_row):
                m.d.sync += [
                    half_a.eq(~half_a),
                    assign_low(rows_left, rows_left - config.rows),
                ]
        with m.If(self.start):
            m.d.sync += [
                active.eq(1), job_keep.eq(self.keep), job_reuse.eq(self.reuse), job_n.eq(self.n),
                job_blocks.eq(self.blocks), rows_left.eq(self.m), cols_left.eq(self.n),
                block.eq(0), half_a.eq(0), base_b.eq(0), index.eq(0),
            ]  # fmt: skip
        return m
