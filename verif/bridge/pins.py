"""Checks of the bridge at its pins, from docs/bridge.md alone.

Each takes a compiled unit and raises when something is not as the document says. Answers are
compared, byte for byte, with those of the model, or with what stands here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

from amxfp4 import golden
from amxfp4.gen.engine_uart_config import EngineUartConfig
from amxfp4.verif.bridge.line import LineDut
from amxfp4.verif.bridge.model_bridge import ModelBridge, frame, parse
from amxfp4.verif.bridge.model_engine import BITS, OFFSETS

__all__ = ["CHECKS", "TINY", "Talk"]

TINY = EngineUartConfig(
    rows=1, cols=2, lanes=1, block=16, depth_a=2, depth_b=2, bytes_a=4, bytes_b=4, bytes_c=4,
    format_a="mxfp4", format_b="mxfp4", payload=64, clock=1_000_000, baud=250_000,
)  # fmt: skip
"""Compiled in seconds; with four cycles a bit and a quarter second of 250,000 cycles."""

_HELLO, _READ, _WRITE, _SEND, _RECEIVE, _RESET = range(6)
_LINK, _BUSY, _ERROR = 2, 4, 8
Check = Callable[[LineDut, np.random.Generator], None]
CHECKS: dict[str, Check] = {}
"""Every check, by its name."""


def _check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


class Talk:
    """Requests to a unit, one after another; answers are parsed strictly."""

    def __init__(self, dut: LineDut) -> None:
        self.dut, self.sequence = dut, 0x55
        # No request of an earlier check is the last one any more, and no register has a value.
        dut.reset()

    def raw(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Send bytes, and parse what comes until all is quiet."""
        return parse(self.dut.run(data))

    def ask(self, operation: int, payload: bytes = b"") -> tuple[int, bytes]:
        """Ask with the next sequence; return status and what follows."""
        self.sequence = (self.sequence + 1) % 256
        answers = parse(self.dut.ask(frame(self.sequence, operation, payload)))
        assert len(answers) == 1, f"{len(answers)} answers to operation {operation}"
        sequence, answered, rest = answers[0]
        assert (sequence, answered) == (self.sequence, operation | 0x80)
        return rest[0], rest[1:]

    def good(self, operation: int, payload: bytes = b"") -> bytes:
        """Ask for what must be done."""
        status, rest = self.ask(operation, payload)
        assert status == 0, f"status {status} of operation {operation} with {payload.hex()}"
        return rest

    def read(self, register: str) -> int:
        """Read a register."""
        return int.from_bytes(self.good(_READ, struct.pack("<HB", OFFSETS[register], 1)), "little")

    def write(self, register: str, *values: int) -> None:
        """Write registers."""
        self.good(_WRITE, struct.pack(f"<H{len(values)}I", OFFSETS[register], *values))

    def send(self, stream: int, data: bytes, last: int) -> int:
        """Send bytes once; return how many were taken."""
        return int.from_bytes(self.good(_SEND, bytes([stream, last]) + data), "little")

    def packet(self, stream: int, data: bytes) -> None:
        """Send a packet to its end."""
        most = (self.dut.config.payload - 2) // 4 * 4
        while data:
            part, rest = data[:most], data[most:]
            taken = self.send(stream, part, not rest)
            assert taken, "a stream stands still"
            data = data[taken:]

    def receive(self, most: int) -> tuple[bytes, bool]:
        """Receive bytes of C."""
        answer = self.good(_RECEIVE, struct.pack("<H", most))
        assert answer[0] <= 1
        return answer[1:], bool(answer[0])


def _job(config: EngineUartConfig, rng: np.random.Generator, m: int, n: int, k: int):
    """Make A's packet, B's and C's for a job."""
    x = rng.integers(-6, 7, (m, k)).astype(np.float32)
    a = golden.quantize(x, config.format_a, axis=1, ties=config.ties, block=config.block)
    y = rng.integers(-6, 7, (k, n)).astype(np.float32)
    b = golden.quantize(y, config.format_b, axis=0, block=config.block)
    c = golden.matmul(a, b, config.acc, config.output)
    raw_a = golden.formats.words(x, config.input).tobytes()
    return raw_a, golden.pack(b).tobytes(), c


def _in_tiles(config: EngineUartConfig, c: np.ndarray) -> bytes:
    bits = golden.formats.words(c, config.output)
    return b"".join(
        np.ascontiguousarray(bits[i : i + config.rows, j : j + config.cols]).tobytes()
        for i in range(0, len(c), config.rows) for j in range(0, c.shape[1], config.cols)
    )  # fmt: skip


