"""Every width of the dot product, derived from the formats in one place, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Shape, Signal
from amaranth.lib import data

from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import BlockFormat, FloatFormat
from amxfp4.rtl.lib.formats import element_bound, element_unit, is_integer, magnitude_value

__all__ = ["DotWidths", "ScaleRange", "holding"]


def holding(bound: int, *, signed: bool = False) -> Shape:
    """Shape of the integers from 0, or from -`bound`, to `bound`, however large that is."""
    return Shape(bound.bit_length() + signed, signed=signed)


@dataclass(frozen=True)
class ScaleRange:
    """A scale as an integer: significand * 2^shift, in units of 2^unit.

    Nothing is normalised: a subnormal scale has a significand below the others' leading one.
    """

    fmt: FloatFormat

    @property
    def significand_bits(self) -> int:
        """Bits of the significand, the hidden one included."""
        return self.fmt.mantissa_bits + 1

    @property
    def largest_significand(self) -> int:
        """All of its bits set."""
        return (1 << self.significand_bits) - 1

    @property
    def unit(self) -> int:
        """Exponent of the unit."""
        lowest_field = 1 if self.fmt.subnormals else 0
        return lowest_field - self.fmt.bias - self.fmt.mantissa_bits

    @property
    def largest_shift(self) -> int:
        """Shift of the largest finite scale."""
        field = self.fmt.max_magnitude >> self.fmt.mantissa_bits
        return field - 1 if self.fmt.subnormals else field

    @property
    def largest(self) -> int:
        """The largest finite scale, in units."""
        value = magnitude_value(self.fmt, self.fmt.max_magnitude)
        return int(value * (1 << -self.unit))

    @property
    def layout(self) -> data.StructLayout:
        """A decoded scale."""
        return data.StructLayout(
            {
                "significand": self.significand_bits,
                "shift": range(self.largest_shift + 1),
                "is_nan": 1,
            }
        )


@dataclass(frozen=True)
class DotWidths:
    """Ranges of every intermediate of a dot product.

    - A product of two E2M1 elements is at most 6 * 6, in units of 1/4: 144, eight bits. Of
      integers it is at most 8 * 8, or 15 for 8 where there is a zero point.
    - A class sum holds at most all K products of a block: 144 K. With two asymmetric operands a
      class has one sign and its sum is unsigned; else signs mix within a class.
    - A term is a class sum times both scales' significands, before their shifts.
    - D: every lane is in one class only, so |D| is at most 144 K times both largest scales.
    - The exact accumulator holds `max_blocks` such D.
    - The fixed one holds I + F bits and a sign.
    """

    config: DotConfig

    @property
    def rows(self) -> tuple[BlockFormat, BlockFormat]:
        """Formats of A and B."""
        return self.config.rows_ab

    @cached_property
    def scales(self) -> tuple[ScaleRange, ScaleRange]:
        """Ranges of the scales of A and B."""
        return ScaleRange(self.rows[0].scale), ScaleRange(self.rows[1].scale)

    @property
    def classes(self) -> list[tuple[int, int]]:
        """Classes of lanes: which scale of A and which of B governs (0: positive or only)."""
        a, b = self.rows
        return [(i, j) for i in range(a.scales) for j in range(b.scales)]

    @property
    def one_sign(self) -> bool:
        """Whether all products of a class have the same sign."""
        return all(row.asymmetric for row in self.rows)

    @property
    def serial(self) -> bool:
        """Whether the classes' terms are scaled one after another."""
        return self.config.scaling == "serial"

    @property
    def slots(self) -> list[tuple[int, int]]:
        """Terms that are scaled at once: which of the scales of A and of B that are there."""
        return [(0, 0)] if self.serial else self.classes

    @property
    def slot_scales(self) -> tuple[int, int]:
        """Scales of A and B that are there at once."""
        return (1, 1) if self.serial else (self.rows[0].scales, self.rows[1].scales)

    def is_negative(self, n: int) -> bool:
        """Whether the products of class `n` are negative, where classes have one sign."""
        i, j = self.classes[n]
        return i != j

    @property
    def integers(self) -> bool:
        """Whether the elements of both operands are integers."""
        return all(is_integer(row.element) for row in self.rows)

    @property
    def mixed(self) -> bool:
        """Whether one operand's elements are integers and the other's are not."""
        return is_integer(self.rows[0].element) != is_integer(self.rows[1].element)

    def zero(self, side: int) -> Shape:
        """Zero point of an operand (0: A, 1: B); of no width if it has none."""
        row = self.rows[side]
        return Shape(row.element.width * row.zero_point)

    def code_sum(self, side: int) -> Shape:
        """Sum over the lanes that an operand gives to the zero point of the other."""
        row, other = self.rows[side], self.rows[1 - side]
        if not (self.integers and other.zero_point):
            return Shape(0)
        # The distances from its own zero point are signed; so are codes with a sign.
        signed = row.element.signed_bit or (side == 1 and row.zero_point)
        return holding(element_bound(row.element) * self.config.lanes, signed=signed)

    @cached_property
    def product_bound(self) -> int:
        """Largest magnitude of a product of two elements, in units of both."""
        a, b = self.rows
        return element_bound(a.element) * element_bound(b.element)

    @property
    def product(self) -> Shape:
        """Magnitude of a product of two elements."""
        return holding(self.product_bound)

    def sum_of(self, lanes: int) -> Shape:
        """Class sum over `lanes` lanes, in units of a product."""
        return self._shape(self.product_bound * lanes)

    def _shape(self, bound: int) -> Shape:
        return holding(bound, signed=not self.one_sign)

    @cached_property
    def sum_bound(self) -> int:
        """Largest magnitude of a class sum over a block."""
        return self.product_bound * self.config.block

    @property
    def class_sum(self) -> Shape:
        """Class sum over a block."""
        return self._shape(self.sum_bound)

    @property
    def scaled(self) -> Shape:
        """Class sum times the significand of B."""
        return self._shape(self.sum_bound * self.scales[1].largest_significand)

    @cached_property
    def term_bound(self) -> int:
        """Largest magnitude of a class sum times both significands."""
        a, b = self.scales
        return self.sum_bound * a.largest_significand * b.largest_significand

    @property
    def term(self) -> Shape:
        """Class sum times both significands."""
        return self._shape(self.term_bound)

    @property
    def term_shift(self) -> range:
        """Sum of both scales' shifts."""
        a, b = self.scales
        return range(a.largest_shift + b.largest_shift + 1)

    @property
    def unit(self) -> int:
        """D and the exact accumulator count in 2^unit, of scales and elements."""
        elements = sum(element_unit(row.element) for row in self.rows)
        return sum(scale.unit for scale in self.scales) + elements

    @cached_property
    def d_bound(self) -> int:
        """Largest magnitude of D, in units."""
        a, b = self.scales
        return self.sum_bound * a.largest * b.largest

    @property
    def aligned(self) -> Shape:
        """Magnitude of a term in units, and so of each class's part of D."""
        return holding(self.d_bound)

    @property
    def d(self) -> Shape:
        """D, in units."""
        return holding(self.d_bound, signed=True)

    @property
    def accumulator(self) -> Shape:
        """The accumulator of the configuration's mode."""
        config = self.config
        if config.acc == "exact":
            assert config.max_blocks is not None
            return holding(config.max_blocks * self.d_bound, signed=True)
        if config.acc == "fixed":
            assert config.frac_bits is not None
            assert config.int_bits is not None
            return Shape(config.frac_bits + config.int_bits + 1, signed=True)
        return Shape(32)

    @property
    def flags(self) -> int:
        """Flag bits of a result: inexact and overflow, in fixed mode."""
        return self.config.flags

    @property
    def power_of_two(self) -> bool:
        """Whether an operand's scale is a power of two, with its wide range."""
        return any(row.power_of_two for row in self.rows)

    def table(self) -> dict[str, int]:
        """Bits of every intermediate, by name, in the order of the data path."""
        widths = {
            "product": self.product.width,
            "class sum": self.class_sum.width,
            "term": self.term.width,
            "term shift": len(Signal(self.term_shift)),
        }
        if self.config.acc != "fp32":
            widths["D"] = self.d.width
        widths["accumulator"] = self.accumulator.width
        return widths
