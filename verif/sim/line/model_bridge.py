"""A model of the bridge, from docs/units/bridge.md alone, and a noisy line to it.

It shares no code with the hardware nor with the host program: frames are decoded here once more.
`faults` make it misbehave on purpose.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from amxfp4.params.engine import EngineConfig
from amxfp4.verif.sim.line.model_engine import ModelEngine

__all__ = ["FAULTS", "ModelBridge", "ModelWire", "Noise", "escaped", "frame", "framed", "parse"]

FAULTS = ("crc unchecked", "executes twice", "wrong protocol", "silent", "wrong sequence")
"""Ways to break the contract, which tests must notice."""


def escaped(data: bytes) -> bytes:
    """Put bytes between two ENDs."""
    table = {0xC0: b"\xdb\xdc", 0xDB: b"\xdb\xdd"}
    return b"\xc0" + b"".join(table.get(byte, bytes([byte])) for byte in data) + b"\xc0"


def framed(body: bytes, crc: int | None = None) -> bytes:
    """Frame a header and a payload of any content; the checksum is right unless `crc` is given."""
    crc = zlib.crc32(body) if crc is None else crc
    return escaped(body + crc.to_bytes(4, "little"))


def frame(sequence: int, operation: int, payload: bytes) -> bytes:
    """Make a valid frame."""
    return framed(bytes([sequence, operation, len(payload) % 256, len(payload) // 256]) + payload)


def parse(raw: bytes) -> list[tuple[int, int, bytes]]:
    """Decode frames that must all be valid: sequence number, operation, payload."""
    frames = []
    for piece in raw.split(b"\xc0"):
        if not piece:
            continue
        body, escaped = bytearray(), False
        for byte in piece:
            if escaped:
                body.append({0xDC: 0xC0, 0xDD: 0xDB}[byte])
            elif byte != 0xDB:
                body.append(byte)
            escaped = not escaped and byte == 0xDB
        assert not escaped
        assert zlib.crc32(body[:-4]).to_bytes(4, "little") == body[-4:]
        assert body[2] + 256 * body[3] == len(body) - 8
        frames.append((body[0], body[1], bytes(body[4:-4])))
    return frames


class ModelBridge:
    """The bridge and its engine: bytes in, bytes out, without time."""

    def __init__(
        self,
        config: EngineConfig,
        *,
        payload: int = 256,
        clock: int = 25_000_000,
        faults: tuple[str, ...] = (),
    ) -> None:
        self.config, self.payload, self.clock, self.faults = config, payload, clock, faults
        self.engine = ModelEngine(config)
        self.last: tuple[int, bytes] | None = None
        self.slot: list[tuple[bytes, bool] | None] = [None, None]
        self.done: list[tuple[int, bytes]] = []
        """Operations carried out, and their payloads, in order."""
        self.dropped = 0
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the line; return the answers."""
        out = b""
        for byte in data:
            if byte != 0xC0:
                self._held.append(byte)
                continue
            if self._held:
                out += self._frame(bytes(self._held))
            self._held.clear()
        return out

    def _frame(self, raw: bytes) -> bytes:
        try:
            body, pieces = bytearray(), raw.split(b"\xdb")
            body += pieces[0]
            for piece in pieces[1:]:
                body.append({0xDC: 0xC0, 0xDD: 0xDB}[piece[0]])
                body += piece[1:]
        except (IndexError, KeyError):
            self.dropped += 1
            return b""
        length = body[2] | body[3] << 8 if len(body) >= 8 else -1
        sound = len(body) == length + 8 and length <= self.payload and not body[1] & 0x80
        right = zlib.crc32(body[:-4]).to_bytes(4, "little") == body[-4:]
        if not sound or not (right or "crc unchecked" in self.faults):
            self.dropped += 1
            return b""
        sequence, operation, payload = body[0], body[1], bytes(body[4:-4])
        again = self.last is not None and self.last[0] == sequence
        if again and operation != 0 and "executes twice" not in self.faults:
            assert self.last is not None
            return self.last[1]
        self.done.append((operation, payload))
        wrong = "wrong sequence" in self.faults
        answer = frame(sequence ^ wrong, operation | 0x80, self._do(operation, payload))
        self.last = (sequence, answer)
        return b"" if "silent" in self.faults else answer

    def _do(self, operation: int, payload: bytes) -> bytes:
        """Carry out an operation; return status and what follows it."""
        handlers: dict[int, Callable[[bytes], bytes | None]] = {
            0: self._hello, 1: self._read, 2: self._write, 3: self._send, 4: self._receive,
            5: self._reset,
        }  # fmt: skip
        done = handlers[operation](payload) if operation in handlers else None
        return b"\x02" if done is None else done

    def _hello(self, payload: bytes) -> bytes | None:
        if payload:
            return None
        protocol = 7 if "wrong protocol" in self.faults else 1
        return (
            bytes([0, protocol])
            + self.payload.to_bytes(2, "little")
            + self.clock.to_bytes(4, "little")
        )

    def _read(self, payload: bytes) -> bytes | None:
        if len(payload) != 3 or not 1 <= payload[2] <= (self.payload - 1) // 4:
            return None
        address, values = payload[0] | payload[1] << 8, b""
        for n in range(payload[2]):
            value = self.engine.read(address + 4 * n)
            if value is None:
                return b"\x01" + values
            values += value.to_bytes(4, "little")
        return b"\x00" + values

    def _write(self, payload: bytes) -> bytes | None:
        if len(payload) < 6 or len(payload) % 4 != 2:
            return None
        address = payload[0] | payload[1] << 8
        for n in range(2, len(payload), 4):
            value = int.from_bytes(payload[n : n + 4], "little")
            if not self.engine.write(address + n - 2, value):
                return b"\x01"
        return b"\x00"

    def _push(self, stream: int) -> None:
        """Let the beat that waits in the bridge go on, if the engine takes it."""
        beat = self.slot[stream]
        if beat is not None and self.engine.take(stream, *beat):
            self.slot[stream] = None

    def _send(self, payload: bytes) -> bytes | None:
        if len(payload) < 3 or payload[0] > 1 or payload[1] > 1:
            return None
        stream, last, data = payload[0], payload[1], payload[2:]
        size = self.config.bytes_b if stream else self.config.bytes_a
        if not last and len(data) % size:
            return None
        taken = 0
        for at in range(0, len(data), size):
            self._push(stream)
            if self.slot[stream] is not None:
                break
            beat = data[at : at + size]
            taken = at + len(beat)
            self.slot[stream] = (beat, bool(last) and taken == len(data))
        self._push(stream)
        return b"\x00" + taken.to_bytes(2, "little")

    def _receive(self, payload: bytes) -> bytes | None:
        size = self.config.bytes_c
        if len(payload) != 2 or int.from_bytes(payload, "little") < size:
            return None
        most = min(int.from_bytes(payload, "little"), self.payload - 2)
        data, last = b"", False
        while len(data) + size <= most and not last:
            for stream in (0, 1):
                self._push(stream)
            beat = self.engine.give(size)
            if beat is None:
                break
            data, last = data + beat[0], beat[1]
        return bytes([0, last]) + data

    def _reset(self, payload: bytes) -> bytes | None:
        if payload:
            return None
        self.engine.reset()
        self.slot = [None, None]
        return b"\x00"


