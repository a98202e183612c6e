# amaranth: UnusedElaboratable=no
# (Of shared components only the first of a kind is elaborated.)
"""The dot product: pairs of block records in, one result per sum out."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.accumulate import (
    Addend,
    Adder,
    ResultWord,
    SumNormaliser,
    normalised_layout,
    sum_layout,
)
from amxfp4.rtl.dot.sequencer import BeatSequencer, beat_layout
from amxfp4.rtl.dot.sums import ClassSums
from amxfp4.rtl.dot.terms import ClassSequencer, Terms, block_layout, slot_layout
from amxfp4.rtl.dot.widths import DotWidths
from amxfp4.rtl.lib.arith import assign_low
from amxfp4.rtl.lib.pipes import StreamRegister
from amxfp4.rtl.lib.share import Shared

__all__ = ["Dot", "ProcessingElement", "result_layout"]


def result_layout(config: DotConfig) -> data.StructLayout:
    """Layout of a result: the word and, in fixed mode, its flags."""
    return data.StructLayout({"word": config.word.width, "flags": DotWidths(config).flags})


class ProcessingElement(wiring.Component):
    """Class sums, scale products, alignment, accumulation, rounding.

        D = sum over classes c of s_c^A s_c^B S_c; result = R(sum over blocks of D)
                                                          (docs/numerics.md, Dot products)

    One beat per cycle; the scale stage works once per block, with its last beat or, term by term,
    during the beats of the next. A new sum starts in the cycle after the last beat of the one
    before, as long as the accumulator's register is free: a finished sum moves on from there
    normalised or rounded, or is taken.

    Parameters
    ----------
    config : DotConfig
        `pipeline` names the registers besides the sum's: ``sums``, ``terms`` and ``aligned`` stand
        behind what they are named for, ``normalised`` holds a finished sum with its leading
        one near the top, ``rounded`` the output word. (``input`` is outside.)

    Members
    -------
    i : In(stream of `beat_layout`)
    o : Out(stream of `result_layout`)

    Latency: `latency` cycles from the beat that ends a sum to its result's valid.
    """

    def __init__(self, config: DotConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(config))),
                "o": Out(stream.Signature(result_layout(config))),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles: one for the accumulator and one for each pipeline register.

        Where terms are scaled one after another, their sequencer stands for the register ``sums``.
        """
        if not DotWidths(self._config).serial:
            return 1 + len(self._config.cuts - {"input"})
        sequencer = ClassSequencer(self._config)
        return 1 + len(self._config.cuts - {"input", "sums"}) + sequencer.latency

    def elaborate(self, platform):
        m = Module()
        config = self._config
        widths = DotWidths(config)
        beat = wiring.flipped(self.i)

        # Class sums of the beat, and of the block so far.
        block = stream.Signature(block_layout(config)).create(path=("block",))
        m.submodules.class_sums = class_sums = ClassSums(config)
        m.d.comb += [
            class_sums.a.eq(beat.payload.a.codes),
            class_sums.b.eq(beat.payload.b.codes),
            class_sums.zero_a.eq(beat.payload.a.zero),
            class_sums.zero_b.eq(beat.payload.b.zero),
            class_sums.code_sum_a.eq(beat.payload.a.code_sum),
            class_sums.code_sum_b.eq(beat.payload.b.code_sum),
            block.payload.scales_a.eq(beat.payload.a.scales),
            block.payload.scales_b.eq(beat.payload.b.scales),
            block.payload.ends_sum.eq(beat.payload.ends_sum),
            block.valid.eq(beat.valid & beat.payload.ends_block),
            beat.ready.eq(block.ready | ~beat.payload.ends_block),
        ]
        for c in range(len(widths.classes)):
            if config.beats == 1:
                m.d.comb += block.payload.sums[c].eq(class_sums.sums[c])
                continue
            so_far = Signal(widths.class_sum, name=f"sum_so_far_{c}")
            with_beat = Signal(widths.class_sum, name=f"sum_with_beat_{c}")
            # All beats of a block together stay within the class sum's range.
            m.d.comb += assign_low(with_beat, so_far + class_sums.sums[c])
            m.d.comb += block.payload.sums[c].eq(with_beat)
            with m.If(beat.valid & beat.ready):
                m.d.sync += so_far.eq(Mux(beat.payload.ends_block, 0, with_beat))
        slot = self._slots(m, block)

        # Times both significands.
        m.submodules.terms_stage = terms = Terms(config)
        m.d.comb += terms.slot.eq(slot.payload)
        block = self._cut(m, "terms", self._stage(m, slot, terms.terms, "terms"))

        # Brought to one unit, and to what the accumulator takes.
        m.submodules.addend_stage = addend = Addend(config)
        m.d.comb += addend.terms.eq(block.payload.value)
        block = self._cut(m, "aligned", self._stage(m, block, addend.addend, "addend"))

        # Accumulated. A finished sum leaves from where it is, and the next begins from nothing.
        m.submodules.add = adder = Adder(config)
        state = Signal(sum_layout(config), reset_less=True)
        begins = Signal(init=1)
        result = stream.Signature(sum_layout(config)).create(path=("finished",))
        m.d.comb += [
            adder.state.eq(Mux(begins, 0, state.as_value())),
            adder.addend.eq(block.payload.value),
            result.payload.eq(state),
            block.ready.eq(~result.valid | result.ready),
        ]
        with m.If(result.ready):
            m.d.sync += result.valid.eq(0)
        with m.If(block.valid & block.ready):
            m.d.sync += [
                state.eq(adder.next_state),
                begins.eq(block.payload.ends_sum),
                result.valid.eq(block.payload.ends_sum),
            ]

        # Its leading one near the top, and rounded once.
        m.submodules.normalise = normalise = SumNormaliser(config)
        normalised = stream.Signature(normalised_layout(config)).create(path=("normalised",))
        m.d.comb += [
            normalise.state.eq(result.payload),
            normalised.payload.eq(normalise.normalised),
            normalised.valid.eq(result.valid),
            result.ready.eq(normalised.ready),
        ]
        result = self._cut(m, "normalised", normalised)
        m.submodules.word_stage = word = ResultWord(config)
        rounded = stream.Signature(result_layout(config)).create(path=("rounded",))
        m.d.comb += [
            word.normalised.eq(result.payload),
            rounded.payload.word.eq(word.word),
            rounded.payload.flags.eq(word.flags),
            rounded.valid.eq(result.valid),
            result.ready.eq(rounded.ready),
        ]
        wiring.connect(m, self._cut(m, "rounded", rounded), wiring.flipped(self.o))
        return m

    def _slots(self, m: Module, block):
        """Give the scale stage what it works on at once: a block, or its classes in turn."""
        config = self._config
        if DotWidths(config).serial:
            m.submodules.class_sequencer = sequencer = ClassSequencer(config)
            wiring.connect(m, block, sequencer.i)
            return sequencer.o
        block = self._cut(m, "sums", block)
        # The same fields: all classes of a block at once.
        slot = stream.Signature(slot_layout(config)).create(path=("slot",))
        m.d.comb += [
            slot.payload.as_value().eq(block.payload.as_value()),
            slot.valid.eq(block.valid),
            block.ready.eq(slot.ready),
        ]
        return slot

    def _cut(self, m: Module, name: str, source):
        """Put a pipeline register behind `source` if the configuration asks for it."""
        if name not in self._config.cuts:
            return source
        register = StreamRegister(source.payload.shape())
        m.submodules[f"register_{name}"] = register
        m.d.comb += [
            register.i.valid.eq(source.valid),
            register.i.payload.eq(source.payload),
            source.ready.eq(register.i.ready),
        ]
        return register.o

    @staticmethod
    def _stage(m: Module, source, value, name: str):
        """Carry `value`, made from the payload of `source`, on beside its `ends_sum`."""
        layout = data.StructLayout({"value": value.shape(), "ends_sum": 1})
        target = stream.Signature(layout).create(path=(name,))
        m.d.comb += [
            target.payload.value.eq(value),
            target.payload.ends_sum.eq(source.payload.ends_sum),
            target.valid.eq(source.valid),
            source.ready.eq(target.ready),
        ]
        return target


