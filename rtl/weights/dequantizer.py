# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The dequantizer of weights: a stream of records of AFPQ's formats in, a stream of words out."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.rtl.lib.records import take_records
from amxfp4.rtl.lib.share import Shared
from amxfp4.rtl.weights.element import WeightElement, table_width
from amxfp4.rtl.weights.scale import WeightScale, scales_layout
from amxfp4.rtl.weights.table import WeightTable

__all__ = ["WeightDequantizer"]

_TABLE_FROM = 4
"""Lanes from which a table of all products is smaller than a multiplication in each lane."""
_PLAIN = 2
"""Bits of a table's significands up to which a multiplication is an addition, and never larger."""


class WeightDequantizer(wiring.Component):
    """Turns records of weights into words.

    One beat of `lanes` words per cycle, elements in order, no bubble between groups. `i.ready` is
    combinational from `o.ready`: a record is taken in the cycle in which its predecessor's last
    beat moves on.

    Parameters
    ----------
    config : WeightDequantizerConfig

    Members
    -------
    i : In(stream of records), see docs/units/weight_dequantizer.md
    o : Out(stream of `lanes` words per beat), word j at [16*j+15:16*j], 128 / lanes beats a group

    Latency: `latency` cycles from the transfer of a record to its first beat's valid.
    """

    def __init__(self, config: WeightDequantizerConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(config.row.record_bits)),
                "o": Out(stream.Signature(data.ArrayLayout(config.word.width, config.lanes))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles: the output register, and the record's own if it takes several beats."""
        return 1 if self.config.beats == 1 else 2

    def elaborate(self, platform):
        m = Module()
        config, row = self.config, self.config.row
        layout = data.StructLayout(
            {
                "codes": data.ArrayLayout(row.bits, row.block),
                "scales": data.ArrayLayout(row.scale_bits, row.sides),
            }
        )

        record, advance = take_records(m, self.i, self.o, layout, config.beats)

        scales = Signal(scales_layout(config))
        for n in range(row.sides):
            decoder = WeightScale(config)
            m.submodules[f"scale_{n}"] = Shared(decoder, "weight_scale", config)
            m.d.comb += [decoder.code.eq(record.scales[n]), scales[n].eq(decoder.scale)]

        words = Signal(self.o.payload.shape(), reset_less=True)
        m.d.comb += self.o.payload.eq(words)
        found = (
            self._looked_up(m, record, scales) if self.by_table else self._each(m, record, scales)
        )
        with m.If(advance):
            m.d.sync += [words[n].eq(word) for n, word in enumerate(found)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(1)
        return m

    @property
    def by_table(self) -> bool:
        """Whether the words of all codes are formed once for a group, and lanes choose."""
        return self.config.lanes >= _TABLE_FROM and table_width(self.config.row) > _PLAIN

    def _looked_up(self, m: Module, record: Value, scales: Value) -> list[Value]:
        """Words of a beat, chosen from those of all codes."""
        m.submodules.weight_table = table = WeightTable(self.config)
        m.d.comb += table.scales.eq(scales)
        found: list[Value] = []
        for n in range(self.config.lanes):
            word = Signal(self.config.word.width, name=f"word_{n}")
            with m.Switch(record.codes[n]):
                for code in range(len(self.config.row.values)):
                    with m.Case(code):
                        m.d.comb += word.eq(table.words[code])
            found.append(word)
        return found

    def _each(self, m: Module, record: Value, scales: Value) -> list[Value]:
        """Words of a beat, each multiplied."""
        found: list[Value] = []
        for n in range(self.config.lanes):
            element = WeightElement(self.config)
            m.submodules[f"element_{n}"] = Shared(element, "weight_element", self.config)
            m.d.comb += [element.code.eq(record.codes[n]), element.scales.eq(scales)]
            found.append(element.word)
        return found
