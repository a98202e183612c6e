"""LEDs: one that toggles once a second, and events that are shown for a quarter second."""

from itertools import pairwise

import pytest
from amaranth.sim import Simulator

from amxfp4.rtl.serial import engine_uart
from amxfp4.rtl.serial.engine_uart import Leds

CLOCK = 80
"""Cycles a second: ten in each of eight ticks."""


def shown(events, cycles):
    """Levels of `alive`, `first` and `second`, a tuple a cycle.

    `events` has a name or both by the cycle in which they happen.
    """
    leds, levels = Leds(CLOCK, ("first", "second")), []

    async def testbench(ctx):
        for cycle in range(cycles):
            for name in ("first", "second"):
                ctx.set(getattr(leds, f"{name}_happens"), name in events.get(cycle, ()))
            levels.append(tuple(ctx.get(getattr(leds, n)) for n in ("alive", "first", "second")))
            await ctx.tick()

    simulator = Simulator(leds)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return levels


def check_alive():
    """Find it toggling every second, to the cycle, and nothing else on."""
    levels = shown({}, 10 * CLOCK)
    toggles = [n for n in range(1, len(levels)) if levels[n][0] != levels[n - 1][0]]
    assert len(toggles) in {9, 10}
    assert {after - before for before, after in pairwise(toggles)} == {CLOCK}
    assert not any(first or second for _, first, second in levels)


def check_events():
    """Find each shown from the next cycle, a quarter second or little more, in every phase."""
    for phase in range(11):
        at = 40 + phase
        lit = [n for n, level in enumerate(shown({at: ("first",)}, 100)) if level[1]]
        assert lit == list(range(at + 1, at + 1 + len(lit))), "it must be lit at once, and once"
        assert CLOCK // 4 <= len(lit) <= CLOCK // 4 + 10
        assert not any(second for *_, second in shown({at: ("first",)}, 100))


def test_alive():
    check_alive()


def test_events():
    check_events()


def test_event_that_happens_again():
    """The LED stays on, and goes off a quarter second after the last event."""
    again = dict.fromkeys(range(30, 90, 15), ("first", "second")) | {120: ("second",)}
    levels = shown(again, 200)
    assert all(first for _, first, _ in levels[31:96])
    assert not any(first for _, first, _ in levels[106:])
    assert levels[121][2]
    assert not levels[152][2]


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [("_GLOW", 2, check_events), ("_GLOW", 4, check_events), ("_TICKS", 4, check_events)],
)
def test_wrong_times_are_caught(monkeypatch, name, value, check):
    """The checks fail if LEDs are on for too short or too long a time."""
    monkeypatch.setattr(engine_uart, name, value)
    with pytest.raises(AssertionError):
        check()


def test_wrong_second_is_caught(monkeypatch):
    """And if led_alive toggles at another rate."""
    monkeypatch.setattr(engine_uart, "_TICKS", 16)
    right = Leds.__init__
    monkeypatch.setattr(
        Leds, "__init__", lambda self, clock, events: right(self, 2 * clock, events)
    )
    with pytest.raises(AssertionError):
        check_alive()