class Dot(wiring.Component):
    """Dot product of two streams of blocks.

        result = R(sum over the blocks of a sum of D)         (docs/numerics.md, Dot products)

    One block step per K / lanes cycles, no bubble between sums. Results wait under back-pressure,
    and with them the input. `i.ready` is combinational from `o.ready`.

    Parameters
    ----------
    config : DotConfig

    Members
    -------
    i : In(stream of A record from bit 0, B record, `last` as the top bit)
    o : Out(stream of the result word, in fixed mode with the flags above it)

    Latency: `latency` cycles from the transfer of a sum's last records to its result's valid.
    """

    def __init__(self, config: DotConfig) -> None:
        self.config = config
        a, b = config.rows_ab
        super().__init__(
            {
                "i": In(stream.Signature(a.record_bits + b.record_bits + 1)),
                "o": Out(stream.Signature(config.result_bits)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles: of the sequencer and of the processing element."""
        return BeatSequencer(self.config).latency + ProcessingElement(self.config).latency

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.sequencer = sequencer = BeatSequencer(config)
        element = ProcessingElement(config)
        m.submodules.element = Shared(element, "processing_element", config)
        step = sequencer.o.payload
        m.d.comb += [
            sequencer.i.payload.eq(self.i.payload),
            sequencer.i.valid.eq(self.i.valid),
            self.i.ready.eq(sequencer.i.ready),
            element.i.payload.eq(Cat(step.a[0], step.b[0], step.ends_block, step.ends_sum)),
            element.i.valid.eq(sequencer.o.valid),
            sequencer.o.ready.eq(element.i.ready),
            self.o.payload.eq(Cat(element.o.payload.word, element.o.payload.flags)),
            self.o.valid.eq(element.o.valid),
            element.o.ready.eq(self.o.ready),
        ]
        return m
