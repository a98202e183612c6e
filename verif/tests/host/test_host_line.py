"""The serial line: lost, damaged, doubled and late frames; what is asked twice is done once."""

import time

import pytest

from amxfp4.host import EngineError, LineError, RefusedError
from amxfp4.host.link.serial_line import SerialLine
from amxfp4.params.engine import EngineConfig
from amxfp4.params.protocol import Stream
from amxfp4.verif.sim.line.model_bridge import ModelBridge, ModelWire, Noise


class Script:
    """Does something to the frames of a direction, by their number; the first one is 0."""

    def __init__(self, **actions):
        self.actions = {int(name[1:]): action for name, action in actions.items()}
        self.count = -1

    def __call__(self, data):
        if not data:
            return data
        self.count += 1
        return self.actions.get(self.count, bytes)(data)


def lost(data):
    return b""


def damaged(data):
    return data[:4] + bytes([data[4] ^ 4]) + data[5:]


def cut(data):
    return data[:-3]


def doubled(data):
    return data + data


HARM = {"lost": lost, "damaged": damaged, "cut": cut, "doubled": doubled}


def line_to(bridge, *, attempts=4, **wire):
    return SerialLine(
        ModelWire(bridge.feed, **wire), baud=1_000_000, attempts=attempts, latency=0.01, sequence=9
    )


def writes(bridge):
    return [payload for operation, payload in bridge.done if operation == 2]


def test_hello_says_what_the_bridge_is():
    line = line_to(ModelBridge(EngineConfig(), payload=512, clock=48_000_000))
    assert (line.payload, line.clock) == (512, 48e6)


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("way", ["out", "back"])
def test_one_harm_is_repaired(bridge, way, harm):
    """A write is carried out once, whatever happened to it or to its answer."""
    line = line_to(bridge, **{way: Script(n1=HARM[harm])})
    line.write_registers(0x40, [7])
    line.write_registers(0x44, [8])
    assert line.read_registers(0x40, 2) == [7, 8]
    assert len(writes(bridge)) == 2
    assert line.statistics()["retries"] == (harm != "doubled")


def test_doing_twice_would_be_seen(connect):
    """The count above can fail: a bridge without a memory carries out what comes twice."""
    bridge = ModelBridge(EngineConfig(), faults=("executes twice",))
    line = line_to(bridge, back=Script(n1=lost))
    line.write_registers(0x40, [7])
    assert len(writes(bridge)) == 2


def test_bytes_are_not_sent_twice(bridge):
    """A repeated `send` puts its bytes into the stream once, a repeated `receive` loses none."""
    line = line_to(bridge, back=Script(n1=lost, n3=damaged))
    line.widths(8, 8, 8)
    assert line.send(Stream.A, bytes(8), last=False) == 8
    assert line.send(Stream.A, bytes(32), last=False) == 16  # two ahead, one in the bridge
    assert [len(p) for o, p in bridge.done if o == 3] == [10, 34]
    assert line.statistics()["retries"] == 2


def test_late_answers_are_not_taken_for_others(bridge):
    """An answer that comes after its request was repeated comes twice, the second time late."""
    held = []

    def late(data):
        held.append(data)
        return b""

    def with_the_late_one(data):
        return data + held.pop()

    line = line_to(bridge, back=Script(n1=late, n2=with_the_late_one))
    line.write_registers(0x40, [7])
    assert line.read_registers(0x40, 1) == [7]
    assert line.read_registers(0x00, 1) == [0x414D5834]
    assert len(writes(bridge)) == 1


def test_an_answer_from_before_is_not_ours(bridge):
    """What another program left on the line has another number."""
    wire = ModelWire(bridge.feed)
    wire.waiting = bridge.feed(bytes.fromhex("c0 00 00 00 00 1c df 44 21 c0"))
    line = SerialLine(wire, baud=1_000_000, latency=0.01, sequence=9)
    assert line.statistics()["unexpected"] == 1


def test_resynchronizes_after_garbage(bridge, rng):
    """Bytes of any kind before and behind the frames, in both directions."""

    def dirty(data):
        noise = [bytes(rng.integers(0, 256, 30, "u1")) for _ in range(2)]
        return noise[0] + data + noise[1]

    line = line_to(bridge, out=dirty, back=dirty, attempts=9)
    for n in range(50):
        line.write_registers(0x40, [n])
        assert line.read_registers(0x40, 1) == [n]
    assert len(writes(bridge)) == 50


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_noise(bridge, share):
    line = line_to(bridge, out=Noise(share, 1), back=Noise(share, 2), attempts=20)
    for n in range(300):
        line.write_registers(0x40, [n, n + 1])
        assert line.read_registers(0x40, 2) == [n, n + 1]
    assert len(writes(bridge)) == 300
    assert (line.statistics()["retries"] > 0) == (share > 0)


