"""What a block adds to a sum, in one piece: the combinational core of a dot product."""

from __future__ import annotations

import dataclasses

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.accumulate import Addend, addend_layout
from amxfp4.rtl.dot.sums import ClassSums
from amxfp4.rtl.dot.terms import Terms

__all__ = ["BlockProduct"]


class BlockProduct(wiring.Component):
    """D of one whole block, or D rounded, as the accumulator takes it. Combinational.

        D = sum over classes c of s_c^A s_c^B S_c             (docs/numerics.md, Dot products)

    No unit contains it: it is what a dot product without registers, handshake and accumulation
    would be, to be measured and compared.

    Parameters
    ----------
    config : DotConfig
        Its `lanes` do not matter: all K element pairs enter at once.

    Members
    -------
    a, b : In(K x 4), element codes
    scales_a, scales_b : In(1 or 2 scale codes): positive, negative
    addend : Out(`addend_layout`)
    """

    def __init__(self, config: DotConfig) -> None:
        # All classes at once, too.
        config = dataclasses.replace(config, lanes=config.block, scaling="parallel")
        self._config = config
        rows = config.rows_ab
        codes = data.ArrayLayout(rows[0].element.width, config.block)
        scales = [data.ArrayLayout(row.scale.width, row.scales) for row in rows]
        super().__init__(
            {
                "a": In(codes),
                "b": In(codes),
                "scales_a": In(scales[0]),
                "scales_b": In(scales[1]),
                "addend": Out(addend_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.class_sums = class_sums = ClassSums(self._config)
        m.submodules.terms_stage = terms = Terms(self._config)
        m.submodules.addend_stage = addend = Addend(self._config)
        m.d.comb += [
            class_sums.a.eq(self.a),
            class_sums.b.eq(self.b),
            terms.slot.sums.eq(class_sums.sums),
            terms.slot.scales_a.eq(self.scales_a),
            terms.slot.scales_b.eq(self.scales_b),
            addend.terms.eq(terms.terms),
            self.addend.eq(addend.addend),
        ]
        return m
