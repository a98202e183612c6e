"""Registers as a table describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amxfp4.params.registers import Access, Field, Register
from amxfp4.rtl.bus.axi_lite import AxiLiteSubordinate, axi_lite

__all__ = ["RegisterBank", "port_name"]


def port_name(register: str, field: str) -> str:
    """Name of the member of a bank that belongs to a field."""
    return register if field == "value" else f"{register}_{field}"


class RegisterBank(wiring.Component):
    """The registers of a table behind AXI4-Lite.

    Fields that can be written begin at a byte, or are shorter than what is left of theirs.

    Parameters
    ----------
    registers : sequence of Register
    constants : mapping of (register, field) to int
        What the fields with `Access.CONSTANT` read.
    address_bits : int

    Members
    -------
    bus : In(axi_lite(address_bits))
    reading : Out, offset of the register that is read in this cycle, with
    reads : Out(1)

    For every field but constants a member called as `port_name` says:

    - READ: In, what it reads.
    - WRITE: Out, what was written.
    - PULSE: Out(1), 1 for one cycle when 1 is written.
    - CLEAR: In(1), sets the bit; and Out(1), the bit, called ``..._held``.
    """

    def __init__(
        self,
        registers: Sequence[Register],
        constants: Mapping[tuple[str, str], int],
        *,
        address_bits: int,
    ) -> None:
        self._registers, self._constants = registers, constants
        self._address_bits = address_bits
        members: dict[str, wiring.Member] = {
            "bus": In(axi_lite(address_bits)),
            "reading": Out(address_bits),
            "reads": Out(1),
        }
        for register in registers:
            for field in register.fields:
                name = port_name(register.name, field.name)
                if field.access is Access.READ:
                    members[name] = In(field.width)
                elif field.access in (Access.WRITE, Access.PULSE):
                    members[name] = Out(field.width, init=field.reset)
                elif field.access is Access.CLEAR:
                    members[name] = In(field.width)
                    members[f"{name}_held"] = Out(field.width)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.front = front = AxiLiteSubordinate(self._address_bits)
        wiring.connect(m, wiring.flipped(self.bus), front.bus)

        mask = Cat(bit.replicate(8) for bit in front.write_strobe)
        m.d.comb += [
            self.reading.eq(front.read_address),
            self.reads.eq(front.read),
            front.write_refused.eq(1),
            front.read_refused.eq(1),
        ]
        # A table for reading, a line per register.
        lines = []
        for register in self._registers:
            writes = Signal(name=f"writes_{register.name}")
            line = Signal(32, name=f"read_{register.name}")
            for field in register.fields:
                place = slice(field.bit, field.bit + field.width)
                word = front.write_data[place]
                value = self._field(m, register, field, writes, word, mask[place])
                m.d.comb += line[place].eq(value)
            lines.append((register, writes, line))
        with m.Switch(front.write_address):
            for register, writes, _ in lines:
                if register.writable:
                    with m.Case(register.offset):
                        m.d.comb += [writes.eq(front.write), front.write_refused.eq(0)]
        with m.Switch(front.read_address):
            for register, _, line in lines:
                with m.Case(register.offset):
                    m.d.comb += [front.read_data.eq(line), front.read_refused.eq(0)]
        return m

    def _field(self, m: Module, register: Register, field: Field, writes, word, mask):
        """Build one field; return what it reads."""
        if field.access is Access.CONSTANT:
            return Const(self._constants[register.name, field.name], field.width)
        name = port_name(register.name, field.name)
        port = getattr(self, name)
        if field.access is Access.READ:
            return port
        if field.access is Access.PULSE:
            m.d.comb += port.eq(Mux(writes, word & mask, 0))
            return Const(0, field.width)
        if field.access is Access.WRITE:
            # By bytes: their strobes enable the registers.
            for n in range(0, field.width, 8):
                with m.If(writes & mask[n]):
                    m.d.sync += port[n : n + 8].eq(word[n : n + 8])
            return port
        held = getattr(self, f"{name}_held")
        m.d.sync += held.eq((held & ~Mux(writes, word & mask, 0)) | port)
        return held