def test_sequence_wraps(bridge):
    line = line_to(bridge)
    for n in range(600):
        line.write_registers(0x40, [n])
    assert line.read_registers(0x40, 1) == [599]
    assert len(writes(bridge)) == 600


def test_silence_says_what_to_check():
    with pytest.raises(LineError) as caught:
        line_to(ModelBridge(EngineConfig(), faults=("silent",)))
    text = str(caught.value)
    for part in ("no answer to hello", "1000000 baud", "4 attempts", "not a single byte", "power",
                 "port", "rx and tx", "led_alive", "led_link", "led_error", "--baud"):  # fmt: skip
        assert part in text


def test_rubbish_says_something_else(bridge):
    with pytest.raises(LineError, match=r"though \d+ bytes came \(\d+ damaged frames\): .*--baud"):
        line_to(bridge, back=lambda data: bytes(b ^ 0x55 for b in data))


def test_port_that_never_stops_talking():
    """A console, say: each attempt ends when its time is over."""
    wire, start = ModelWire(lambda data: b""), time.monotonic()

    def read(seconds):
        assert time.monotonic() - start < 5, "an attempt without an end"
        time.sleep(0.001)
        return b"\xc0 login: "

    wire.read = read
    with pytest.raises(LineError, match=r"though \d+ bytes came \([1-9]\d* damaged frames\)"):
        SerialLine(wire, baud=1_000_000, attempts=3, latency=0.05)


def test_answers_to_others_are_no_answer():
    with pytest.raises(LineError, match="though"):
        line_to(ModelBridge(EngineConfig(), faults=("wrong sequence",)))


def test_other_protocol():
    with pytest.raises(EngineError, match="speaks version 7 of the protocol, this program version"):
        line_to(ModelBridge(EngineConfig(), faults=("wrong protocol",)))


def test_refusal_and_malformed(bridge):
    line = line_to(bridge)
    with pytest.raises(RefusedError, match=r"a register from 0x30 on cannot be read"):
        line.read_registers(0x30, 1)
    with pytest.raises(RefusedError, match=r"0x00 on cannot be written"):
        line.write_registers(0x00, [1])
    with pytest.raises(EngineError, match="answered receive with status 2"):
        line.receive(1)  # nobody has said that beats of C have 8 bytes


def test_requests_are_cut_to_the_payload(bridge):
    line = line_to(bridge)
    line.payload = 22
    assert line.read_registers(0, 12) == [bridge.engine.read(4 * n) for n in range(12)]
    line.write_registers(0x40, [1, 2, 3, 1])
    line.write_registers(0x40, [4, 5, 6, 1][:3])
    assert line.read_registers(0x40, 4) == [4, 5, 6, 1]
    reads = [p for o, p in bridge.done if o == 1]
    assert [p[2] for p in reads] == [5, 5, 2, 4]


def test_send_is_cut_to_beats(bridge):
    line = line_to(bridge)
    line.widths(8, 8, 8)
    line.payload = 22
    assert line.send(Stream.B, bytes(100), last=True) == 16
    assert bridge.done[-1] == (3, b"\x01\x00" + bytes(16))
    with pytest.raises(ValueError, match="data must be at least a beat of 8 bytes, not 3"):
        line.send(Stream.A, bytes(3), last=False)


def test_beat_that_no_frame_can_carry():
    config = EngineConfig(bytes_c=64)
    line = line_to(ModelBridge(config, payload=64))
    with pytest.raises(EngineError, match="payload must be at least 66 bytes for bytes_c = 64, no"):
        line.widths(8, 8, 64)


def test_time_follows_the_bit_rate(bridge):
    """A slow line is waited for, a fast one is not."""
    waits = {}
    for baud in (9600, 1_000_000):
        wire = ModelWire(lambda data: b"")
        read = wire.read
        wire.read = lambda s, b=baud, r=read: waits.setdefault(b, s) and r(s)
        with pytest.raises(LineError):
            SerialLine(wire, baud=baud, attempts=1, latency=0.1)
    assert 0.1 < waits[1_000_000] < 0.2
    assert 0.3 < waits[9600] < 1.0


@pytest.mark.parametrize(
    ("options", "text"),
    [({"baud": 0}, "baud must be at least 1"), ({"attempts": 0}, "attempts must be at least 1")],
)
def test_line_wrong(bridge, options, text):
    with pytest.raises(ValueError, match=text):
        SerialLine(ModelWire(bridge.feed), **({"baud": 9600} | options))