@_check
def hello(dut: LineDut, rng: np.random.Generator) -> None:
    """Ask who is there: first of all, twice with one sequence, with that of another request."""
    talk = Talk(dut)
    config = dut.config
    wanted = b"\x00\x01" + struct.pack("<HI", config.payload, config.clock)
    for _ in range(2):
        assert talk.raw(frame(7, _HELLO, b"")) == [(7, 0x80, wanted)]
    # With the sequence of another operation it is carried out, not answered from memory.
    talk.raw(frame(8, _WRITE, struct.pack("<HI", OFFSETS["m"], 5)))
    assert talk.raw(frame(8, _HELLO, b"")) == [(8, 0x80, wanted)]


@_check
def registers(dut: LineDut, rng: np.random.Generator) -> None:
    """Read and write any number of registers, until one is refused."""
    talk = Talk(dut)
    most = (dut.config.payload - 1) // 4
    for count in range(1, most + 1):
        status, data = talk.ask(_READ, struct.pack("<HB", 0, count))
        assert status == (count > 12)
        assert len(data) == 4 * min(count, 12)
        assert data[:4] == b"4XMA"
    for values in ([1, 2, 3, 1], [0xC0DBDCDD, 0xDBDBC0C0, 0, 2]):
        talk.write("m", *values)
        assert talk.good(_READ, struct.pack("<HB", OFFSETS["m"], 4)) == struct.pack("<4I", *values)
    # m, n, k, job, control, and status, which cannot be written: those before it are.
    request = struct.pack("<H6I", OFFSETS["m"], 9, 8, 7, 1, 0, 0)
    assert talk.ask(_WRITE, request) == (1, b"")
    assert talk.read("m") == 9
    for address in (0x30, 0x42, 0xFFC, 0x1000, 0x1040, 0xFFFC):
        assert talk.ask(_READ, struct.pack("<HB", address, 1)) == (1, b"")
        assert talk.ask(_WRITE, struct.pack("<HI", address, 77)) == (1, b"")
    assert talk.read("m") == 9


@_check
def malformed(dut: LineDut, rng: np.random.Generator) -> None:
    """Be told of whatever a payload cannot be; nothing is done."""
    talk, most = Talk(dut), (dut.config.payload - 1) // 4
    talk.write("m", 5)
    where = struct.pack("<H", OFFSETS["m"])
    requests = [(operation, b"") for operation in (1, 2, 3, 4, 6, 7, 64, 127)]
    requests += [(operation, b"x") for operation in (0, 1, 2, 3, 4, 5, 6)]
    requests += [(_READ, where), (_READ, where + b"\0"), (_READ, where + bytes([most + 1]))]
    requests += [(_READ, where + b"\xff"), (_READ, where + b"\1\1")]
    requests += [(_WRITE, where + bytes(n)) for n in (0, 1, 2, 3, 5, 6, 7)]
    requests += [(_SEND, bytes([0, 0])), (_SEND, bytes([1, 1]))]
    requests += [(_SEND, bytes([stream, 0]) + bytes(n)) for stream in (0, 1) for n in (1, 2, 3, 5)]
    requests += [(_SEND, bytes([2, 0]) + bytes(4)), (_SEND, bytes([0, 2]) + bytes(4))]
    requests += [(_SEND, bytes([255, 1]) + bytes(4)), (_SEND, bytes([0, 255]) + bytes(4))]
    requests += [(_RECEIVE, struct.pack("<H", n)) for n in range(dut.config.bytes_c)]
    requests += [(_RECEIVE, b"\4"), (_RECEIVE, b"\4\0\0"), (_RESET, b"\0")]
    for operation, payload in requests:
        assert talk.ask(operation, payload) == (2, b""), (operation, payload.hex())
    assert talk.read("m") == 5
    assert talk.read("status") == BITS["status", "idle"], "a byte reached a stream"


