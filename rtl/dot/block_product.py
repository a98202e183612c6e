"""What a block adds to a sum, in one piece: the combinational core of a dot product."""

from __future__ import annotations

import dataclasses

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.accumulate import Addend, addend_layout
from amxfp4.rtl.dot.products import CodeSum
from amxfp4.rtl.dot.sums import ClassSums
from amxfp4.rtl.dot.terms import Terms
from amxfp4.rtl.dot.widths import DotWidths

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
    zero_a, zero_b : In(4), zero points; only of formats that have one
    addend : Out(`addend_layout`)
    """

    def __init__(self, config: DotConfig) -> None:
        # All classes at once, too.
        config = dataclasses.replace(config, lanes=config.block, scaling="parallel")
        self._config = config
        rows = config.rows_ab
        codes = [data.ArrayLayout(row.element.width, config.block) for row in rows]
        scales = [data.ArrayLayout(row.scale.width, row.scales) for row in rows]
        super().__init__(
            {
                "a": In(codes[0]),
                "b": In(codes[1]),
                "scales_a": In(scales[0]),
                "scales_b": In(scales[1]),
                **{f"zero_{name}": In(DotWidths(config).zero(n)) for n, name in enumerate("ab")},
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
            class_sums.zero_a.eq(self.zero_a),
            class_sums.zero_b.eq(self.zero_b),
            terms.slot.sums.eq(class_sums.sums),
            terms.slot.scales_a.eq(self.scales_a),
            terms.slot.scales_b.eq(self.scales_b),
            addend.terms.eq(terms.terms),
            self.addend.eq(addend.addend),
        ]
        for side, name in enumerate("ab"):
            target = getattr(class_sums, f"code_sum_{name}")
            if len(target):
                m.submodules[f"code_sum_{name}"] = code_sum = CodeSum(self._config, side)
                m.d.comb += [
                    code_sum.codes.eq(getattr(self, name)),
                    code_sum.zero.eq(getattr(self, f"zero_{name}")),
                    target.eq(code_sum.total),
                ]
        return m
