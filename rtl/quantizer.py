# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The quantizer: a stream of words in, a stream of block records out."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.gen.config import QuantizerConfig
from amxfp4.rtl.arith import assign_low, balanced_max
from amxfp4.rtl.pipes import Queue, StreamRegister
from amxfp4.rtl.quantizer_element import ElementQuantizer
from amxfp4.rtl.quantizer_key import KeyDecoder, KeyFormat
from amxfp4.rtl.quantizer_scale import ScaleChooser
from amxfp4.rtl.share import Shared

__all__ = ["Quantizer"]


class Quantizer(wiring.Component):
    """Quantizes blocks of K words to 4-bit elements with shared scales.

        p = max(0, max x_i), n = max(0, max -x_i)
        s_pos = S(p), s_neg = S(n), or both S(max(p, n)); q_i = R_E2M1(|x_i| / s)
                                                              (arXiv 2411.09909 section 4)

    A block's scales are known after its last word, so its keys wait in a queue while the maxima
    form; the queue is just long enough that the next block can stream in meanwhile. One beat per
    cycle, no bubble between blocks. `i.ready` is combinational from `o.ready`.

    Parameters
    ----------
    config : QuantizerConfig

    Members
    -------
    i : In(stream of `lanes` words per beat), word j at [W*j+W-1:W*j], K / lanes beats a block
    o : Out(stream of block records)

    Latency: `latency` cycles from the transfer of a block's last beat to its record's valid.
    """

    def __init__(self, config: QuantizerConfig) -> None:
        self.config = config
        row = config.row
        super().__init__(
            {
                "i": In(stream.Signature(data.ArrayLayout(config.word.width, config.lanes))),
                "o": Out(stream.Signature(row.record_bits)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles: one for the maxima, one for the scales, and the beats of the block."""
        return 2 + self.config.beats

    def elaborate(self, platform):
        m = Module()
        config, row, beats = self.config, self.config.row, self.config.beats
        keys = KeyFormat(config)

        # Words to keys.
        beat = data.ArrayLayout(keys.layout, config.lanes)
        beat_keys = Signal(beat)
        for n in range(config.lanes):
            decoder = KeyDecoder(keys)
            m.submodules[f"decoder_{n}"] = Shared(decoder, "quantizer_key", keys)
            m.d.comb += [decoder.word.eq(self.i.payload[n]), beat_keys[n].eq(decoder.key)]

        # Two ways in: keys to the queue and, with a block's last beat, its maxima to the scales.
        m.submodules.queue = queue = Queue(beat, depth=beats + 1)
        maxima_layout = data.ArrayLayout(keys.magnitude_layout, row.scales)
        m.submodules.maxima = maxima = StreamRegister(maxima_layout)
        beat_in, is_last_in = self._counter(m, "in", beats)
        room = queue.i.ready & (maxima.i.ready | ~is_last_in)
        accept = Signal()
        m.d.comb += [
            accept.eq(self.i.valid & room),
            self.i.ready.eq(room),
            beat_in.eq(accept),
            queue.i.valid.eq(accept),
            queue.i.payload.eq(beat_keys),
            maxima.i.valid.eq(accept & is_last_in),
        ]
        for n in range(row.scales):
            so_far = Signal(keys.magnitude_layout, name=f"maximum_{n}_so_far")
            candidates = [so_far.as_value()] if beats > 1 else []
            for lane in range(config.lanes):
                candidate = Signal(len(so_far.as_value()), name=f"candidate_{n}_{lane}")
                m.d.comb += candidate.eq(self._of_class(beat_keys[lane], n))
                candidates.append(candidate)
            largest = balanced_max(m, candidates, f"maximum_{n}")
            m.d.comb += maxima.i.payload[n].eq(largest)
            with m.If(accept):
                m.d.sync += so_far.eq(Mux(is_last_in, 0, largest))

        # Maxima to scales. A NaN in either class makes both scales NaN.
        codes_layout = data.ArrayLayout(row.scale.width, row.scales)
        scales_layout = data.StructLayout(
            {"codes": codes_layout, "scales": data.ArrayLayout(keys.scale_layout, row.scales)}
        )
        m.submodules.scales = scales = StreamRegister(scales_layout)
        choosers = [ScaleChooser(keys) for _ in range(row.scales)]
        m.d.comb += [scales.i.valid.eq(maxima.o.valid), maxima.o.ready.eq(scales.i.ready)]
        for n, chooser in enumerate(choosers):
            m.submodules[f"chooser_{n}"] = Shared(chooser, "quantizer_scale", keys)
            m.d.comb += [
                chooser.maximum.eq(maxima.o.payload[n]),
                chooser.nan_in.eq(Cat(c.nan_out for c in choosers).any()),
                scales.i.payload.codes[n].eq(chooser.code),
                scales.i.payload.scales[n].eq(chooser.scale),
            ]

        # Keys and scales to element codes, gathered in the output register, lowest lane first.
        beat_out, is_last_out = self._counter(m, "out", beats)
        advance = queue.o.valid & scales.o.valid & (~self.o.valid | self.o.ready)
        m.d.comb += [
            beat_out.eq(advance),
            queue.o.ready.eq(advance),
            scales.o.ready.eq(advance & is_last_out),
        ]
        codes = []
        for n in range(config.lanes):
            element = ElementQuantizer(keys)
            m.submodules[f"element_{n}"] = Shared(element, "quantizer_element", keys)
            key, both = queue.o.payload[n], scales.o.payload.scales
            chosen = Mux(key.sign, both[row.scales - 1].as_value(), both[0].as_value())
            m.d.comb += [element.key.eq(key), element.scale.as_value().eq(chosen)]
            codes.append(element.code)
        gathered = Signal(row.element.width * row.block, reset_less=True)
        record_scales = Signal(codes_layout, reset_less=True)
        m.d.comb += self.o.payload.eq(Cat(gathered, record_scales))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(advance):
            m.d.sync += [
                gathered.eq(Cat(gathered, *codes)[-len(gathered) :]),
                record_scales.eq(scales.o.payload.codes),
                self.o.valid.eq(is_last_out),
            ]
        return m

    def _of_class(self, key: data.View, n: int):
        """Magnitude of `key` if it belongs to class `n` (0: positive, 1: negative), else zero."""
        magnitude = key.magnitude.as_value()
        if not self.config.row.asymmetric:
            return magnitude
        return Mux(key.sign == n, magnitude, 0)

    @staticmethod
    def _counter(m: Module, name: str, beats: int) -> tuple[Signal, Signal]:
        """Count the beats of a block: (advance, whether this beat is the block's last)."""
        advance, is_last = Signal(name=f"advance_{name}"), Signal(name=f"is_last_{name}")
        index = Signal(range(beats), name=f"beat_{name}")
        m.d.comb += is_last.eq(index == beats - 1)
        if beats > 1:
            with m.If(advance):
                m.d.sync += assign_low(index, index + 1)  # beats is a power of two: wraps by itself
        return advance, is_last