def _wrong_frames(payload: int) -> dict[str, bytes]:
    """Frames that would write 66 to `m`, were they not wrong."""
    body = bytes([1, _WRITE, 6, 0]) + struct.pack("<HI", OFFSETS["m"], 66)

    def framed(text: bytes, crc: int | None = None) -> bytes:
        checksum = zlib.crc32(text) if crc is None else crc
        inside = text + checksum.to_bytes(4, "little")
        inside = inside.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        return b"\xc0" + inside + b"\xc0"

    good = framed(body)
    found = {f"checksum bit {n}": framed(body, zlib.crc32(body) ^ 1 << n) for n in (0, 9, 17, 31)}
    found |= {f"cut by {n}": good[: -n - 1] + b"\xc0" for n in (1, 2, 4, 8)}
    found["a byte less than it says"] = framed(bytes([1, _WRITE, 7]) + body[3:])
    found["a byte more than it says"] = framed(body[:2] + b"\x05" + body[3:])
    found["256 more than it says"] = framed(body[:3] + b"\1" + body[4:])
    found["an answer"] = framed(bytes([1, _WRITE | 0x80]) + body[2:])
    found["an escape of something else"] = framed(body).replace(b"\x40", b"\xdb\x40")
    found["an escape of nothing"] = good[:-1] + b"\xdb\xc0"
    words = (payload - 2) // 4 + 1
    long = struct.pack(f"<H{words}I", OFFSETS["m"], 66, *([0] * (words - 1)))
    for size in (payload + 1, payload + 2, payload + 6, 2 * payload):
        text = (long + bytes(2 * payload))[:size]
        found[f"a payload of {size}"] = framed(
            bytes([1, _WRITE]) + size.to_bytes(2, "little") + text
        )
    return found


@_check
def wrong_frames(dut: LineDut, rng: np.random.Generator) -> None:
    """Find none answered or carried out, the lamp lit, and the next request answered."""
    talk = Talk(dut)
    talk.write("m", 5)
    for name, wrong in _wrong_frames(dut.config.payload).items():
        assert talk.raw(wrong) == [], f"{name}: answered"
        assert dut.lamps & _ERROR, f"{name}: the lamp is off"
        assert talk.read("m") == 5, f"{name}: carried out"
    # An escape of something else stands for nothing, even where a checksum says it is whole.
    body = bytes([1, _READ, 3, 0, 0xDC, 0, 1])
    for second in (0x11, 0xDE, 0xC1, 0xDB):
        text = body.replace(b"\xdc", bytes([second]))
        raw = text + zlib.crc32(text).to_bytes(4, "little")
        assert (
            talk.raw(b"\xc0" + raw.replace(bytes([second]), bytes([0xDB, second])) + b"\xc0") == []
        )
    # Also the empty frame: it is nothing, no lamp is lit.
    dut.reset()
    assert talk.raw(b"\xc0" * 5) == []
    assert not dut.seen & _ERROR


@_check
def escapes(dut: LineDut, rng: np.random.Generator) -> None:
    """END and ESC inside a frame, in both directions, in every field."""
    talk = Talk(dut)
    for sequence in (0xC0, 0xDB, 0xDC, 0xDD):
        values = struct.pack("<3I", 0xC0C0C0C0, 0xDBDBDBDB, 0xDBDCC0DD ^ sequence)
        request = frame(sequence, _WRITE, struct.pack("<H", OFFSETS["m"]) + values)
        assert talk.raw(request) == [(sequence, 0x82, b"\0")]
        other = sequence ^ 0x10
        request = frame(other, _READ, struct.pack("<HB", OFFSETS["m"], 3))
        assert talk.raw(request) == [(other, 0x81, b"\0" + values)]


@_check
def repeated(dut: LineDut, rng: np.random.Generator) -> None:
    """Repeat requests: each is carried out once, whatever the second one says."""
    talk = Talk(dut)
    talk.raw(frame(3, _WRITE, struct.pack("<HI", OFFSETS["m"], 5)))
    for again in (struct.pack("<HI", OFFSETS["m"], 6), b""):
        assert talk.raw(frame(3, _WRITE, again)) == [(3, 0x82, b"\0")]
    # Of another operation, too: the answer is the old one.
    assert talk.raw(frame(3, _READ, struct.pack("<HB", OFFSETS["m"], 1))) == [(3, 0x82, b"\0")]
    first = talk.raw(frame(4, _READ, struct.pack("<HB", OFFSETS["m"], 1)))
    assert first == [(4, 0x81, b"\0" + struct.pack("<I", 5))]
    # A wrong frame does not touch the memory, nor does silence.
    assert talk.raw(frame(5, _WRITE, struct.pack("<HI", OFFSETS["m"], 6))[:-3] + b"\xc0") == []
    assert talk.raw(frame(4, _READ, b"")) == first
    # Bytes of a stream are sent once, bytes of C are not lost.
    beat = frame(6, _SEND, bytes([0, 0]) + bytes(4))
    taken = [talk.raw(beat)[0][2] for _ in range(9)]
    assert taken == [b"\0\4\0"] * 9
    assert talk.send(0, bytes(4), 0) == 4, "one beat was sent nine times"
    # The reset of the engine leaves the memory; that of the unit does not.
    assert talk.raw(frame(9, _RESET, b"")) == [(9, 0x85, b"\0")]
    assert talk.raw(frame(9, _READ, struct.pack("<HB", 0, 1))) == [(9, 0x85, b"\0")]
    dut.reset()
    assert talk.raw(frame(9, _READ, struct.pack("<HB", 0, 1))) == [(9, 0x81, b"\x004XMA")]


