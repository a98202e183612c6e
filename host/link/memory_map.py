"""An engine on a bus of this computer: registers through a memory map, data through FIFO cores.

The FIFO cores are Xilinx AXI4-Stream FIFOs (axi_fifo_mm_s, product guide PG080) with a data
interface of AXI4-Lite, 32 bits, TKEEP on, in store-and-forward mode; receiving also cut-through.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from amxfp4.host.errors import EngineError, HostError, LineError
from amxfp4.host.link.transport import Limits, Transport
from amxfp4.params.protocol import Stream
from amxfp4.params.registers import ENGINE_ID, OFFSETS, mask

__all__ = ["DEPTH", "FifoCore", "MemoryMap", "Window"]

DEPTH = 512
"""Words of a core's receive FIFO by default."""

# Registers of the core, as its product guide names them.
_ISR, _TDFR, _TDFV, _TDFD, _TLR = 0x00, 0x08, 0x0C, 0x10, 0x14
_RDFR, _RDFO, _RDFD, _RLR, _SRR = 0x18, 0x1C, 0x20, 0x24, 0x28
_RESET = 0xA5
_TRANSMIT_RESET_DONE, _RECEIVE_RESET_DONE = 1 << 24, 1 << 23
_PARTIAL, _LENGTH = 1 << 31, (1 << 23) - 1
_FAULTS = {
    31: "a length was read that was not there (RPURE)",
    30: "the receive length was read too often (RPORE)",
    29: "more was read than was received (RPUE)",
    28: "more was written than fits (TPOE)",
    25: "a packet's length is not what was written for it (TSE)",
}
_SECONDS = 0.5
_LARGEST = _LENGTH - 3


class Window(Protocol):
    """A piece of the memory map, in words of 32 bits."""

    name: str

    def read(self, offset: int) -> int:
        """Read the word at `offset`, in bytes, a multiple of 4."""

    def write(self, offset: int, value: int) -> None:
        """Write the word at `offset`."""

    def close(self) -> None:
        """Release the mapping."""


