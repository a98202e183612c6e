"""Records of two operands, cut into the beats of a processing element."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import BlockFormat
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.pipes import StreamRegister

__all__ = ["BeatSequencer", "beat_layout"]


def _operand_layout(row: BlockFormat, lanes: int) -> data.StructLayout:
    """Layout of what a processing element sees of an operand in one cycle."""
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(row.element.width, lanes),
            "scales": data.ArrayLayout(row.scale.width, row.scales),
        }
    )


def beat_layout(config: DotConfig) -> data.StructLayout:
    """One cycle's work of a processing element: lanes of both operands, their blocks' scales."""
    a, b = config.rows_ab
    return data.StructLayout(
        {
            "a": _operand_layout(a, config.lanes),
            "b": _operand_layout(b, config.lanes),
            "ends_block": 1,
            "ends_sum": 1,
        }
    )


class BeatSequencer(wiring.Component):
    """Cuts records into beats of `lanes` elements.

    With K / lanes = 1 it is wires, else it holds the records of one step in a register whose
    codes move down beat by beat, and takes the next ones with the last beat: no bubble.

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
        self._layouts = [_operand_layout(row, config.block) for row in formats]
        self._counts = (rows, cols)
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
        a, b = config.rows_ab
        return data.StructLayout(
            {
                "a": data.ArrayLayout(_operand_layout(a, config.lanes), rows),
                "b": data.ArrayLayout(_operand_layout(b, config.lanes), cols),
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
                for operand, count in zip((step.a, step.b), self._counts, strict=True):
                    for n in range(count):
                        codes = operand[n].codes.as_value()
                        m.d.sync += codes.eq(codes[config.lanes * 4 :])
                with m.If(ends_block):
                    m.d.sync += busy.eq(0)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [step.eq(self.i.payload), busy.eq(1)]
        out = beat_out.payload
        for source, target, count in zip(
            (step.a, step.b), (out.a, out.b), self._counts, strict=True
        ):
            for n in range(count):
                codes = source[n].codes.as_value()[: config.lanes * 4]
                m.d.comb += target[n].codes.as_value().eq(codes)
                m.d.comb += target[n].scales.eq(source[n].scales)
        m.d.comb += [out.ends_block.eq(ends_block), out.ends_sum.eq(step.last & ends_block)]
        return m
