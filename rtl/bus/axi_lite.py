"""An AXI4-Lite subordinate: the protocol on one side, single reads and writes on the other."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AxiLiteSubordinate", "axi_lite"]

OKAY, SLVERR = 0, 2
"""What RESP says."""


def axi_lite(address_bits: int) -> wiring.Signature:
    """Signature of AXI4-Lite with 32 data bits, as its manager sees it."""
    return wiring.Signature({
        "awaddr": Out(address_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(address_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })  # fmt: skip


class AxiLiteSubordinate(wiring.Component):
    """Takes AXI4-Lite's five channels apart (AMBA AXI specification, part B).

    Address and data of a write are held until both are there; a write is done when its response
    has room. Reads and writes do not wait for each other; one of each is in flight. Every output
    is a register.

    Parameters
    ----------
    address_bits : int

    Members
    -------
    bus : In(axi_lite(address_bits))
    write_address, write_data, write_strobe : Out, with
    write : Out(1), for one cycle
    write_refused : In(1), combinational answer
    read_address : Out, with
    read : Out(1), for one cycle
    read_data, read_refused : In, combinational answer
    """

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "bus": In(axi_lite(address_bits)),
                "write_address": Out(address_bits),
                "write_data": Out(32),
                "write_strobe": Out(4),
                "write": Out(1),
                "write_refused": In(1),
                "read_address": Out(address_bits),
                "read": Out(1),
                "read_data": In(32),
                "read_refused": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus

        has_address = Signal()
        has_data = Signal()
        m.d.comb += [
            bus.awready.eq(~has_address),
            bus.wready.eq(~has_data),
            self.write.eq(has_address & has_data & (~bus.bvalid | bus.bready)),
        ]
        with m.If(self.write):
            m.d.sync += [has_address.eq(0), has_data.eq(0)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [has_address.eq(1), self.write_address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [
                has_data.eq(1), self.write_data.eq(bus.wdata), self.write_strobe.eq(bus.wstrb),
            ]  # fmt: skip
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(self.write):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(self.write_refused, SLVERR, OKAY))]

        has_read = Signal()
        m.d.comb += [
            bus.arready.eq(~has_read),
            self.read.eq(has_read & (~bus.rvalid | bus.rready)),
        ]
        with m.If(self.read):
            m.d.sync += has_read.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [has_read.eq(1), self.read_address.eq(bus.araddr)]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(self.read):
            m.d.sync += [
                bus.rvalid.eq(1),
                bus.rdata.eq(self.read_data),
                bus.rresp.eq(Mux(self.read_refused, SLVERR, OKAY)),
            ]
        return m
