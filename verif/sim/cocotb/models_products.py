"""Golden model of `dot` and `array` at the level of transactions; a dot is an array of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks, stimulus
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import BlockFormat
from amxfp4.verif.sim.batch import beats
from amxfp4.verif.sim.cocotb import coverage
from amxfp4.verif.sim.cocotb.models import Model, to_beats, to_ints
from amxfp4.verif.sim.products.products import expected_results, step_beats, tile_of

__all__ = ["ProductModel"]


def _scales(blocks: Blocks) -> list[npt.NDArray[np.uint8]]:
    return [s for s in (blocks.scale_pos, blocks.scale_neg) if s is not None]


def _blocks(
    row: BlockFormat,
    codes: npt.NDArray[np.uint8],
    scale_pos: npt.NDArray[np.uint8],
    other: npt.NDArray[np.uint8] | None,
    count: int,
) -> Blocks:
    """Turn codes [count * steps, K] and what they share into blocks [count, steps, K]."""
    codes = codes.reshape(count, -1, row.block)
    pos, other = (None if s is None else s.reshape(count, -1) for s in (scale_pos, other))
    assert pos is not None
    shape = (count, codes.shape[1] * row.block)
    return Blocks(codes, pos, format=row.name, shape=shape, **beats.by_name(row, other))


class ProductModel(Model):
    """Steps in, the last of a sum marked; one payload of results per sum out."""

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        self._counts = tile_of(config)
        self._rows = config.rows_ab
        self.beats_in = self.beats_out = 1
        self._record_bits = sum(
            n * row.record_bits for n, row in zip(self._counts, self._rows, strict=True)
        )
        words = self._counts[0] * self._counts[1]
        self.word_bits = words * config.word.width
        """Bits of a result payload without the flags."""
        self.flag_bits = 2 * words if config.acc == "fixed" else 0
        """Bits of the flags above them."""

    @property
    def unit(self) -> Callable[[int], bool]:
        """Tell the step that ends a sum: its top bit is set."""
        return self.ends_sum

    def ends_sum(self, payload: int) -> bool:
        """Whether a step is the last of its sum."""
        return bool(payload >> self._record_bits)

    def lengths(self, sent: list[int]) -> npt.NDArray[np.intp]:
        """Count the steps of every sum in whole sums of input payloads."""
        ends = np.flatnonzero([self.ends_sum(payload) for payload in sent])
        return np.diff(ends, prepend=-1)

    def any_records(
        self, rng: np.random.Generator, steps: int, nan: float = 0.03
    ) -> tuple[Blocks, Blocks]:
        """Draw operands from all codes and scales, those included that quantizers never write."""
        a, b = (
            _blocks(row, *stimulus.records(rng, n * steps, row, nan=nan), n)
            for n, row in zip(self._counts, self._rows, strict=True)
        )
        return a, b

    def quantized(self, rng: np.random.Generator, steps: int) -> tuple[Blocks, Blocks]:
        """Draw operands of ordinary magnitude, every result of which is finite and not zero."""
        a, b = (
            golden.quantize(
                rng.standard_normal((n, steps * row.block)).astype(np.float32), row.name,
                block=row.block,
            )
            for n, row in zip(self._counts, self._rows, strict=True)
        )  # fmt: skip
        return a, b

    def payloads(self, a: Blocks, b: Blocks, lengths: Sequence[int]) -> list[int]:
        """Input payloads of operands, cut into sums of the given lengths."""
        return to_ints(step_beats(a, b, np.asarray(lengths)))

    def sums(self, rng: np.random.Generator, lengths: Sequence[int]) -> list[int]:
        """Input payloads of sums of the given lengths, ordinary ones and any finite ones in turn.

        Long ones are ordinary: one large or NaN block would hide what happens to the others.
        """
        payloads: list[int] = []
        for n, length in enumerate(lengths):
            any_codes = n % 2 and length < 8
            operands = (
                self.any_records(rng, length, 0) if any_codes else self.quantized(rng, length)
            )
            payloads += self.payloads(*operands, [length])
        return payloads

    def random(self, rng: np.random.Generator, count: int) -> list[int]:
        """Draw `count` steps in sums of one to five."""
        lengths: list[int] = []
        while (rest := count - sum(lengths)) > 0:
            lengths.append(min(int(rng.integers(1, 6)), rest))
        return self.payloads(*self.any_records(rng, count), lengths)

    def special(self) -> list[int]:
        """Put every element code under scales at the ends of their ranges, for both operands."""
        sides = []
        for side, (count, row) in enumerate(zip(self._counts, self._rows, strict=True)):
            fmt = row.scale
            last, first_normal = fmt.max_magnitude, 1 << fmt.mantissa_bits
            edges = {0, 1, first_normal - 1, first_normal, fmt.bias, 0x7F, 0x80, 0xFF}
            edges |= {last - 1, last, last + 1}  # the last one is NaN
            scale = np.array(sorted(edges), np.uint8)
            sides.append((row, count, scale if side == 0 else np.roll(scale, 3)))
        steps = 4 * max(len(scale) for _, _, scale in sides)
        operands = []
        for row, count, scale in sides:
            codes = np.tile(np.arange(16, dtype=np.uint8), row.block // 16)
            # Every row is one step ahead of the next.
            pos = np.stack([np.resize(np.roll(scale, n), steps) for n in range(count)])
            neg = pos[:, ::-1].copy() if row.shared > 1 else None
            all_codes = np.stack([np.roll(codes, n) for n in range(count * steps)])
            operands.append(_blocks(row, all_codes, pos, neg, count))
        lengths = [1, 3] * (steps // 4)
        return self.payloads(operands[0], operands[1], lengths) + self._subnormal()

    def _subnormal(self) -> list[int]:
        """Make a sum of one step whose results are subnormal: 6 K 2^-136."""
        bounded = [row.scale.subnormals for row in self._rows]
        if all(bounded):
            return []
        exponents = (-68, -68) if not any(bounded) else (-9, -127) if bounded[0] else (-127, -9)
        operands = []
        for count, row, exponent, code in zip(
            self._counts, self._rows, exponents, (7, 2), strict=True
        ):
            fmt = row.scale
            field, mantissa = exponent + fmt.bias, fmt.mantissa_bits
            normal = field > 0 or not fmt.subnormals
            power = field << mantissa if normal else 1 << (field - 1 + mantissa)
            scale = np.full(count, power, np.uint8)
            codes = np.full((count, row.block), code, np.uint8)
            operands.append(_blocks(row, codes, scale, scale if row.asymmetric else None, count))
        return self.payloads(operands[0], operands[1], [1])

    def zeros(self, rng: np.random.Generator) -> list[int]:
        """Make sums of zeros of both signs under any scale, and a zero step at every place."""
        lengths = [1, 2, 1, 3, 3, 3, 3, 1]
        a, b = self.quantized(rng, sum(lengths))
        for n, step in enumerate((0, 1, 2, 4, 8, 12)):
            side = (a, b)[n % 2]
            if side.zero_point is not None:
                side.codes[:, step] = side.zero_point[:, step, None]
            else:
                side.codes[:, step] &= 0 if side.row.element.twos_complement else 8
            for scale in _scales(side):
                scale[:, step] = rng.integers(0, self._rows[n % 2].scale.max_magnitude + 1)
        return self.payloads(a, b, lengths)

    def poisoned(self, rng: np.random.Generator) -> tuple[list[int], npt.NDArray[np.bool_]]:
        """Make sums of three, in every second of which one scale of one record is NaN.

        Every record of either operand, either scale, first, second and third step.

        Returns
        -------
        payloads
        poisoned : bool [sums, rows, cols]
            Results that must be NaN, by where the scales were put.
        """
        places = [
            (side, record, sign, step)
            for side, row in enumerate(self._rows)
            for record in range(self._counts[side])
            for sign in range(row.scales)
            for step in range(3)
        ]
        count = 2 * len(places) + 1
        operands = self.quantized(rng, 3 * count)
        nan = np.zeros((count, *self._counts), np.bool_)
        for n, (side, record, sign, step) in enumerate(places):
            at = 2 * n + 1
            fmt = self._rows[side].scale
            top = 1 << (fmt.width - fmt.signed_bit)
            scale = _scales(operands[side])[sign]
            scale[record, 3 * at + step] = rng.integers(fmt.max_magnitude + 1, top)
            nan[(at, record) if side == 0 else (at, slice(None), record)] = True
        return self.payloads(*operands, [3] * count), nan

    def _decode(self, sent: list[int]) -> tuple[Blocks, Blocks]:
        counts = zip(self._counts, self._rows, strict=True)
        raw = beats.to_bytes(to_beats(sent, self._record_bits + 1), -(-self._record_bits // 8))
        operands, start = [], 0
        for count, row in counts:
            size = row.record_bytes
            side = raw[:, start : start + count * size].reshape(len(sent), count, size)
            records = side.transpose(1, 0, 2).reshape(-1, size)
            codes, scales = beats.split_records(records, row.block)
            other = scales[:, 1] if row.shared > 1 else None
            operands.append(_blocks(row, codes, scales[:, 0], other, count))
            start += count * size
        return operands[0], operands[1]

    def expected(self, sent: list[int]) -> list[int]:
        """Add up with golden."""
        results = expected_results(*self._decode(sent), self.lengths(sent), self._config)
        return to_ints(beats.from_bytes(results))

    def words(self, received: list[int]) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Extract the words [sums, rows, cols]."""
        raw = beats.to_bytes(
            to_beats(received, self.word_bits + self.flag_bits), self.word_bits // 8
        )
        return raw.view(f"<u{self._config.word.width // 8}").reshape(-1, *self._counts)

    def flags(self, received: list[int]) -> npt.NDArray[np.bool_] | None:
        """Extract the flags [sums, rows * cols, 2] in fixed mode, else None."""
        if not self.flag_bits:
            return None
        above = [payload >> self.word_bits for payload in received]
        raw = beats.to_bytes(to_beats(above, self.flag_bits), -(-self.flag_bits // 8))
        bits = np.unpackbits(raw, axis=1, bitorder="little", count=self.flag_bits)
        return bits.reshape(len(received), -1, 2).astype(np.bool_)

    def cover(self, sent: list[int], received: list[int]) -> coverage.Counts:
        """Split steps and results into the arrays that coverage counts."""
        sides = {
            name: (side.codes, np.stack(side.shared, axis=-1))
            for name, side in zip(("a", "b"), self._decode(sent), strict=True)
        }
        return coverage.products(
            self._config, sides, self.lengths(sent), self.words(received), self.flags(received)
        )