class FifoCore:
    """One AXI4-Stream FIFO core: packets out, and packets in.

    A packet leaves when its length is written, after its last word: it must fit the transmit FIFO.
    A packet can be read when it is whole, so it must fit the receive FIFO; in cut-through mode, as
    its words arrive.

    Parameters
    ----------
    window
        Its registers.
    sends, receives
        Which directions are used. The registers of the other one are not touched: the core may lack
        it.

    Raises
    ------
    LineError
        What is there does not behave like such a core.
    """

    def __init__(self, window: Window, *, sends: bool = True, receives: bool = True) -> None:
        self._window, self._sends, self._receives = window, sends, receives
        self.capacity = 0
        """Bytes of the longest packet that can be sent."""
        self.reset_transmit()
        self.reset_receive()

    def reset_transmit(self) -> None:
        """Empty the FIFO to send from, if it is used."""
        if not self._sends:
            return
        self._reset(_TDFR, _TRANSMIT_RESET_DONE)
        self.capacity = 4 * self._window.read(_TDFV)
        if not self.capacity:
            raise LineError(
                f"the FIFO at {self._window.name} must have room after a reset, and has none"
            )
        self._written = 0  # bytes of the packet whose length is not written yet

    def reset_receive(self) -> None:
        """Empty the FIFO to receive in, if it is used."""
        if not self._receives:
            return
        self._reset(_RDFR, _RECEIVE_RESET_DONE)
        self._read = 0  # bytes read of the packet that is not whole yet
        self._held, self._last = bytearray(), False

    def _reset(self, register: int, done: int) -> None:
        window = self._window
        window.write(_ISR, 0xFFFFFFFF)
        window.write(register, _RESET)
        deadline = time.monotonic() + _SECONDS
        while not window.read(_ISR) & done:
            if time.monotonic() > deadline:
                raise LineError(
                    f"no AXI4-Stream FIFO at {window.name}: its reset does not end within "
                    f"{_SECONDS} s; check the address, and that clock and reset of the core run"
                )
        window.write(_ISR, 0xFFFFFFFF)

    def send(self, data: bytes, *, last: bool) -> int:
        """Write as many bytes of a packet as there is room for; see `Transport.send`."""
        window = self._window
        if self._written + len(data) > min(self.capacity, _LARGEST):
            raise HostError(
                f"a packet of {self._written + len(data)} bytes or more must be at most "
                f"{min(self.capacity, _LARGEST)} for the FIFO at {window.name}: make its transmit "
                "depth larger"
            )
        room = 4 * window.read(_TDFV)
        whole = last and len(data) <= room
        part = data if whole else data[: min(room, len(data)) // 4 * 4]
        for start in range(0, len(part), 4):
            window.write(_TDFD, int.from_bytes(part[start : start + 4], "little"))
        self._written += len(part)
        if whole:
            window.write(_TLR, self._written)
            self._written = 0
        self._check()
        return len(part)

    def receive(self, most: int) -> tuple[bytes, bool]:
        """Take bytes of the packet that has arrived; see `Transport.receive`."""
        if not self._held and not self._last:
            self._fetch()
        data = bytes(self._held[:most])
        del self._held[:most]
        last = self._last and not self._held
        self._last &= not last
        return data, last

    def _fetch(self) -> None:
        window = self._window
        # The occupancy first: to read a length that is not there is a fault.
        if not window.read(_RDFO):
            return
        length = window.read(_RLR)
        partial, length = bool(length & _PARTIAL), length & _LENGTH
        # The length of a whole packet includes what was read while it was partial.
        count = length // 4 * 4 if partial else length - self._read
        for _ in range(-(-count // 4)):
            self._held += window.read(_RDFD).to_bytes(4, "little")
        self._check()
        if not partial:
            del self._held[count:]
        self._read = self._read + count if partial else 0
        self._last = not partial

    def _check(self) -> None:
        pending = self._window.read(_ISR)
        for bit, text in _FAULTS.items():
            if pending >> bit & 1:
                raise HostError(
                    f"the FIFO at {self._window.name} reports a fault: {text}; check that nobody "
                    "else uses it, and its data width, which must be 32 bits"
                )


class MemoryMap(Transport):
    """An engine whose registers and FIFO cores are in this computer's memory map.

    Parameters
    ----------
    engine
        The engine's registers.
    fifos
        Windows of the cores: that of A and C and that of B, or those of A, B and C.
    depth
        Words of the receive FIFO of C; the core does not tell.
    cut_through
        Whether C's core receives in cut-through mode, where packets may be of any length.

    Raises
    ------
    HostError
        There is no engine, or no FIFO core, or one of them does not work.
    """

    reports_refusals = False  # a bus error ends the process, if not more

    def __init__(
        self,
        engine: Window,
        fifos: Sequence[Window],
        *,
        depth: int = DEPTH,
        cut_through: bool = False,
    ) -> None:
        if len(fifos) not in (2, 3):
            raise ValueError(f"FIFO cores must be 2 (A and C, B) or 3 (A, B, C), not {len(fifos)}")
        if not 16 <= depth <= 1 << 17:
            raise ValueError(f"depth must be from 16 to 131072, not {depth!r}")
        # Before anything is written, which at a wrong address might do damage.
        if (found := engine.read(0)) != ENGINE_ID:
            raise EngineError(
                f"register id at {engine.name} must read 0x{ENGINE_ID:08X}, not 0x{found:08X}: "
                "there is no engine; check the address and the bitstream"
            )
        self.name = engine.name
        self._engine, self._windows = engine, (engine, *fifos)
        three = len(fifos) == 3
        self._a = FifoCore(fifos[0], receives=not three)
        self._b = FifoCore(fifos[1], receives=False)
        self._c = FifoCore(fifos[2], sends=False) if three else self._a
        self.limits = Limits(
            a=min(self._a.capacity, _LARGEST),
            b=min(self._b.capacity, _LARGEST),
            c=_LARGEST if cut_through else min(4 * (depth - 4), _LARGEST),
            advice="the FIFO cores hold whole packets: make them deeper (and say depth=WORDS of "
            "the receive FIFO), or let C's core receive in cut-through mode",
        )

    def read_registers(self, address: int, count: int) -> list[int]:  # noqa: D102 (inherited)
        return [self._engine.read(address + 4 * n) for n in range(count)]

    def write_registers(self, address: int, values: Sequence[int]) -> None:  # noqa: D102 (inherited)
        for n, value in enumerate(values):
            self._engine.write(address + 4 * n, value)

    def send(self, stream: Stream, data: bytes, *, last: bool) -> int:  # noqa: D102 (inherited)
        return (self._a if stream == Stream.A else self._b).send(data, last=last)

    def receive(self, most: int) -> tuple[bytes, bool]:  # noqa: D102 (inherited)
        return self._c.receive(most)

    def reset(self) -> None:  # noqa: D102 (inherited)
        # In this order: bytes sent after the engine's soft reset would begin a new packet, and
        # before it the engine would refill the FIFO of C.
        self._a.reset_transmit()
        self._b.reset_transmit()
        self._engine.write(OFFSETS["control"], mask("control", "soft_reset"))
        self._c.reset_receive()

    def close(self) -> None:  # noqa: D102 (inherited)
        for window in self._windows:
            window.close()
