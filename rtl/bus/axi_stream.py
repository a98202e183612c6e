"""AXI4-Stream: its signature, and its beats as the streams inside (AMBA AXI-Stream, IHI 0051B)."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["axi_stream", "axis_layout", "receive", "transmit"]


def axi_stream(width: int) -> wiring.Signature:
    """Signature of a stream of `width` bytes, as its transmitter sees it."""
    return wiring.Signature(
        {
            "tdata": Out(8 * width),
            "tkeep": Out(width),
            "tlast": Out(1),
            "tvalid": Out(1),
            "tready": In(1),
        }
    )


def axis_layout(width: int) -> data.StructLayout:
    """Payload of an AXI4-Stream of `width` bytes."""
    return data.StructLayout({"data": data.ArrayLayout(8, width), "keep": width, "last": 1})


def receive(m: Module, axis: Any, target: Any) -> None:
    """Bring the beats of an AXI4-Stream into a stream of `axis_layout`."""
    m.d.comb += [
        target.payload.as_value().eq(Cat(axis.tdata, axis.tkeep, axis.tlast)),
        target.valid.eq(axis.tvalid),
        axis.tready.eq(target.ready),
    ]


def transmit(m: Module, source: Any, axis: Any) -> None:
    """Send the payloads of a stream of `axis_layout` as beats of an AXI4-Stream."""
    m.d.comb += [
        Cat(axis.tdata, axis.tkeep, axis.tlast).eq(source.payload.as_value()),
        axis.tvalid.eq(source.valid),
        source.ready.eq(axis.tready),
    ]
