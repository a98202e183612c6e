"""Checks at the pins: frames, retries, the line itself, LEDs (docs/units/bridge.md)."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from amxfp4.params.registers import OFFSETS, mask
from amxfp4.verif.sim.line.line import LineDut
from amxfp4.verif.sim.line.model_bridge import frame, framed
from amxfp4.verif.sim.line.talk import (
    HELLO,
    READ,
    RESET,
    SEND,
    WRITE,
    Talk,
)

__all__ = [
    "busy_means_deaf",
    "escapes",
    "hello",
    "leds",
    "repeated",
    "the_line_itself",
    "wrong_frames",
]

ALIVE, LINK, BUSY, ERROR = (1 << n for n in range(4))
"""Bits of `LineDut.leds`."""


def hello(dut: LineDut, rng: np.random.Generator) -> None:
    """Carry out every hello; the next request with its sequence number is a retry."""
    talk = Talk(dut)
    config = dut.config
    wanted = b"\x00\x01" + struct.pack("<HI", config.payload, config.clock)
    for _ in range(2):
        assert talk.raw(frame(7, HELLO, b"")) == [(7, 0x80, wanted)]
    # Also with the sequence number of another operation, which is in the memory.
    write = frame(8, WRITE, struct.pack("<HI", OFFSETS["m"], 5))
    talk.raw(write)
    assert talk.raw(frame(8, HELLO, b"")) == [(8, 0x80, wanted)]
    assert talk.raw(write) == [(8, 0x80, wanted)], "not answered as a retry of hello"


def _wrong_frames(payload: int) -> dict[str, bytes]:
    """Frames that would write 66 to `m` if they were accepted."""
    body = bytes([1, WRITE, 6, 0]) + struct.pack("<HI", OFFSETS["m"], 66)

    good = framed(body)
    found = {f"checksum bit {n}": framed(body, zlib.crc32(body) ^ 1 << n) for n in (0, 9, 17, 31)}
    found |= {f"cut by {n}": good[: -n - 1] + b"\xc0" for n in (1, 2, 4, 8)}
    found["a byte less than it says"] = framed(bytes([1, WRITE, 7]) + body[3:])
    found["a byte more than it says"] = framed(body[:2] + b"\x05" + body[3:])
    found["256 more than it says"] = framed(body[:3] + b"\1" + body[4:])
    found["an answer"] = framed(bytes([1, WRITE | 0x80]) + body[2:])
    found["an escape of something else"] = framed(body).replace(b"\x40", b"\xdb\x40")
    found["an escape of nothing"] = good[:-1] + b"\xdb\xc0"
    words = (payload - 2) // 4 + 1
    long = struct.pack(f"<H{words}I", OFFSETS["m"], 66, *([0] * (words - 1)))
    for size in (payload + 1, payload + 2, payload + 6, 2 * payload):
        text = (long + bytes(2 * payload))[:size]
        found[f"a payload of {size}"] = framed(
            bytes([1, WRITE]) + size.to_bytes(2, "little") + text
        )
    return found


def wrong_frames(dut: LineDut, rng: np.random.Generator) -> None:
    """Answer none and carry out none, light the LED, and answer the next request."""
    talk = Talk(dut)
    talk.write("m", 5)
    for name, wrong in _wrong_frames(dut.config.payload).items():
        assert talk.raw(wrong) == [], f"{name}: answered"
        assert dut.leds & ERROR, f"{name}: the LED is off"
        assert talk.read("m") == 5, f"{name}: carried out"
    # ESC before any other byte is wrong, even if the checksum fits what a decoder may make of it.
    body = bytes([1, READ, 3, 0, 0xDC, 0, 1])
    for second in (0x11, 0xDE, 0xC1, 0xDB):
        text = body.replace(b"\xdc", bytes([second]))
        raw = text + zlib.crc32(text).to_bytes(4, "little")
        assert (
            talk.raw(b"\xc0" + raw.replace(bytes([second]), bytes([0xDB, second])) + b"\xc0") == []
        )
    # An empty frame is ignored: no LED.
    dut.reset()
    assert talk.raw(b"\xc0" * 5) == []
    assert not dut.seen & ERROR


def escapes(dut: LineDut, rng: np.random.Generator) -> None:
    """END and ESC inside a frame, in both directions, in every field."""
    talk = Talk(dut)
    for sequence in (0xC0, 0xDB, 0xDC, 0xDD):
        values = struct.pack("<3I", 0xC0C0C0C0, 0xDBDBDBDB, 0xDBDCC0DD ^ sequence)
        request = frame(sequence, WRITE, struct.pack("<H", OFFSETS["m"]) + values)
        assert talk.raw(request) == [(sequence, 0x82, b"\0")]
        other = sequence ^ 0x10
        request = frame(other, READ, struct.pack("<HB", OFFSETS["m"], 3))
        assert talk.raw(request) == [(other, 0x81, b"\0" + values)]


def repeated(dut: LineDut, rng: np.random.Generator) -> None:
    """Carry out a request once, whatever a second one with its sequence number says."""
    talk = Talk(dut)
    talk.raw(frame(3, WRITE, struct.pack("<HI", OFFSETS["m"], 5)))
    for again in (struct.pack("<HI", OFFSETS["m"], 6), b""):
        assert talk.raw(frame(3, WRITE, again)) == [(3, 0x82, b"\0")]
    # Another operation with that number gets the old answer, too.
    assert talk.raw(frame(3, READ, struct.pack("<HB", OFFSETS["m"], 1))) == [(3, 0x82, b"\0")]
    first = talk.raw(frame(4, READ, struct.pack("<HB", OFFSETS["m"], 1)))
    assert first == [(4, 0x81, b"\0" + struct.pack("<I", 5))]
    # A wrong frame does not change the memory.
    assert talk.raw(frame(5, WRITE, struct.pack("<HI", OFFSETS["m"], 6))[:-3] + b"\xc0") == []
    assert talk.raw(frame(4, READ, b"")) == first
    # Bytes of a stream are sent once, bytes of C are not lost.
    beat = frame(6, SEND, bytes([0, 0]) + bytes(4))
    taken = [talk.raw(beat)[0][2] for _ in range(9)]
    assert taken == [b"\0\4\0"] * 9
    assert talk.send(0, bytes(4), 0) == 4, "one beat was sent nine times"
    # A malformed request counts as carried out.
    assert talk.raw(frame(8, WRITE, b"")) == [(8, 0x82, b"\2")]
    assert talk.raw(frame(8, WRITE, struct.pack("<HI", OFFSETS["m"], 6))) == [(8, 0x82, b"\2")]
    # The engine's reset leaves the memory; that of the unit does not.
    assert talk.raw(frame(9, RESET, b"")) == [(9, 0x85, b"\0")]
    assert talk.raw(frame(9, READ, struct.pack("<HB", 0, 1))) == [(9, 0x85, b"\0")]
    dut.reset()
    assert talk.raw(frame(9, READ, struct.pack("<HB", 0, 1))) == [(9, 0x81, b"\x004XMA")]


def busy_means_deaf(dut: LineDut, rng: np.random.Generator) -> None:
    """Drop what arrives while the bridge works or sends, and answer the next request."""
    talk = Talk(dut)
    read = frame(1, READ, struct.pack("<HB", 0, 12))
    write = frame(2, WRITE, struct.pack("<HI", OFFSETS["m"], 66))
    answers = talk.raw(read + write)
    assert [a[:2] for a in answers] == [(1, 0x81)]
    assert talk.read("m") == 0
    # A frame that begins meanwhile and ends afterwards is dropped as a whole.
    answers = talk.raw(frame(3, HELLO, b"") + frame(4, WRITE, struct.pack("<14I", *[0] * 14)))
    assert [a[:2] for a in answers] == [(3, 0x80)]
    assert talk.raw(write) == [(2, 0x82, b"\0")]
    assert talk.read("m") == 66


def the_line_itself(dut: LineDut, rng: np.random.Generator) -> None:
    """Take neither a break nor a glitch for a byte."""
    talk, bit = Talk(dut), dut.config.divisor
    read = frame(2, READ, struct.pack("<HB", 0, 1))
    good = [(2, 0x81, b"\x004XMA")]
    for cycles in (10 * bit, 11 * bit, 1000 * bit):
        dut.reset()
        # The first half of a frame, a break, which must not count as a byte of 0, the second half.
        answer = dut.run(read[:6], quiet=bit)
        dut.hold(0, cycles)
        dut.hold(1, 2 * bit)
        assert answer == b""
        assert talk.raw(read[6:]) == good, f"a break of {cycles} cycles was a byte"
    for _ in range(5):
        dut.reset()
        dut.run(read[:6], quiet=bit)
        dut.hold(0, 1)  # a quarter of a bit
        dut.hold(1, 20 * bit)
        assert talk.raw(read[6:]) == good, "a glitch was a byte"


def leds(dut: LineDut, rng: np.random.Generator) -> None:
    """Light each when it should be on, for a quarter second."""
    talk, second, begun = Talk(dut), dut.config.clock, dut.cycles

    def wait(seconds: float) -> int:
        """Let time pass until `seconds` after the reset; return the LEDs that are on then."""
        dut.run(cycles=int(seconds * second) - (dut.cycles - begun), quiet=second)
        return dut.leds

    assert not wait(0.001)
    talk.raw(frame(1, HELLO, b""))
    assert dut.leds == LINK
    assert wait(0.2) == LINK
    assert not wait(0.45)
    talk.raw(b"\xc0abc\xc0")
    assert dut.leds == ERROR
    talk.write("m", 1, 1, 1, 0, mask("control", "start"))
    assert dut.leds & BUSY
    assert wait(0.85) == BUSY, "a job is in flight all the time, and led_alive has not changed yet"
    assert wait(0.9) == BUSY | ALIVE, "led_alive changes once a second"
    talk.good(RESET)
    assert wait(1.3) == ALIVE