@_check
def busy_means_deaf(dut: LineDut, rng: np.random.Generator) -> None:
    """Talk while the bridge works or sends: that is dropped, and what follows is heard."""
    talk = Talk(dut)
    read = frame(1, _READ, struct.pack("<HB", 0, 12))
    write = frame(2, _WRITE, struct.pack("<HI", OFFSETS["m"], 66))
    answers = talk.raw(read + write)
    assert [a[:2] for a in answers] == [(1, 0x81)]
    assert talk.read("m") == 0
    # One that begins meanwhile and ends afterwards has lost its beginning.
    answers = talk.raw(frame(3, _HELLO, b"") + frame(4, _WRITE, struct.pack("<14I", *[0] * 14)))
    assert [a[:2] for a in answers] == [(3, 0x80)]
    assert talk.raw(write) == [(2, 0x82, b"\0")]
    assert talk.read("m") == 66


@_check
def back_pressure(dut: LineDut, rng: np.random.Generator) -> None:
    """Send more than fits: whole beats are taken, the rest later; the product is right."""
    config, talk = dut.config, Talk(dut)
    m, n, k = 5, 3, 32
    raw_a, raw_b, c = _job(config, rng, m, n, k)
    # Before a job: at most two beats in the engine, and one in the bridge.
    taken = talk.send(0, raw_a[:40], 0)
    assert taken in (4, 8, 12)
    assert talk.send(0, raw_a[taken : taken + 40], 0) == 0
    talk.write("m", m, n, k, 0, BITS["control", "start"])
    partial = False
    while taken < len(raw_a):
        part = raw_a[taken : taken + 60]
        now = talk.send(0, part, taken + len(part) == len(raw_a))
        assert now % 4 == 0 or taken + now == len(raw_a)
        taken += now
        if now < len(part):
            partial = True
            break
    assert partial, "the memories hold two row tiles of five"
    before = dut.cycles
    assert talk.send(0, raw_a[taken : taken + 4], 0) == 0
    assert dut.cycles - before > 4096, "the patience is 4096 cycles"
    got, last, passes = b"", False, [raw_b] * m
    for _ in range(200):
        if taken < len(raw_a):
            part = raw_a[taken : taken + 60]
            taken += talk.send(0, part, taken + len(part) == len(raw_a))
        while passes:
            part = passes[0][:60]
            now = talk.send(1, part, len(part) == len(passes[0]))
            passes[0] = passes[0][now:]
            if not passes[0]:
                del passes[0]
            if now < len(part):
                break
        data, last = talk.receive(20)
        got += data
        if last:
            break
    assert last, "C does not end"
    assert got == _in_tiles(config, c)
    assert talk.read("status") == BITS["status", "idle"] | BITS["status", "done"]
    assert talk.read("error") == 0


