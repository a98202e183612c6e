"""First words with an engine at the end of a serial line: each operation, and a whole job.

Runs inside the simulator; test_engine_uart_smoke.py launches it.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer, with_timeout

from amxfp4.params.protocol import END, ESC, ESC_END, ESC_ESC, PROTOCOL, Operation, Status
from amxfp4.params.registers import ENGINE_ID
from amxfp4.params.serial import EngineUartConfig
from amxfp4.verif.sim.cocotb.environment import MANIFEST
from amxfp4.verif.sim.cocotb_engine.engine_bench import OFFSETS, Bench, count_transaction, mask

_CYCLE = 2
_SECOND_BYTE = {END: ESC_END, ESC: ESC_ESC}


class Line(Bench):
    """The host's end of the line; `product` and its like are not for it."""

    config: EngineUartConfig

    def __init__(self, dut: Any) -> None:
        manifest = json.loads(Path(os.environ[MANIFEST]).read_text())
        self.config = EngineUartConfig.from_dict(manifest["config"])
        self.dut, self.manifest, self.flags = dut, manifest, 0
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.bit = self.config.divisor * _CYCLE
        self.sequence = itertools.count(0xBF)  # the second one is to be escaped
        self.arrived: list[int] = []

    @classmethod
    async def start(cls, dut: Any) -> Line:
        """Start the clock, reset, and listen."""
        line = cls(dut)
        dut.rx.value = 1
        Clock(dut.clk, _CYCLE, unit="step").start()
        dut.rst.value = 1
        for _ in range(2):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        cocotb.start_soon(line._listen())
        return line

    async def _listen(self) -> None:
        tx = self.dut.tx
        while True:
            await FallingEdge(tx)
            await Timer(self.bit // 2, "step")
            assert tx.value == 0, "a start bit that is none"
            byte = 0
            for n in range(8):
                await Timer(self.bit, "step")
                byte |= int(tx.value) << n
            await Timer(self.bit, "step")
            assert tx.value == 1, "a stop bit that is none"
            self.arrived.append(byte)

    async def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        for byte in data:
            for n in range(10):
                self.dut.rx.value = (byte << 1 | 1 << 9) >> n & 1
                await Timer(self.bit, "step")

    def request(self, sequence: int, operation: int, payload: bytes = b"") -> bytes:
        """Frame a request."""
        text = struct.pack("<BBH", sequence, operation, len(payload)) + payload
        text += struct.pack("<I", zlib.crc32(text))
        escaped = b"".join(
            bytes([ESC, _SECOND_BYTE[byte]] if byte in _SECOND_BYTE else [byte]) for byte in text
        )
        return bytes([END]) + escaped + bytes([END])

    async def _frame(self) -> bytes:
        while self.arrived.count(END) < 2 or self.arrived[-1] != END:
            await Timer(self.bit, "step")
        text, arrived = [], iter(self.arrived[1:-1])
        assert self.arrived[0] == END
        for byte in arrived:
            assert byte != END
            text.append({ESC_END: END, ESC_ESC: ESC}[next(arrived)] if byte == ESC else byte)
        self.arrived = []
        return bytes(text)

    async def answer(self, sequence: int, operation: int) -> tuple[int, bytes]:
        """Wait for an answer; return its status and what is behind."""
        text = await with_timeout(self._frame(), 400_000, "step")
        assert zlib.crc32(text[:-4]) == int.from_bytes(text[-4:], "little"), text
        assert struct.unpack("<BBH", text[:4]) == (sequence, operation | 0x80, len(text) - 8), text
        return text[4], text[5:-4]

    async def ask(self, operation: int, payload: bytes = b"") -> tuple[int, bytes]:
        """Send the next request, and wait for its answer."""
        sequence = next(self.sequence) & 0xFF
        await self.say(self.request(sequence, operation, payload))
        return await self.answer(sequence, operation)

    async def silence(self) -> None:
        """Expect no answer."""
        await Timer(40 * self.bit, "step")
        assert self.arrived == []

    async def read(self, register: str) -> int:
        """Read a register."""
        status, data = await self.ask(Operation.READ, struct.pack("<HB", OFFSETS[register], 1))
        assert (status, len(data)) == (Status.OK, 4)
        return int.from_bytes(data, "little")

    async def write(self, register: str, *values: int) -> None:
        """Write registers, the first one by name."""
        payload = struct.pack(f"<H{len(values)}I", OFFSETS[register], *values)
        assert await self.ask(Operation.WRITE, payload) == (Status.OK, b"")

    async def send(self, stream: int, data: bytes) -> None:
        """Send a packet."""
        most = self.config.payload - 2 & -64 or 32
        while data:
            part, is_last = data[:most], len(data) <= most
            status, count = await self.ask(Operation.SEND, bytes([stream, is_last]) + part)
            taken = int.from_bytes(count, "little")
            assert status == Status.OK
            data = data[taken:]

    async def receive(self) -> bytes:
        """Receive a packet."""
        data = b""
        while True:
            status, answer = await self.ask(Operation.RECEIVE, struct.pack("<H", 0xFFFF))
            assert status == Status.OK
            data += answer[1:]
            if answer[0]:
                return data

    async def job(self, m: int, n: int, k: int) -> None:
        """Run one job, and compare every byte with golden."""
        a, b, expected = self.streams(*self.operands(m, n, k))
        await self.write("m", m, n, k, 0)
        await self.write("control", mask("control", "start"))
        await self.send(0, a)
        for _ in range(-(-m // self.config.rows)):
            await self.send(1, b)
        assert await self.receive() == expected
        assert await self.read("error") == self.flags
        assert await self.read("status") & 0b1111 == mask("status", "idle", "done")
        count_transaction()


@cocotb.test()
async def operations(dut: Any) -> None:
    """Each operation, as it should be and as it must not be."""
    line = await Line.start(dut)
    config = line.config
    hello = struct.pack("<BHI", PROTOCOL, config.payload, config.clock)
    assert await line.ask(Operation.HELLO) == (Status.OK, hello)
    assert dut.led_link.value == 1
    status, data = await line.ask(Operation.READ, struct.pack("<HB", 0, 4))
    words = [ENGINE_ID, 1 << 16, *divmod(int(config.digest, 16), 1 << 32)[::-1]]
    assert (status, data) == (Status.OK, struct.pack("<4I", *words))
    await line.write("m", 0xC0DBDCDD, 2, 3)
    status, data = await line.ask(Operation.READ, struct.pack("<HB", OFFSETS["m"], 3))
    assert (status, data) == (Status.OK, struct.pack("<3I", 0xC0DBDCDD, 2, 3))
    # Refused in the middle: what was read or written before stays.
    last = OFFSETS["job"] - 4
    assert await line.ask(Operation.WRITE, struct.pack("<H3I", OFFSETS["status"], 1, 2, 3)) == (
        Status.REFUSED, b"",
    )  # fmt: skip
    status, data = await line.ask(Operation.READ, struct.pack("<HB", 0x2C, 2))
    assert (status, data) == (Status.REFUSED, struct.pack("<I", config.largest_k))
    status, data = await line.ask(Operation.READ, struct.pack("<HB", 0x1000 + last, 1))
    assert (status, data) == (Status.REFUSED, b"")
    beat_a, beat_b = bytes(config.bytes_a), bytes(config.bytes_b)
    for operation, payload in (
        (Operation.HELLO, b"x"), (Operation.READ, b"\0\0"), (Operation.READ, b"\0\0\0"),
        (Operation.READ, b"\0\0\xff"), (Operation.READ, b"\0\0\1\1"), (Operation.WRITE, b"\x40\0"),
        (Operation.WRITE, b"\x40\0\1\1\1"), (Operation.SEND, b"\0\1"),
        (Operation.SEND, b"\2\0" + beat_a), (Operation.SEND, b"\0\2" + beat_a),
        (Operation.SEND, b"\0\0" + beat_a[1:]), (Operation.SEND, b"\1\0" + beat_b[1:]),
        (Operation.RECEIVE, b"\3\0"), (Operation.RECEIVE, b"\4"), (Operation.RESET, b"x"),
        (6, b""), (0x40, b""), (8, b""),
    ):  # fmt: skip
        got = await line.ask(operation, payload)
        assert got == (Status.MALFORMED, b""), (operation, payload, got)
    assert await line.read("m") == 0xC0DBDCDD
    assert await line.ask(Operation.RECEIVE, b"\4\0") == (Status.OK, b"\0")
    # A stream that stands still: one beat waits in the bridge, and the engine holds some.
    status, count = await line.ask(Operation.SEND, b"\1\0" + beat_b * 10)
    taken = int.from_bytes(count, "little")
    assert status == Status.OK
    assert 0 < taken < 10 * len(beat_b)
    assert taken % len(beat_b) == 0
    assert await line.ask(Operation.SEND, b"\1\0" + beat_b) == (Status.OK, b"\0\0")
    assert await line.ask(Operation.RESET) == (Status.OK, b"")
    assert await line.read("m") == 0
    status, count = await line.ask(Operation.SEND, b"\1\0" + beat_b)
    assert (status, count) == (Status.OK, struct.pack("<H", len(beat_b)))
    assert await line.ask(Operation.RESET) == (Status.OK, b"")
    await line.job(1, 1, 2 * config.block)
    line.finish()


@cocotb.test()
async def jobs(dut: Any) -> None:
    """Whole jobs equal golden's, one after another."""
    line = await Line.start(dut)
    rows, cols, block = line.config.rows, line.config.cols, line.config.block
    await line.job(1, 1, 1)
    assert dut.led_busy.value == 1
    await line.job(rows + 1, cols + 1, block + 1)
    assert dut.led_error.value == 0
    # A packet that ends early: the job fails, and the lamp says so.
    await line.write("m", 1, 1, block, 0)
    await line.write("control", mask("control", "start"))
    await line.send(0, b"\xc0" * line.config.bytes_a)
    await line.send(1, bytes(line.config.rows_ab[1].record_bytes))
    await line.receive()
    assert await line.read("status") & mask("status", "failed")
    assert dut.led_error.value == 1
    assert await line.ask(Operation.RESET) == (Status.OK, b"")
    assert dut.led_error.value == 0
    await line.job(1, cols, 2 * block)
    line.finish()


@cocotb.test()
async def disturbances(dut: Any) -> None:
    """Do nothing for what is no request, and once what comes twice."""
    line = await Line.start(dut)
    config = line.config
    # Sequence 0 is no repetition of what never was.
    assert OFFSETS["n"] == OFFSETS["m"] + 4
    good = line.request(0, Operation.WRITE, struct.pack("<HI", OFFSETS["m"], 7))
    assert dut.led_error.value == 0
    for wrong in (
        good[:5] + bytes([good[5] ^ 1]) + good[6:],
        good[:4] + good[-1:],
        good[:-2] + good[-1:],
        line.request(0, Operation.WRITE | 0x80, struct.pack("<HI", OFFSETS["m"], 7)),
        line.request(0, Operation.WRITE, bytes(config.payload + 2)),
        bytes([END, ESC, END]),
        bytes([END, ESC, 0x11, END]),
    ):
        await line.say(wrong)
        await line.silence()
        assert dut.led_error.value == 1, wrong
    await line.say(bytes([END, END, END]) + good[: len(good) // 2] + good)
    assert await line.answer(0, Operation.WRITE) == (Status.OK, b"")
    # Repeated, it is answered, also while another value would be written.
    for payload in (7, 8):
        again = line.request(0, Operation.WRITE, struct.pack("<HI", OFFSETS["m"], payload))
        await line.say(again)
        assert await line.answer(0, Operation.WRITE) == (Status.OK, b"")
    await line.say(line.request(0xC0, Operation.READ, struct.pack("<HB", OFFSETS["m"], 2)))
    first = await line.answer(0xC0, Operation.READ)
    assert first == (Status.OK, struct.pack("<II", 7, 0))
    # A wrong frame in between does not cost the answer.
    await line.say(line.request(0, Operation.WRITE, bytes(50))[:-3] + bytes([END]))
    await line.say(line.request(0xC0, Operation.READ, struct.pack("<HB", OFFSETS["m"], 2)))
    assert await line.answer(0xC0, Operation.READ) == first
    # What arrives while an answer leaves is dropped, and what is behind it is not.
    await line.say(line.request(0xC0, Operation.READ, struct.pack("<HB", OFFSETS["m"], 2)))
    await line.say(line.request(1, Operation.RESET))
    assert await line.answer(0xC0, Operation.READ) == first
    await line.silence()
    assert await line.ask(Operation.HELLO) == (
        Status.OK, struct.pack("<BHI", PROTOCOL, config.payload, config.clock),
    )  # fmt: skip
    assert await line.read("m") == 7
    # A break is no byte.
    dut.rx.value = 0
    await Timer(100 * line.bit, "step")
    dut.rx.value = 1
    await Timer(line.bit, "step")
    assert await line.read("m") == 7
    count_transaction()
    line.finish()
