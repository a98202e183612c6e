# amaranth: UnusedElaboratable=no
"""The beat sequencer: order, `last`, no bubble, back-pressure, rows and columns."""

from __future__ import annotations

import pytest

from amxfp4.params.dot import DotConfig
from amxfp4.rtl.dot.sequencer import BeatSequencer

# With all lanes and no register it is wires, and has no clock.
SHAPES = [(1, ""), (4, ""), (8, ""), (1, "input"), (4, "input"), (16, "input")]
shapes = pytest.mark.parametrize(("lanes", "pipeline"), SHAPES)


def _config(lanes: int, pipeline: str) -> DotConfig:
    return DotConfig(format_b="nvfp4", block=16, lanes=lanes, pipeline=pipeline)


def expected_beats(payload: int, config: DotConfig, rows: int, cols: int) -> list[int]:
    """Beats of a step, cut out of the integer that the step is."""
    records, place = [], 0
    for row, count in zip(config.rows_ab, (rows, cols), strict=True):
        for _ in range(count):
            records.append((payload >> place & (1 << row.record_bits) - 1, row))
            place += row.record_bits
    beats = []
    for n in range(config.beats):
        word, position = 0, 0
        for record, row in records:
            codes = record >> (4 * config.lanes * n) & (1 << 4 * config.lanes) - 1
            codes &= (1 << 4 * row.block) - 1
            scales = record >> 4 * row.block
            word |= (codes | scales << 4 * config.lanes) << position
            position += 4 * config.lanes + row.scale.width * row.scales
        is_end = n == config.beats - 1
        word |= is_end << position | (is_end & payload >> place) << position + 1
        beats.append(word)
    return beats


def _steps(rng, config: DotConfig, rows: int, cols: int, count: int) -> list[int]:
    a, b = config.rows_ab
    bits = rows * a.record_bits + cols * b.record_bits + 1
    return [int.from_bytes(rng.bytes(-(-bits // 8)), "little") % (1 << bits) for _ in range(count)]


@pytest.mark.by_day(2)
@shapes
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 3)])
def test_sim_beats_in_order_under_stalls(rng, run_stream, rows, cols, lanes, pipeline):
    """Every beat of every step arrives once, in order, under random stalls on both sides."""
    config = _config(lanes, pipeline)
    steps = _steps(rng, config, rows, cols, 12)
    choices = rng.random((2, 2000)) < 0.6
    traffic = run_stream(
        lambda: BeatSequencer(config, rows, cols), steps,
        offer=lambda cycle: bool(choices[0][cycle]),
        accept=lambda cycle: bool(choices[1][cycle]),
    )  # fmt: skip
    expected = [beat for step in steps for beat in expected_beats(step, config, rows, cols)]
    assert traffic.taken == steps
    assert traffic.given == expected


@shapes
def test_sim_no_bubble(rng, run_stream, lanes, pipeline):
    """Unstalled, a beat leaves every cycle, the last of the first step at the latency."""
    config = _config(lanes, pipeline)
    unit = BeatSequencer(config)
    steps = _steps(rng, config, 1, 1, 10)
    traffic = run_stream(lambda: BeatSequencer(config), steps, cycles=300)
    count = 10 * config.beats
    first = traffic.given_at[0]
    assert traffic.given_at == list(range(first, first + count))
    ends = traffic.given_at[config.beats - 1 :: config.beats]
    assert ends[0] - traffic.taken_at[0] == unit.latency


def test_sim_reset_in_flight(rng, run_stream):
    """A reset forgets the step that is being cut."""
    config = _config(4, "input")
    steps = _steps(rng, config, 1, 1, 1)
    traffic = run_stream(lambda: BeatSequencer(config), steps, reset=lambda cycle: cycle == 3)
    assert traffic.resets == 1
    assert len(traffic.given) < config.beats
