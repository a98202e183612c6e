# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The quantizer: a stream of words in, a stream of block records out."""

from __future__ import annotations

from amaranth.hdl import C, Cat, ClockSignal, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.formats import ZERO_POINT_BITS
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.second import WEIGHTS
from amxfp4.rtl.lib.arith import assign_low, balanced_sum
from amxfp4.rtl.lib.share import Shared
from amxfp4.rtl.quantizer.buffer import BlockBuffer
from amxfp4.rtl.quantizer.element import ElementQuantizer
from amxfp4.rtl.quantizer.error import ElementProduct, ErrorFormat, SmallerError
from amxfp4.rtl.quantizer.key import KeyDecoder, KeyFormat
from amxfp4.rtl.quantizer.maxima import Maxima
from amxfp4.rtl.quantizer.range import RangeSum
from amxfp4.rtl.quantizer.scale import ScaleChooser
from amxfp4.rtl.quantizer.second import ElementWeight

__all__ = ["Quantizer"]


class Quantizer(wiring.Component):
    """Quantizes blocks of K words to 4-bit elements with shared scales.

        p = max(0, max x_i), n = max(0, max -x_i)
        s_pos = S(p), s_neg = S(n), or both S(max(p, n)); q_i = R_E2M1(|x_i| / s)
                                                              (arXiv 2411.09909 section 4)
        or s = R((p + n) / 15), z = R(n / s), q_i = R(x_i / s) + z, with a zero point

    A block's scales are known after its last word, so its keys wait in a buffer while the maxima
    form, and leave it while the next block streams in. One beat per cycle, no bubble between
    blocks. `i.ready` is combinational from `o.ready`; without a register named in the
    configuration's `pipeline`, `o` is combinational from `i` as well.

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
        """Cycles: one for the maxima, and the beats of the block to the weights and the record."""
        cuts = self.config.cuts
        return ("maxima" in cuts) + len(cuts & {"second", "record"}) * self.config.beats

    def elaborate(self, platform):
        m = Module()
        config, row = self.config, self.config.row
        keys = KeyFormat(config)
        beat = stream.Signature(data.ArrayLayout(keys.layout, config.lanes))
        found_layout = data.StructLayout({"maxima": keys.maxima_layout, "nan": 1})

        # Words to keys, and what the block has come to with them.
        entering = beat.create(path=("entering",))
        found = Signal(found_layout)
        m.submodules.maxima_search = maxima = Maxima(keys)
        nans = []
        for n in range(config.lanes):
            decoder = KeyDecoder(keys)
            m.submodules[f"decoder_{n}"] = Shared(decoder, "key_decoder", keys)
            m.d.comb += [decoder.word.eq(self.i.payload[n]), entering.payload[n].eq(decoder.key)]
            nans.append(decoder.nan)
        m.d.comb += [
            entering.valid.eq(self.i.valid),
            self.i.ready.eq(entering.ready),
            maxima.keys.eq(entering.payload),
            found.maxima.eq(maxima.maxima),
        ]
        if config.beats > 1:
            so_far = Signal(found_layout)
            m.d.comb += maxima.so_far.eq(so_far.maxima)
            nans.append(so_far.nan)
        m.d.comb += found.nan.eq(Cat(nans).any())

        # Its keys wait until it is whole.
        waiting = self._both_scales(m, keys, found) if row.compares_errors else found
        leaving, whole, is_last = entering, waiting, C(1, 1)
        if "maxima" in config.cuts:
            m.submodules.buffer = buffer = BlockBuffer(entering.payload.shape(), config.beats)
            wiring.connect(m, entering, buffer.i)
            leaving, is_last = buffer.o, buffer.is_last_out
            whole = Signal(waiting.shape(), name="whole", reset_less=True)
            with m.If(entering.valid & entering.ready):
                if config.beats > 1:
                    m.d.sync += so_far.eq(Mux(buffer.is_last_in, 0, found.as_value()))
                with m.If(buffer.is_last_in):
                    m.d.sync += whole.eq(waiting)

        # Maxima to scales, and keys to codes.
        if row.compares_errors:
            leaving, is_last, codes, shared = self._four_or_six(m, keys, leaving, is_last, whole)
            self._gather(m, leaving, is_last, codes, shared)
            return m
        choosers, codes = [ScaleChooser(keys) for _ in range(row.scales)], []
        for n, chooser in enumerate(choosers):
            m.submodules[f"chooser_{n}"] = Shared(chooser, "scale_chooser", keys)
            m.d.comb += chooser.nan.eq(whole.nan)
            if not row.zero_point:
                m.d.comb += chooser.maximum.eq(whole.maxima[n])
        scales = [chooser.scale.as_value() for chooser in choosers]
        scale_codes = [chooser.code for chooser in choosers]
        nan = whole.nan
        if config.second:
            leaving, is_last, scales, scale_codes, nan = self._take_second(
                m, keys, leaving, is_last, scales, scale_codes, nan
            )
        shared = Cat(scale_codes)
        if row.zero_point:
            zero = self._zero_point(m, keys, whole, choosers[0])
            shared = Cat(shared, zero, C(0, ZERO_POINT_BITS - len(zero)))
        for n in range(config.lanes):
            element = ElementQuantizer(keys)
            m.submodules[f"element_{n}"] = Shared(element, "element_quantizer", keys)
            key = leaving.payload[n]
            m.d.comb += [
                element.key.eq(key),
                element.scale.as_value().eq(Mux(key.sign, scales[-1], scales[0])),
                element.nan.eq(nan),
            ]
            if row.zero_point:
                m.d.comb += element.zero.eq(zero)
            codes.append(element.code)
        self._gather(m, leaving, is_last, codes, shared)
        return m

    def _gather(self, m: Module, leaving, is_last: Value, codes: list[Value], shared: Value):
        """Codes to the record, beat by beat, lowest lane first."""
        config, row = self.config, self.config.row
        # Every unit has a clock and a reset, one without registers too.
        if not config.cuts:
            m.d.comb += Signal(name="clock").eq(ClockSignal())

        if "record" not in config.cuts:
            m.d.comb += [
                self.o.payload.eq(Cat(*codes, shared)),
                self.o.valid.eq(leaving.valid),
                leaving.ready.eq(self.o.ready),
            ]
            return
        gathered = Signal(row.element.width * row.block, reset_less=True)
        record_scales = Signal(len(shared), reset_less=True)
        m.d.comb += [
            self.o.payload.eq(Cat(gathered, record_scales)),
            leaving.ready.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(leaving.ready):
            m.d.sync += self.o.valid.eq(leaving.valid & is_last)
            with m.If(leaving.valid):
                m.d.sync += [
                    gathered.eq(Cat(gathered, *codes)[-len(gathered) :]),
                    record_scales.eq(shared),
                ]

    def _take_second(self, m, keys, entering, is_last_in, firsts, codes, nan):
        """Let the weights of a block's elements choose between each scale and its second.

        Takes the beats of keys, whether one is its block's last, the block's first scales, their
        codes and whether it has a NaN; returns the same with the scales that are taken. Where a
        block has several beats it waits a second time.
        """
        config, fmt = self.config, keys.scale
        weights: list[list[Value]] = [[] for _ in firsts]
        for n in range(config.lanes):
            element = ElementWeight(keys)
            m.submodules[f"weight_{n}"] = Shared(element, "element_weight", keys)
            key = entering.payload[n]
            m.d.comb += [
                element.key.eq(key),
                element.scale.as_value().eq(Mux(key.sign, firsts[-1], firsts[0])),
            ]
            for side, of in enumerate(weights):
                counts = key.sign == side if len(weights) == 2 else C(1, 1)
                of.append(Mux(counts, element.weight, 0))
        taken, taken_codes = [], []
        transfers = entering.valid & entering.ready
        for n, (of, scale, code) in enumerate(zip(weights, firsts, codes, strict=True)):
            if config.beats > 1:
                so_far = Signal(
                    range(WEIGHTS[0] * config.block, WEIGHTS[-1] * config.block + 1),
                    name=f"weights_{n}",
                )
                of.append(so_far)
            total = balanced_sum(m, of, f"weight_{n}")
            if config.beats > 1:
                with m.If(transfers):
                    m.d.sync += assign_low(so_far, Mux(is_last_in, 0, total))
            normal = code[fmt.mantissa_bits :].any()
            room = code <= fmt.max_magnitude - config.second
            step = Signal(range(config.second + 1), name=f"step_{n}")
            with m.If((total < 0) & normal & room):
                m.d.comb += step.eq(config.second)
            # A normal scale's exponent and fraction are one number, as its code is.
            taken.append((scale + step)[: len(scale)])
            taken_codes.append((code + step)[: len(code)])
        values = {f"scale_{n}": scale for n, scale in enumerate(taken)}
        values |= {f"code_{n}": code for n, code in enumerate(taken_codes)}
        leaving, is_last, held = self._wait(m, entering, is_last_in, values | {"has_nan": nan})
        sides = len(firsts)
        return leaving, is_last, held[:sides], held[sides : 2 * sides], held[-1]

    @staticmethod
    def _both_scales(m: Module, keys: KeyFormat, found: data.View) -> data.View:
        """Choose the scales of m / 6 and of m / 4, before they wait: what follows takes longer."""
        scales = data.ArrayLayout(keys.scale_layout, 2)
        codes = data.ArrayLayout(keys.scale.width, 2)
        chosen = Signal(data.StructLayout({"scales": scales, "codes": codes, "nan": 1}))
        for n, (held, name) in enumerate(((None, "scale_chooser"), (4, "scale_chooser_of_four"))):
            chooser = ScaleChooser(keys, held)
            m.submodules[f"chooser_{n}"] = Shared(chooser, name, (keys, held))
            m.d.comb += [
                chooser.nan.eq(found.nan),
                chooser.maximum.eq(found.maxima[0]),
                chosen.scales[n].eq(chooser.scale),
                chosen.codes[n].eq(chooser.code),
            ]
        m.d.comb += chosen.nan.eq(found.nan)
        return chosen

    def _four_or_six(self, m, keys, entering, is_last_in, whole):
        """Code elements under both scales, and let their errors choose.

        Takes the beats of keys, whether one is its block's last, and `_both_scales` of the block.
        Returns a stream that moves as codes do, whether a beat is the last, the codes that are
        taken and their scale's. Where a block has several beats the codes wait for its sums.
        """
        config, width = self.config, self.config.row.element.width
        transfers = entering.valid & entering.ready
        coded = stream.Signature(data.ArrayLayout(2 * width, config.lanes)).create(path=("coded",))
        m.d.comb += [coded.valid.eq(entering.valid), entering.ready.eq(coded.ready)]
        values: dict[str, Value] = {}
        layout = ErrorFormat(keys).sums
        for n, scale in enumerate(whole.scales):
            products: list[Value] = []
            squares: list[Value] = []
            for lane, key in enumerate(entering.payload):
                element, product = ElementQuantizer(keys), ElementProduct(keys)
                m.submodules[f"element_{n}_{lane}"] = Shared(element, "element_quantizer", keys)
                m.submodules[f"product_{n}_{lane}"] = Shared(product, "element_product", keys)
                m.d.comb += [
                    element.key.eq(key),
                    element.scale.eq(scale),
                    element.nan.eq(whole.nan),
                    product.key.eq(key),
                    product.scale.eq(scale),
                    product.code.eq(element.code),
                    coded.payload[lane].word_select(n, width).eq(element.code),
                ]
                products.append(product.product)
                squares.append(product.square)
            sums = Signal(layout, name=f"sums_{n}")
            if config.beats > 1:
                so_far = Signal(layout, name=f"so_far_{n}")
                products.append(so_far.products)
                squares.append(so_far.squares)
                with m.If(transfers):
                    m.d.sync += so_far.eq(Mux(is_last_in, 0, sums.as_value()))
            m.d.comb += [
                assign_low(sums.products, balanced_sum(m, products, f"products_{n}")),
                assign_low(sums.squares, balanced_sum(m, squares, f"squares_{n}")),
            ]
            values |= {
                f"whole_sums_{n}": sums.as_value(),
                f"scale_{n}": scale.as_value(),
                f"code_{n}": whole.codes[n],
            }
        leaving, is_last, kept = self._wait(m, coded, is_last_in, values)
        m.submodules.smaller_error = smaller = SmallerError(keys)
        for n in range(2):
            m.d.comb += [
                smaller.sums[n].eq(kept[3 * n]),
                smaller.scales[n].eq(kept[3 * n + 1]),
            ]
        codes = [Mux(smaller.second, pair[width:], pair[:width]) for pair in leaving.payload]
        return leaving, is_last, codes, Mux(smaller.second, kept[5], kept[2])

    def _wait(self, m, entering, is_last_in, values: dict[str, Value]):
        """Let beats, and what their block has come to, wait until it is whole, if they do here.

        Returns the beats that leave, whether one is the last, and the values, in registers.
        """
        if "second" not in self.config.cuts:
            return entering, is_last_in, list(values.values())
        shape, beats = entering.payload.shape(), self.config.beats
        m.submodules.second_buffer = buffer = BlockBuffer(shape, beats)
        wiring.connect(m, entering, buffer.i)
        held = []
        for name, value in values.items():
            register = Signal(len(value), name=name, reset_less=True)
            with m.If(entering.valid & entering.ready & is_last_in):
                m.d.sync += register.eq(value)
            held.append(register)
        return buffer.o, buffer.is_last_out, held

    @staticmethod
    def _zero_point(m: Module, keys: KeyFormat, whole: data.View, chooser: ScaleChooser) -> Value:
        """Choose scale and zero point from both maxima; the zero point is the code of n itself."""
        m.submodules.range_sum = range_sum = RangeSum(keys)
        lane = ElementQuantizer(keys)
        m.submodules.zero_point = Shared(lane, "element_quantizer", keys)
        m.d.comb += [
            range_sum.maxima.eq(whole.maxima),
            chooser.maximum.eq(range_sum.sum),
            lane.key.magnitude.eq(whole.maxima[1]),
            lane.scale.eq(chooser.scale),
            lane.nan.eq(whole.nan),
        ]
        return lane.code
