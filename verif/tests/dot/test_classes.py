# amaranth: UnusedElaboratable=no
"""The sequencer of classes: order, scales, NaN, `last`, no bubble, back-pressure, reset."""

from __future__ import annotations

import pytest
from amaranth.lib import data

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.terms import ClassSequencer, block_layout, slot_layout
from amxfp4.rtl.dot.widths import DotWidths

PAIRS = [("amxfp4", "amxfp4"), ("amxfp4-e4m3", "nvfp4"), ("nvfp4", "amxfp4")]
pairs = pytest.mark.parametrize(("a", "b"), PAIRS)


def _config(a: str, b: str) -> DotConfig:
    return DotConfig(format_a=a, format_b=b, block=16, lanes=1)


def _field(layout: data.StructLayout, payload: int, *path: str | int) -> int:
    """Bits of a field of a payload, as an unsigned integer."""
    place, shape = 0, layout
    for key in path:
        field = shape[key]
        place, shape = place + field.offset, field.shape
    width = shape.size if isinstance(shape, data.Layout) else getattr(shape, "width", shape)
    return payload >> place & (1 << width) - 1


def expected_slots(payload: int, config: DotConfig) -> list[dict[str, int]]:
    """Give what leaves of a block, class by class, cut out of the integer that the block is."""
    widths, layout = DotWidths(config), block_layout(config)
    codes = [
        [_field(layout, payload, name, n) for n in range(row.scales)]
        for name, row in zip(("scales_a", "scales_b"), widths.rows, strict=True)
    ]
    nan = any(
        (code & 0x7F) > row.scale.max_magnitude
        for row, side in zip(widths.rows, codes, strict=True)
        for code in side
    )
    slots = []
    for c, (i, j) in enumerate(widths.classes):
        is_last = c == len(widths.classes) - 1
        slots.append(
            {
                "sums": _field(layout, payload, "sums", c),
                "scales_a": codes[0][i], "scales_b": codes[1][j],
                "negative": int(widths.one_sign and i != j), "is_nan": int(nan),
                "ends_block": int(is_last),
                "ends_sum": int(is_last and _field(layout, payload, "ends_sum")),
            }
        )  # fmt: skip
    return slots


def _given(traffic, config: DotConfig) -> list[dict[str, int]]:
    layout = slot_layout(config)
    return [{name: _field(layout, word, name) for name, _ in layout} for word in traffic.given]


def _blocks(rng, config: DotConfig, count: int) -> list[int]:
    """Draw blocks, every third one with a NaN in the last scale of B."""
    layout = block_layout(config)
    bits, scales = layout.size, layout["scales_b"]
    nan = 0xFF << scales.offset + scales.width - 8
    drawn = [int.from_bytes(rng.bytes(-(-bits // 8)), "little") % (1 << bits) for _ in range(count)]
    return [block | nan if n % 3 == 2 else block for n, block in enumerate(drawn)]


@pairs
def test_sim_classes_in_order_under_stalls(rng, run_stream, a, b):
    """Every class of every block leaves once, with its own sum and scales, under any stalls."""
    config = _config(a, b)
    blocks = _blocks(rng, config, 30)
    choices = rng.random((2, 2000)) < 0.6
    traffic = run_stream(
        lambda: ClassSequencer(config), blocks,
        offer=lambda cycle: bool(choices[0][cycle]),
        accept=lambda cycle: bool(choices[1][cycle]),
    )  # fmt: skip
    assert traffic.taken == blocks
    slots = [slot for block in blocks for slot in expected_slots(block, config)]
    assert _given(traffic, config) == slots
    assert {slot["is_nan"] for slot in slots} == {slot["ends_sum"] for slot in slots} == {0, 1}


@pairs
def test_sim_no_bubble(rng, run_stream, a, b):
    """Unstalled, a class leaves every cycle, the last of the first block at the latency."""
    config = _config(a, b)
    unit = ClassSequencer(config)
    count = len(DotWidths(config).classes)
    traffic = run_stream(lambda: ClassSequencer(config), _blocks(rng, config, 10), cycles=200)
    first = traffic.given_at[0]
    assert traffic.given_at == list(range(first, first + 10 * count))
    assert traffic.given_at[count - 1] - traffic.taken_at[0] == unit.latency == count
    assert [y - x for x, y in zip(traffic.taken_at, traffic.taken_at[1:], strict=False)] == (
        [count] * 9
    )


@pairs
def test_sim_back_pressure(rng, run_stream, a, b):
    """While the output is not taken the next block waits outside."""
    config = _config(a, b)
    blocks = _blocks(rng, config, 2)
    traffic = run_stream(
        lambda: ClassSequencer(config), blocks, accept=lambda cycle: False, cycles=40
    )
    assert traffic.taken == blocks[:1]
    assert not traffic.given


@pairs
def test_sim_reset_in_flight(rng, run_stream, a, b):
    """A reset forgets the block whose classes are leaving, and the place among them."""
    config = _config(a, b)
    blocks = _blocks(rng, config, 2)
    count = len(DotWidths(config).classes)
    second = expected_slots(blocks[1], config)
    for cycle in range(1, 1 + count):
        traffic = run_stream(
            lambda: ClassSequencer(config), blocks, reset=lambda now, at=cycle: now == at
        )
        assert traffic.resets == 1
        assert _given(traffic, config) == expected_slots(blocks[0], config)[: cycle - 1] + second
