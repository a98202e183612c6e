# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The MAC array: rows x cols dot products that share their operands, output stationary."""

from __future__ import annotations

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.array import ArrayConfig
from amxfp4.rtl.dot.dot import ProcessingElement
from amxfp4.rtl.dot.sequencer import BeatSequencer
from amxfp4.rtl.lib.share import Shared

__all__ = ["MacArray"]


class MacArray(wiring.Component):
    """Tile of a matrix product: result (r, c) is the dot product of A's row r and B's column c.

        C[r, c] = R(sum over blocks k of D(A[r, k], B[c, k]))       (docs/numerics.md)

    A step holds one block of every row and of every column. All elements get theirs in the same
    cycle and move in step, so one of them speaks for the handshake of all. Records are held and
    cut into beats once for a row or column, and the results of a tile wait in the elements' own
    registers while the next tile accumulates: no bubble while the consumer keeps up.

    Parameters
    ----------
    config : ArrayConfig

    Members
    -------
    i : In(stream of `rows` A records from bit 0, `cols` B records, `last` as the top bit)
    o : Out(stream of rows * cols words, row major, in fixed mode the flags of all above them)

    Latency: `latency` cycles from the transfer of a tile's last step to its results' valid.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        a, b = config.rows_ab
        records = config.rows * a.record_bits + config.cols * b.record_bits
        super().__init__(
            {
                "i": In(stream.Signature(records + 1)),
                "o": Out(stream.Signature(config.rows * config.cols * config.result_bits)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles: as a single dot product."""
        element = self.config.element
        return BeatSequencer(element).latency + ProcessingElement(element).latency

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.sequencer = sequencer = BeatSequencer(config, config.rows, config.cols)
        step = sequencer.o.payload
        elements = []
        for r in range(config.rows):
            for c in range(config.cols):
                element = ProcessingElement(config.element)
                m.submodules[f"element_{r}_{c}"] = Shared(
                    element, "processing_element", config.element
                )
                m.d.comb += [
                    element.i.payload.eq(Cat(step.a[r], step.b[c], step.ends_block, step.ends_sum)),
                    element.i.valid.eq(sequencer.o.valid),
                    element.o.ready.eq(self.o.ready),
                ]
                elements.append(element)
        m.d.comb += [
            sequencer.i.payload.eq(self.i.payload),
            sequencer.i.valid.eq(self.i.valid),
            self.i.ready.eq(sequencer.i.ready),
            # Equal inputs and equal stalls: all elements say the same.
            sequencer.o.ready.eq(elements[0].i.ready),
            self.o.valid.eq(elements[0].o.valid),
            self.o.payload.eq(
                Cat(*(e.o.payload.word for e in elements), *(e.o.payload.flags for e in elements))
            ),
        ]
        return m
