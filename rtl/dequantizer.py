# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The dequantizer: a stream of block records in, a stream of words out."""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from operator import add, or_

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import ZERO_POINT_BITS
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.formats import (
    element_magnitudes,
    floor_log2,
    magnitude_value,
    significand,
)
from amxfp4.rtl.lib.records import take_records
from amxfp4.rtl.lib.share import Shared

__all__ = ["Dequantizer", "ElementDequantizer", "ScaleDecoder"]


def _name(factor: Fraction) -> str:
    """Name a multiple of a scale."""
    return (
        "half_more"
        if factor == Fraction(3, 2)
        else f"times_{factor.numerator}_{factor.denominator}"
    )


class ScaleTerms:
    """Ranges of a decoded scale, derived from the formats.

    An E2M1 magnitude is 1 or 1.5 times a power of two, so the only products of significands are
    those of the scale and of one and a half times the scale: one addition per scale, none per
    element. Integers have the odd numbers up to 7 for significands, or up to 15 with a zero point.
    """

    def __init__(self, config: DequantizerConfig) -> None:
        row = config.row
        self.row, self.scale, self.word = row, row.scale, config.word
        self.magnitudes = element_magnitudes(row.element)
        found = sorted({significand(value) for value in self.magnitudes if value} - {1})
        self.multiples = {_name(value): value for value in found}
        """What a scale is multiplied by, beside 1, by name."""
        longest = max(value.denominator.bit_length() - 1 for value in found)
        # Of a product of significands: one more where it reaches 2.
        self.may_carry = self.scale.mantissa_bits > 0
        self.fraction_bits = self.scale.mantissa_bits + longest + self.may_carry
        smallest = magnitude_value(self.scale, 1 if self.scale.subnormals else 0)
        largest = magnitude_value(self.scale, self.scale.max_magnitude)
        # The exponent of a scale as a biased exponent of the output word.
        self.lowest = floor_log2(smallest) + self.word.bias
        self.highest = floor_log2(largest) + self.word.bias

    @property
    def layout(self) -> data.StructLayout:
        """A decoded scale: the products' fractions, the exponent, and what overrides them.

        The first product is the scale itself; of the others it says whether they reach 2.
        """
        multiples: dict[str, int] = {}
        for name in self.multiples:
            multiples |= {name: self.fraction_bits, f"{name}_carries": 1}
        return data.StructLayout(
            {
                "plain": self.fraction_bits,
                **multiples,
                "exponent": bits_for(self.highest),
                "is_zero": 1,
                "is_nan": 1,
            }
        )


class ScaleDecoder(wiring.Component):
    """Decode one scale code for the elements it governs. Combinational.

    Members
    -------
    code : In(8), a format of scales; the sign bit of E5M2 and E4M3 is ignored
    scale : Out, see `ScaleTerms.layout`
    """

    def __init__(self, config: DequantizerConfig) -> None:
        self._terms = ScaleTerms(config)
        super().__init__({"code": In(config.row.scale.width), "scale": Out(self._terms.layout)})

    def elaborate(self, platform):
        m = Module()
        terms, fmt = self._terms, self._terms.scale
        man_bits = fmt.mantissa_bits
        magnitude = self.code[: fmt.exponent_bits + man_bits]
        man, field = magnitude[:man_bits], magnitude[man_bits:]

        fraction = Signal(man_bits)
        rebias = terms.word.bias - fmt.bias
        m.d.comb += [
            fraction.eq(man),
            # Above the largest scale only for a NaN, where the exponent does not matter.
            assign_low(self.scale.exponent, field + rebias),
            self.scale.is_nan.eq(magnitude > fmt.max_magnitude),
        ]
        if fmt.subnormals:
            m.d.comb += self.scale.is_zero.eq(magnitude == 0)
            with m.If(field == 0), m.Switch(man):
                for code in range(1, 1 << man_bits):
                    value = magnitude_value(fmt, code)
                    with m.Case(code):
                        m.d.comb += [
                            fraction.eq(int((significand(value) - 1) * (1 << man_bits))),
                            self.scale.exponent.eq(floor_log2(value) + terms.word.bias),
                        ]

        # Significand and parts of it, in units of the last fraction bit kept.
        one = 1 << terms.fraction_bits
        whole = Signal(range(2 * one))
        m.d.comb += [
            whole.eq(Cat(C(0, terms.fraction_bits - man_bits), fraction, C(1, 1))),
            self.scale.plain.eq(whole[:-1]),
        ]
        for name, factor in terms.multiples.items():
            product = Signal(range(int(2 * factor * one)), name=name)
            places = range(factor.denominator.bit_length())
            # The bits that a part loses are zero.
            parts = [whole[n:] for n in places if factor.numerator & factor.denominator >> n]
            m.d.comb += [
                assign_low(product, reduce(add, parts)),
                # From 2 on the significand moves down by one place; the bit that leaves is zero.
                self.scale[f"{name}_carries"].eq(product[-1]),
                self.scale[name].eq(
                    Mux(product[-1], product[1:-1], product[: terms.fraction_bits])
                ),
            ]
        return m