class Noise:
    """Damage to single bytes: with `probability` each has a bit flipped, is lost or doubled."""

    def __init__(self, probability: float, seed: int) -> None:
        if not 0 <= probability < 1:
            raise ValueError(f"noise must be from 0 up to, not including, 1, not {probability!r}")
        self.probability, self.count = probability, 0
        self._rng = np.random.default_rng(seed)

    def __call__(self, data: bytes) -> bytes:
        """Pass bytes through the noise."""
        if not self.probability or not data:
            return data
        out = bytearray()
        hit = self._rng.random(len(data)) < self.probability
        for byte, is_hit in zip(data, hit, strict=True):
            kind = int(self._rng.integers(3)) if is_hit else -1
            self.count += bool(is_hit)
            if kind == 0:
                out.append(byte ^ 1 << int(self._rng.integers(8)))
            elif kind != 1:
                out += bytes([byte]) * (2 if kind == 2 else 1)
        return bytes(out)


class ModelWire:
    """A line to anything that turns bytes into bytes, with a change to those out and back.

    Without time: where a real line would be silent until a timeout, `read` returns at once.
    """

    name = "the model"

    def __init__(
        self,
        board: Callable[[bytes], bytes],
        *,
        out: Callable[[bytes], bytes] = bytes,
        back: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.board, self.out, self.back = board, out, back
        self.waiting = b""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.waiting += self.back(self.board(self.out(data)))

    def read(self, seconds: float) -> bytes:
        """Return what is there."""
        data, self.waiting = self.waiting, b""
        return data

    def close(self) -> None:
        """Do nothing."""
