"""Golden models at the level of transactions: payloads in, payloads due; they know no signals.

Payload widths and counts come from the configuration in the manifest. One model serves every
lane count: how a block is cut into beats is part of the transaction, not of the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import formats, stimulus
from amxfp4.params.formats import FP16, FP32
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.weights import WeightFormat
from amxfp4.verif.sim.batch import beats, records
from amxfp4.verif.sim.cocotb import coverage

__all__ = ["DequantizerModel", "Model", "QuantizerModel", "to_beats", "to_ints"]


def to_ints(payloads: npt.NDArray[np.uint32]) -> list[int]:
    """Beats as integers, one each."""
    raw = np.ascontiguousarray(payloads, dtype="<u4")
    return [int.from_bytes(row.tobytes(), "little") for row in raw]


def to_beats(payloads: list[int], bits: int) -> npt.NDArray[np.uint32]:
    """Integers of `bits` bits as beats."""
    words = -(-bits // 32)
    raw = b"".join(p.to_bytes(4 * words, "little") for p in payloads)
    return np.frombuffer(raw, "<u4").reshape(-1, words).astype(np.uint32)


class Model:
    """What a testbench asks of a unit's model.

    Members
    -------
    beats_in, beats_out : payloads per block on either side
    """

    beats_in: int
    beats_out: int

    @property
    def unit(self) -> int | Callable[[int], bool]:
        """What the scoreboard counts as a block: so many payloads, or up to a last one."""
        return self.beats_in

    def random(self, rng: np.random.Generator, count: int) -> list[int]:
        """Input payloads of `count` blocks from the structured distributions of golden."""
        raise NotImplementedError

    def special(self) -> list[int]:
        """Input payloads of directed blocks: zeros, infinities, NaN, subnormals, limits."""
        raise NotImplementedError

    def expected(self, sent: list[int]) -> list[int]:
        """Output payloads due for whole blocks of input payloads."""
        raise NotImplementedError

    def cover(self, sent: list[int], received: list[int]) -> coverage.Counts:
        """Coverage of whole blocks of input payloads and their output payloads."""
        raise NotImplementedError


class QuantizerModel(Model):
    """Blocks of words in, block records out."""

    def __init__(self, config: QuantizerConfig) -> None:
        self._config = config
        self._row = config.row
        self._word = config.word
        self.beats_in, self.beats_out = config.beats, 1

    def _send(self, words: npt.NDArray[np.unsignedinteger[Any]]) -> list[int]:
        return to_ints(beats.words_to_beats(words, self._config.lanes))

    def _words(self, sent: list[int]) -> npt.NDArray[np.unsignedinteger[Any]]:
        raw = to_beats(sent, self._config.lanes * self._word.width)
        return beats.to_words(raw, self._word.width, self._config.lanes, self._row.block)

    def random(self, rng: np.random.Generator, count: int) -> list[int]:
        """Draw blocks of words, rounding boundaries of this very format among them."""
        row = self._row
        return self._send(
            stimulus.blocks(rng, count, row.block, self._word.name, formats=[row.name])
        )

    def _maxima(self) -> list[int]:
        """Words that give the first and the last subnormal and normal scales."""
        scale, element = self._row.scale, self._row.element
        first_normal = 1 << scale.mantissa_bits
        codes = sorted({0, 1, first_normal - 1, first_normal, scale.max_magnitude})
        largest = formats.magnitude_value(element, element.max_magnitude)
        limit = formats.magnitude_value(FP32, FP32.max_magnitude)
        maxima = [min(largest * formats.magnitude_value(scale, c), limit) for c in codes]
        values = np.array([float(m) for m in maxima], np.float32)
        return formats.words(values, self._word.name).tolist()

    def special(self) -> list[int]:
        """Put every kind of word into a block, alone and beside a one, with either sign."""
        fmt = self._word
        sign = 1 << (fmt.width - 1)
        assert fmt.inf_magnitude is not None
        assert fmt.nan_magnitude is not None
        one = fmt.bias << fmt.mantissa_bits
        # Magnitudes that stand alone in a block, then with a one of the same sign beside them.
        alone = [
            0, 1, (1 << fmt.mantissa_bits) - 1, 1 << fmt.mantissa_bits, one, fmt.max_magnitude,
            fmt.inf_magnitude, fmt.inf_magnitude + 1, fmt.nan_magnitude, sign - 1,
            *self._maxima(),
        ]  # fmt: skip
        rows = []
        for magnitude in alone:
            for company in (0, one):
                for signs in ((0, 0), (sign, sign), (0, sign), (sign, 0)):
                    row = np.zeros(self._row.block, np.uint32)
                    row[1], row[-1] = magnitude | signs[0], company | signs[1]
                    rows.append(row)
        blocks = np.stack(rows).astype(f"u{fmt.width // 8}")
        return self._send(blocks)

    def expected(self, sent: list[int]) -> list[int]:
        """Quantize with golden and pack into records."""
        values = formats.values(self._words(sent), self._word.name)
        blocks = golden.quantize(
            values, self._row.name, ties=self._config.ties, block=self._row.block,
            second=self._config.second,
        )  # fmt: skip
        raw = golden.pack(blocks).reshape(len(values), self._row.record_bytes)
        return to_ints(beats.from_bytes(raw))

    def cover(self, sent: list[int], received: list[int]) -> coverage.Counts:
        """Split records and beats into the arrays that coverage counts."""
        raw = beats.to_bytes(to_beats(received, self._row.record_bits), self._row.record_bytes)
        codes, scales = beats.split_records(raw, self._row.block)
        arrays = {"words": self._words(sent), "codes": codes, "scales": scales}
        return coverage.transactions("quantizer", self._row, self._word, arrays)


class DequantizerModel(Model):
    """Records in, beats of words out; of blocks or of weights."""

    def __init__(self, config: records.Config) -> None:
        self._config = config
        self._row = config.row
        self._word = config.word
        self.beats_in, self.beats_out = 1, config.beats

    def _split(self, sent: list[int]) -> tuple[records.Codes, records.Shared]:
        raw = to_beats(sent, self._row.record_bits)
        return records.split(self._row, beats.to_bytes(raw, self._row.record_bytes))

    def _send(self, codes: records.Codes, scale: Any, other: Any) -> list[int]:
        return to_ints(beats.from_bytes(records.pack(self._row, codes, scale, other)))

    def random(self, rng: np.random.Generator, count: int) -> list[int]:
        """Draw records, with codes that quantizers never write among them."""
        return self._send(*records.draw(rng, count, self._row))

    def special(self) -> list[int]:
        """Put every element code under the scales at the ends of their ranges, either sign."""
        row = self._row
        fmt, count = (FP16, len(row.values)) if isinstance(row, WeightFormat) else (row.scale, 16)
        codes = np.tile(np.arange(count, dtype=np.uint8), row.block // count)
        first_normal, last, one = 1 << fmt.mantissa_bits, fmt.max_magnitude, fmt.bias
        one <<= fmt.mantissa_bits * isinstance(row, WeightFormat)
        edges = {0, 1, first_normal - 1, first_normal, first_normal + 1, one, 0x7F, 0x80, 0xFF}
        edges |= {last - 1, last, last + 1}  # the last one is NaN, or infinity
        if isinstance(row, WeightFormat):
            edges |= {2, 3, one + 1, one + 3, fmt.nan_magnitude or 0, 0x7FFF, 0x8000, 0x8000 | one}
        scale = np.array(sorted(edges), f"u{fmt.width // 8}")
        other = scale[::-1].copy() if row.shared > 1 else None  # of a zero point four bits count
        return self._send(np.tile(codes, (len(scale), 1)), scale, other)

    def expected(self, sent: list[int]) -> list[int]:
        """Dequantize with golden."""
        codes, shared = self._split(sent)
        other = shared[:, 1] if self._row.shared > 1 else None
        words = records.words(self._config, codes, shared[:, 0], other)
        return to_ints(beats.words_to_beats(words, self._config.lanes))

    def cover(self, sent: list[int], received: list[int]) -> coverage.Counts:
        """Split records and beats into the arrays that coverage counts."""
        codes, scales = self._split(sent)
        raw = to_beats(received, self._config.lanes * self._word.width)
        words = beats.to_words(raw, self._word.width, self._config.lanes, self._row.block)
        if isinstance(self._row, WeightFormat):
            return coverage.weights(self._row, self._word, codes, scales, words)
        arrays = {"words": words, "codes": codes, "scales": scales}
        return coverage.transactions("dequantizer", self._row, self._word, arrays)