class ElementDequantizer(wiring.Component):
    """Value of one element as an output word. Combinational.

        value = sign * q * s                                  (arXiv 2411.09909; OCP MX v1.0)

    Exact in BF16 and FP32 for E5M2 and E4M3 scales. With E8M0 it may be subnormal, still exact, or
    overflow, to infinity. A zero is +0; under a NaN scale everything is NaN.

    Members
    -------
    code : In(4)
    zero : In(4), only of formats with a zero point
    scale : In, see `ScaleTerms.layout`
    word : Out(16 or 32), BF16 or FP32
    """

    def __init__(self, config: DequantizerConfig) -> None:
        self._terms = ScaleTerms(config)
        super().__init__(
            {
                "code": In(config.row.element.width),
                "zero": In(config.row.element.width * config.row.zero_point),
                "scale": In(self._terms.layout),
                "word": Out(config.word.width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        terms, fmt = self._terms, self._terms.word
        magnitude, sign = self.code[:-1], self.code[-1]
        if terms.row.zero_point or terms.row.element.twos_complement:
            value = self.code - self.zero if terms.row.zero_point else self.code.as_signed()
            sign, magnitude = value[-1], Signal(range(len(terms.magnitudes)), name="magnitude")
            # No difference of codes, and no code, has a larger magnitude.
            m.d.comb += assign_low(magnitude, Mux(sign, -value, value))

        # The element: its power of two, and which multiple of that.
        element_exponents = [floor_log2(v) for v in terms.magnitudes[1:]]
        # Kept above zero by counting from the smallest.
        rise = Signal(range(max(element_exponents) - min(element_exponents) + 1))
        flags = {name: Signal(name=f"is_{name}") for name in terms.multiples}
        with m.Switch(magnitude):
            for code, exponent in enumerate(element_exponents, start=1):
                with m.Case(code):
                    m.d.comb += rise.eq(exponent - min(element_exponents))
                    factor = significand(terms.magnitudes[code])
                    m.d.comb += [
                        flag.eq(terms.multiples[name] == factor) for name, flag in flags.items()
                    ]

        fraction = self.scale.plain
        for name, flag in flags.items():
            fraction = Mux(flag, self.scale[name], fraction)
        carry = reduce(or_, [f & self.scale[f"{name}_carries"] for name, f in flags.items()])
        lowest = terms.lowest + min(element_exponents)
        highest = terms.highest + max(element_exponents) + terms.may_carry
        exponent = Signal(range(min(lowest, 0), highest + 1))
        # The range above holds every sum; each addition is given a bit more.
        total = self.scale.exponent + rise + carry + min(element_exponents)
        m.d.comb += assign_low(exponent, total)

        padding = C(0, fmt.mantissa_bits - terms.fraction_bits)
        finite = Cat(padding, fraction, exponent[: fmt.exponent_bits])
        result = Signal(fmt.width - 1)
        m.d.comb += result.eq(finite)
        for below in range(lowest, 1):
            # Subnormal: the leading one becomes a bit of the fraction.
            with m.If(exponent == below):
                shifted = Cat(padding, fraction, C(1, 1))[1 - below :]
                m.d.comb += result.eq(shifted)
        infinite_exponent = (1 << fmt.exponent_bits) - 1
        if highest >= infinite_exponent:
            with m.If(exponent >= infinite_exponent):
                m.d.comb += result.eq(fmt.inf_magnitude)

        m.d.comb += self.word.eq(Cat(result, sign))
        with m.If(self.scale.is_zero | (magnitude == 0)):
            m.d.comb += self.word.eq(0)
        with m.If(self.scale.is_nan):
            m.d.comb += self.word.eq(fmt.nan_magnitude)
        return m


class Dequantizer(wiring.Component):
    """Turns block records back into words.

    One beat of `lanes` words per cycle, elements in order, no bubble between blocks. `i.ready` is
    combinational from `o.ready`: a record is taken in the cycle in which its predecessor's last
    beat moves on.

    Parameters
    ----------
    config : DequantizerConfig

    Members
    -------
    i : In(stream of block records)
    o : Out(stream of `lanes` words per beat), word j at [W*j+W-1:W*j], K / lanes beats a block

    Latency: `latency` cycles from the transfer of a record to its first beat's valid.
    """

    def __init__(self, config: DequantizerConfig) -> None:
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
                "codes": data.ArrayLayout(row.element.width, row.block),
                "scales": data.ArrayLayout(row.scale.width, row.scales),
                "zero": ZERO_POINT_BITS * row.zero_point,
            }
        )

        record, advance = take_records(m, self.i, self.o, layout, config.beats)

        decoders = [ScaleDecoder(config) for _ in range(row.scales)]
        for n, decoder in enumerate(decoders):
            m.submodules[f"scale_{n}"] = Shared(decoder, "scale_decoder", config)
            m.d.comb += decoder.code.eq(record.scales[n])

        words = Signal(self.o.payload.shape(), reset_less=True)
        m.d.comb += self.o.payload.eq(words)
        for n in range(config.lanes):
            element = ElementDequantizer(config)
            m.submodules[f"element_{n}"] = Shared(element, "element_dequantizer", config)
            code = record.codes[n]
            scale = Mux(code[-1], decoders[-1].scale.as_value(), decoders[0].scale.as_value())
            m.d.comb += [
                element.code.eq(code),
                element.zero.eq(record.zero[: len(element.zero)]),
                element.scale.as_value().eq(scale),
            ]
            with m.If(advance):
                m.d.sync += words[n].eq(element.word)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(1)
        return m
