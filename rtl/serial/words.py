"""Registers read and written for the serial bridge, on the engine's AXI4-Lite bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module, Signal, Value

from amxfp4.params.protocol import Status
from amxfp4.params.registers import ADDRESS_BITS
from amxfp4.rtl.bus.axi_lite import OKAY
from amxfp4.rtl.lib.arith import assign_low

if TYPE_CHECKING:
    from amxfp4.rtl.serial.bridge import Bridge

__all__ = ["WORD", "read_states", "write_states"]

WORD = 4
"""Bytes of a register."""


def _is_outside(bridge: Bridge) -> Value:
    """Whether the address is one that the engine's bus does not have."""
    return bridge.argument[ADDRESS_BITS:].any()


def _next_register(m: Module, bridge: Bridge) -> None:
    m.d.sync += assign_low(bridge.argument, bridge.argument + WORD)


def _refuse(m: Module, bridge: Bridge) -> None:
    m.d.sync += bridge.status.eq(Status.REFUSED)
    m.next = "STATUS"


def read_states(m: Module, bridge: Bridge) -> None:
    """Read `bridge.left` words into the answer: the states from READ on, to STATUS."""
    bus, index = bridge.control, bridge.index
    m.d.comb += bus.araddr.eq(bridge.argument[:ADDRESS_BITS])
    with m.State("READ"):
        with m.If(_is_outside(bridge)):
            _refuse(m, bridge)
        with m.Else():
            m.d.comb += bus.arvalid.eq(1)
            with m.If(bus.arready):
                m.next = "READ ANSWER"
    with m.State("READ ANSWER"), m.If(bus.rvalid):
        # The word waits on the bus while its bytes are copied.
        with m.If(bus.rresp != OKAY):
            m.d.comb += bus.rready.eq(1)
            _refuse(m, bridge)
        with m.Else():
            bridge.put(m, bus.rdata.word_select(index[:2], 8))
            m.d.sync += assign_low(index[:2], index[:2] + 1)
            with m.If(index[:2] == WORD - 1):
                m.d.comb += bus.rready.eq(1)
                m.d.sync += assign_low(bridge.left, bridge.left - 1)
                _next_register(m, bridge)
                m.next = "READ"
                with m.If(bridge.left == 1):
                    m.next = "STATUS"


def write_states(m: Module, bridge: Bridge) -> None:
    """Write the rest of the request's payload, word by word: the states from FILL WORD on."""
    bus, index = bridge.control, bridge.index
    is_outside = _is_outside(bridge)
    word = Signal(8 * WORD)
    m.d.comb += [
        bus.awaddr.eq(bridge.argument[:ADDRESS_BITS]),
        bus.wdata.eq(word),
        bus.wstrb.eq(0b1111),
    ]
    with m.State("FILL WORD"):
        m.d.comb += bridge.takes.eq(1)
        m.d.sync += [
            word.eq(Cat(word[8:], bridge.request_data)),
            assign_low(index[:2], index[:2] + 1),
        ]
        with m.If(index[:2] == WORD - 1):
            m.d.sync += [bus.awvalid.eq(~is_outside), bus.wvalid.eq(~is_outside)]
            m.next = "WRITE ANSWER"
    with m.State("WRITE ANSWER"):
        m.d.comb += bus.bready.eq(1)
        with m.If(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.If(bus.wready):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(is_outside | (bus.bvalid & (bus.bresp != OKAY))):
            _refuse(m, bridge)
        with m.Elif(bus.bvalid):
            _next_register(m, bridge)
            m.next = "FILL WORD"
            with m.If(bridge.taken == bridge.header.length):
                m.next = "STATUS"
