"""Frames: the host's codec against the model's, and what it must not believe."""

import zlib

import pytest

from amxfp4.host.link.frames import Decoder, Frame, encode
from amxfp4.verif.sim.line.model_bridge import frame, parse


def test_codec_equals_the_models(rng):
    for _ in range(300):
        payload = rng.choice([0xC0, 0xDB, 0xDC, 0xDD, 0, 7], int(rng.integers(0, 40)))
        sequence, operation = (int(n) for n in rng.integers(0, 256, 2))
        made = encode(Frame(sequence, operation, bytes(payload.astype("u1"))))
        assert made == frame(sequence, operation, bytes(payload.astype("u1")))
        decoder = Decoder(answers=operation >= 0x80)
        assert [(f.sequence, f.operation, f.payload) for f in decoder.feed(made)] == parse(made)
        assert decoder.dropped == 0


def test_pieces_of_any_size(rng):
    sent = [Frame(n, 0x80 | n % 6, bytes(rng.integers(0, 256, n, "u1"))) for n in range(60)]
    line = b"".join(map(encode, sent))
    decoder, got = Decoder(), []
    while line:
        size = int(rng.integers(1, 30))
        got += decoder.feed(line[:size])
        line = line[size:]
    assert got == sent
    assert decoder.dropped == 0


def framed(body):
    """Frame bytes as they are, with a right checksum."""
    return b"\xc0" + body + zlib.crc32(body).to_bytes(4, "little") + b"\xc0"


GOOD = encode(Frame(1, 0x81, bytes(20)))
WRONG = {
    "checksum": GOOD[:6] + bytes([GOOD[6] ^ 1]) + GOOD[7:],
    "byte lost": GOOD[:9] + GOOD[10:],
    "byte doubled": GOOD[:9] + GOOD[8:],
    "cut": GOOD[:12] + b"\xc0",
    "shorter than it says": framed(bytes([1, 0x81, 3, 0, 9, 9])),
    "longer than it says": framed(bytes([1, 0x81, 1, 0, 9, 9])),
    "longer than any": framed(bytes([1, 0x81, 65, 0]) + bytes(65)),
    "request": framed(bytes([1, 0x01, 0, 0])),
    "escape of nothing": b"\xc0\xdb\xc0",
    "escape of something else": framed(bytes([1, 0x81, 2, 0, 0xDB, 0x11])),
    "less than a header": b"\xc0abc\xc0",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_not_believed(wrong):
    """And the next frame is, whatever came before."""
    decoder = Decoder(payload=64)
    assert decoder.feed(WRONG[wrong]) == []
    assert decoder.dropped == 1
    assert decoder.feed(GOOD) == [Frame(1, 0x81, bytes(20))]


def test_longest_payload_is_believed():
    assert len(Decoder(payload=64).feed(framed(bytes([1, 0x81, 64, 0]) + bytes(64)))) == 1


def test_empty_frames_are_nothing():
    decoder = Decoder()
    assert decoder.feed(b"\xc0" * 9) == []
    assert decoder.dropped == 0


def test_noise_without_end_is_not_kept():
    decoder = Decoder(payload=64)
    for _ in range(50):
        decoder.feed(b"x" * 1000)
    assert len(decoder._held) < 200
    assert decoder.feed(b"\xc0" + GOOD) == [Frame(1, 0x81, bytes(20))]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Frame(256, 0, b""), "sequence must be from 0 to 255, not 256"),
        (Frame(0, -1, b""), "operation must be from 0 to 255, not -1"),
        (Frame(0, 0, bytes(65536)), "payload must be at most 65535 bytes, not 65536"),
    ],
)
def test_encode_wrong(wrong, text):
    with pytest.raises(ValueError, match=text):
        encode(wrong)
