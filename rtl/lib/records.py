"""The input side of a dequantizer: a record at a time, and its codes beat by beat."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data

from amxfp4.rtl.lib.arith import assign_low

__all__ = ["take_records"]


def take_records(m: Module, i: Any, o: Any, layout: data.StructLayout, beats: int) -> Any:
    """Take records from stream `i`, each for `beats` beats of stream `o`.

    `i.ready` is combinational from `o.ready`: a record is taken in the cycle in which its
    predecessor's last beat moves on.

    Parameters
    ----------
    layout
        Of a record; the first member, `codes`, is an array.
    beats
        A power of two.

    Returns
    -------
    record, advance
        The record in work, with the codes of this beat first; and when the beat moves to the
        output, whose payload and valid are the caller's registers.
    """
    # The record in work: the input itself, or a register whose codes move down beat by beat.
    advance = Signal()
    record: Any = data.View(layout, i.payload)
    busy: Value = i.valid
    if beats == 1:
        m.d.comb += i.ready.eq(~o.valid | o.ready)
    else:
        record = Signal(layout, reset_less=True)
        busy = Signal()
        beat = Signal(range(beats))
        is_last = beat == beats - 1
        m.d.comb += i.ready.eq(~busy | (advance & is_last))
        with m.If(advance):
            codes = record.codes.as_value()
            m.d.sync += codes.eq(Cat(record.codes)[len(codes) // beats :])
            m.d.sync += assign_low(beat, beat + 1)  # a power of two: wraps by itself
            with m.If(is_last):
                m.d.sync += busy.eq(0)
        with m.If(i.valid & i.ready):
            m.d.sync += [record.eq(i.payload), busy.eq(1)]
    m.d.comb += advance.eq(busy & (~o.valid | o.ready))
    return record, advance
