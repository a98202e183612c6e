# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""Records of two operands, cut into the beats of a processing element."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import ZERO_POINT_BITS, BlockFormat
from amxfp4.rtl.dot.products import CodeSum
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.pipes import StreamRegister
from amxfp4.rtl.lib.share import Shared

__all__ = ["BeatSequencer", "beat_layout"]


def _record_layout(row: BlockFormat) -> data.StructLayout:
    """Layout of a block record."""
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(row.element.width, row.block),
            "scales": data.ArrayLayout(row.scale.width, row.scales),
            "zero": ZERO_POINT_BITS * row.zero_point,
        }
    )


def _operand_layout(config: DotConfig, side: int) -> data.StructLayout:
    """Layout of what a processing element sees of an operand (0: A, 1: B) in one cycle."""
    row, widths = config.rows_ab[side], DotWidths(config)
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(row.element.width, config.lanes),
            "scales": data.ArrayLayout(row.scale.width, row.scales),
            "zero": widths.zero(side),
            "code_sum": widths.code_sum(side),
        }
    )


def beat_layout(config: DotConfig) -> data.StructLayout:
    """One cycle's work of a processing element: lanes of both operands, their blocks' scales."""
    return data.StructLayout(
        {
            "a": _operand_layout(config, 0),
            "b": _operand_layout(config, 1),
            "ends_block": 1,
            "ends_sum": 1,
        }
    )


class BeatSequencer(wiring.Component):
    """Cuts records into beats of `lanes` elements.

    With K / lanes = 1 it is wires, else it holds the records of one step in a register whose
    codes move down beat by beat, and takes the next ones with the last beat: no bubble. Where a
    zero point needs the sum of an operand's codes it is formed here, once for a row or column.

    Parameters
    ----------
    config : DotConfig
    rows, cols : int
        Records of A and of B in a step.

    Members
    -------
    i : In(stream of `rows` A records from bit 0, `cols` B records, then `last`)
    o : Out(stream of `layout`)

    Latency: `latency` cycles to the last beat of a step.
    """

    def __init__(self, config: DotConfig, rows: int = 1, cols: int = 1) -> None:
        self._config = config
        formats = config.rows_ab
        self._layouts = [_record_layout(row) for row in formats]
        self._counts = (rows, cols)
        self._beat_bits = [row.element.width * config.lanes for row in formats]
        records = rows * formats[0].record_bits + cols * formats[1].record_bits
        super().__init__(
            {
                "i": In(stream.Signature(records + 1)),
                "o": Out(stream.Signature(self.layout(config, rows, cols))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles: the beats if there are several, and the register ``input``."""
        beats = self._config.beats
        return (beats if beats > 1 else 0) + ("input" in self._config.cuts)

    @staticmethod
    def layout(config: DotConfig, rows: int, cols: int) -> data.StructLayout:
        """One beat for all rows and columns."""
        return data.StructLayout(
            {
                "a": data.ArrayLayout(_operand_layout(config, 0), rows),
                "b": data.ArrayLayout(_operand_layout(config, 1), cols),
                "ends_block": 1,
                "ends_sum": 1,
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, beats = self._config, self._config.beats
        whole = data.StructLayout(
            {
                "a": data.ArrayLayout(self._layouts[0], self._counts[0]),
                "b": data.ArrayLayout(self._layouts[1], self._counts[1]),
                "last": 1,
            }
        )
        # Shared by a whole row or column, the register costs an array little.
        beat_out = wiring.flipped(self.o)
        if "input" in config.cuts:
            m.submodules.register_input = register = StreamRegister(self.o.payload.shape())
            wiring.connect(m, register.o, wiring.flipped(self.o))
            beat_out = register.i
        if beats == 1:
            step, ends_block = data.View(whole, self.i.payload), 1
            m.d.comb += [beat_out.valid.eq(self.i.valid), self.i.ready.eq(beat_out.ready)]
        else:
            step = Signal(whole, reset_less=True)
            ends_block = Signal()
            busy = Signal()
            beat = Signal(range(beats))
            m.d.comb += [
                ends_block.eq(beat == beats - 1),
                beat_out.valid.eq(busy),
                self.i.ready.eq(~busy | (beat_out.ready & ends_block)),
            ]
            with m.If(busy & beat_out.ready):
                m.d.sync += assign_low(beat, beat + 1)  # a power of two: wraps by itself
                for operand, bits, count in zip(
                    (step.a, step.b), self._beat_bits, self._counts, strict=True
                ):
                    for n in range(count):
                        codes = operand[n].codes.as_value()
                        m.d.sync += codes.eq(codes[bits:])
                with m.If(ends_block):
                    m.d.sync += busy.eq(0)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [step.eq(self.i.payload), busy.eq(1)]
        out = beat_out.payload
        for side, (source, target, bits, count) in enumerate(
            zip((step.a, step.b), (out.a, out.b), self._beat_bits, self._counts, strict=True)
        ):
            for n in range(count):
                codes = source[n].codes.as_value()[:bits]
                m.d.comb += target[n].codes.as_value().eq(codes)
                m.d.comb += target[n].scales.eq(source[n].scales)
                m.d.comb += assign_low(target[n].zero, source[n].zero)
                if len(target[n].code_sum):
                    code_sum = CodeSum(config, side)
                    m.submodules[f"code_sum_{'ab'[side]}_{n}"] = Shared(
                        code_sum, f"code_sum_{'ab'[side]}", (config, side)
                    )
                    m.d.comb += [
                        code_sum.codes.eq(target[n].codes),
                        code_sum.zero.eq(target[n].zero),
                        target[n].code_sum.eq(code_sum.total),
                    ]
        m.d.comb += [out.ends_block.eq(ends_block), out.ends_sum.eq(step.last & ends_block)]
        return m