@_check
def receive_limits(dut: LineDut, rng: np.random.Generator) -> None:
    """Whole beats, not more than asked for, not more than the payload, up to a packet's end."""
    config, talk = dut.config, Talk(dut)
    assert talk.receive(4) == (b"", False)
    # A tile is two beats, which wait to be taken.
    for sizes in ((4, 4), (5, 7), (7, 4), (8,), (11,), (62,), (63,), (0xFFFF,)):
        raw_a, raw_b, c = _job(config, rng, 1, 2, 3)
        wanted = _in_tiles(config, c)
        talk.write("m", 1, 2, 3, 0, BITS["control", "start"])
        talk.packet(0, raw_a)
        talk.packet(1, raw_b)
        for size in sizes:
            data, last = talk.receive(size)
            assert data == wanted[: size // 4 * 4], size
            wanted = wanted[len(data) :]
            assert last == (not wanted)
        assert not wanted
        assert talk.receive(0xFFFF) == (b"", False)
    # Of more than a payload holds, a payload is given; the next packet waits for its turn.
    raw_a, raw_b, c = _job(config, rng, 1, 60, 3)
    wanted, got, last = _in_tiles(config, c), b"", False
    talk.write("m", 1, 60, 3, 0, BITS["control", "start"])
    talk.packet(0, raw_a)
    longest = 0
    while not last:
        if raw_b:
            part = raw_b[:60]
            raw_b = raw_b[talk.send(1, part, len(part) == len(raw_b)) :]
        data, last = talk.receive(0xFFFF)
        longest = max(longest, len(data))
        got += data
        assert len(got) < len(wanted) or last, "C has no end"
    assert got == wanted
    assert 8 < longest <= (config.payload - 2) // 4 * 4


@_check
def packets_end(dut: LineDut, rng: np.random.Generator) -> None:
    """TLAST and TKEEP are right: jobs of every length modulo a beat, and errors are named."""
    config, talk = dut.config, Talk(dut)
    for k in (1, 2, 3, 4, 16, 17):
        raw_a, raw_b, c = _job(config, rng, 1, 1, k)
        talk.write("m", 1, 1, k, 0, BITS["control", "start"])
        talk.packet(1, raw_b)
        talk.packet(0, raw_a)
        assert talk.receive(64) == (_in_tiles(config, c), True)
        assert talk.read("error") == 0, k
    for name, cut in (("a_early", slice(0, -2)), ("a_late", slice(None))):
        raw_a, raw_b, c = _job(config, rng, 1, 1, 5)
        sent = raw_a[cut] + (b"" if name == "a_early" else b"\1\2")
        talk.write("m", 1, 1, 5, 0, BITS["control", "start"])
        talk.packet(1, raw_b)
        talk.packet(0, sent)
        assert talk.receive(64) == (bytes(4), True)
        assert talk.read("error") == BITS["error", name], name
        assert dut.lamps & _ERROR
        talk.good(_RESET)
        assert talk.read("error") == 0


@_check
def resets(dut: LineDut, rng: np.random.Generator) -> None:
    """`reset` drops a job and the beats that wait; `rst` at any moment leaves a unit that works."""
    config, talk = dut.config, Talk(dut)
    raw_a, raw_b, c = _job(config, rng, 2, 3, 20)
    for _ in range(3):
        talk.write("m", 2, 3, 20, 0, BITS["control", "start"])
        assert talk.send(0, bytes(40), 0) == 40
        assert talk.send(1, bytes(36), 0)
        assert talk.read("status") & BITS["status", "busy"]
        talk.good(_RESET)
        assert talk.read("status") == BITS["status", "idle"]
        assert talk.read("m") == 0
        assert talk.receive(4) == (b"", False)
        # Without a job, a beat waits in the bridge.
        for stream in (0, 1):
            assert talk.send(stream, bytes(40), 0) < 40
        talk.good(_RESET)
        assert talk.read("status") == BITS["status", "idle"], "a beat is left"
    whole = frame(1, _WRITE, struct.pack("<H5I", OFFSETS["m"], 2, 3, 20, 0, 1))
    read = frame(2, _READ, struct.pack("<HB", 0, 12))
    bits = 10 * config.divisor
    for request in (whole, read):
        for _ in range(8):
            # In the middle of a request, of the work, of the answer.
            dut.run(request, cycles=int(rng.integers(len(request) * bits + 60 * bits)))
            dut.reset(int(rng.integers(1, 4)))
            assert talk.raw(frame(2, _READ, struct.pack("<HB", OFFSETS["m"], 1))) == [
                (2, 0x81, bytes(5))
            ]
    talk.write("m", 2, 3, 20, 0, BITS["control", "start"])
    talk.packet(0, raw_a)
    talk.packet(1, raw_b)
    talk.packet(1, raw_b)
    assert talk.receive(64) == (_in_tiles(config, c), True)


@_check
def the_line_itself(dut: LineDut, rng: np.random.Generator) -> None:
    """Break the line, and touch it: neither is a byte."""
    talk, bit = Talk(dut), dut.config.divisor
    read = frame(2, _READ, struct.pack("<HB", 0, 1))
    good = [(2, 0x81, b"\x004XMA")]
    for cycles in (10 * bit, 11 * bit, 1000 * bit):
        dut.reset()
        # The first half of a frame, a break that would be a byte of zeros, the second half.
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


@_check
def lamps(dut: LineDut, rng: np.random.Generator) -> None:
    """They light up when they should, for a quarter second, and not otherwise."""
    talk, quarter = Talk(dut), dut.config.clock // 4
    dut.run(cycles=4)
    assert not dut.lamps
    talk.raw(frame(1, _HELLO, b""))
    assert dut.lamps == _LINK
    dut.run(cycles=quarter // 2, quiet=quarter)
    assert dut.lamps & _LINK
    dut.run(cycles=3 * quarter, quiet=4 * quarter)
    alive = dut.lamps
    assert not alive & (_LINK | _BUSY | _ERROR)
    talk.raw(b"\xc0abc\xc0")
    assert dut.lamps & (_LINK | _BUSY | _ERROR) == _ERROR
    talk.write("m", 1, 1, 1, 0, BITS["control", "start"])
    assert dut.lamps & _BUSY
    dut.run(cycles=3 * quarter, quiet=4 * quarter)
    assert dut.lamps & (_LINK | _BUSY | _ERROR) == _BUSY, "a job is in flight all the time"
    assert (alive ^ dut.lamps) & 1 or alive & 1 or dut.seen & 1, "led_alive stands still"


@_check
def random_requests(dut: LineDut, rng: np.random.Generator) -> None:
    """Hundreds of requests, right and wrong, harmed and repeated: the model answers the same."""
    Talk(dut)
    config = dut.config
    model = ModelBridge(config, payload=config.payload, clock=config.clock)
    sequence = 0
    for number in range(250):
        request, harmed = _any_request(config, rng, sequence)
        if not harmed:
            sequence = (sequence + int(rng.integers(5) > 0)) % 256
        wanted = model.feed(request)
        got = dut.run(request)
        assert got == wanted, f"request {number}, {request.hex()}: {got.hex()}, not {wanted.hex()}"


def _any_request(
    config: EngineUartConfig, rng: np.random.Generator, sequence: int
) -> tuple[bytes, bool]:
    """Draw a request; one in three is harmed on its way."""
    operation = int(rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 4, 5, int(rng.integers(128))]))
    size = int(rng.integers(0, 30))
    payload = bytes(rng.integers(0, 256, size, "u1"))
    if rng.random() < 0.8:
        payload = _sound(config, rng, operation)
    raw = frame(sequence, operation, payload)
    kind = int(rng.integers(3 * 6))
    # Never the last byte: without its END a frame is no harm done, it only waits for the next END.
    at = int(rng.integers(len(raw) - 1))
    junk = bytes(rng.integers(0, 256, int(rng.integers(1, 40)), "u1"))
    harm = {
        0: raw[:at] + bytes([raw[at] ^ 1 << int(rng.integers(8))]) + raw[at + 1 :],
        # Nor the first one: the bridge may have been deaf until then, and not know a beginning.
        1: raw[: max(at, 1)] + raw[max(at, 1) + 1 :],
        2: raw[:at] + raw[at : at + 1] + raw[at:],
        3: raw[:at],
        # Garbage in front ends with the frame's own END, garbage behind with another.
        4: junk.replace(b"\xc0", b"") + raw,
        5: frame(sequence, operation | 0x80, payload),
    }
    return harm.get(kind, raw), kind in harm


def _sound(config: EngineUartConfig, rng: np.random.Generator, operation: int) -> bytes:
    """Draw a payload that the operation can have, or nearly."""
    if operation == _READ:
        # Registers that stand still whatever the streams do.
        first = int(rng.choice([0, 0x10, 0x2C, 0x40, 0x44, 0x30, 0x5C]))
        return struct.pack("<HB", first, int(rng.integers(0, 5)))
    if operation == _WRITE:
        count = int(rng.integers(1, 4))
        values = [int(n) for n in rng.integers(0, 1 << 32, count)]
        return struct.pack(f"<H{count}I", int(rng.choice([0x40, 0x44, 0x48, 0x3C, 0])), *values)
    if operation == _SEND:
        count = 4 * int(rng.integers(1, 6)) + int(rng.choice([0, 0, 0, 1]))
        return bytes([int(rng.integers(2)), 0]) + bytes(rng.integers(0, 256, count, "u1"))
    if operation == _RECEIVE:
        return struct.pack("<H", int(rng.choice([0, 3, 4, 5, 62, 0xFFFF])))
    return b""
