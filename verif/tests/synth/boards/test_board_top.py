"""What stands between the unit and a board's pins, simulated with a stub in the unit's place."""

from __future__ import annotations

import importlib
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
from amaranth.hdl import ClockSignal, Fragment, Module, Signal
from amaranth.lib import io
from amaranth.sim import Simulator

from amxfp4.synth.boards import top

OUTPUTS = ("alive", "link", "busy", "error")
LIGHTS = {
    "ulx3s": {
        "led 0": ("alive",), "led 1": ("link",), "led 2": ("busy",), "led 3": ("error",),
        "led 4": (), "led 5": (), "led 6": (), "led 7": (),
    },
    "orangecrab": {
        "rgb_led 0 g": ("alive",), "rgb_led 0 b": ("link", "busy"), "rgb_led 0 r": ("error",),
    },
    "icebreaker": {
        "led_g 0": ("alive",), "led_r 0": ("error",), "led_g 1": ("alive",), "led_g 2": ("link",),
        "led_g 3": ("busy",), "led_r 1": ("error",),
    },
}  # fmt: skip
"""LEDs of each board and the outputs they show, copied by hand from docs/boards.md."""


class Pins:
    """In a platform's place: pins by what they are asked for, of either direction."""

    def __init__(self):
        self.ports = {}

    def request(self, name, number=0, *, dir):
        """Make what a platform gives: a port, or one with parts."""
        parts = {"uart": ("rx", "tx"), "rgb_led": ("r", "g", "b")}.get(name)
        if parts is None:
            return self._port(f"{name} {number}")
        return SimpleNamespace(**{part: self._port(f"{name} {number} {part}") for part in parts})

    def _port(self, name):
        assert name not in self.ports
        self.ports[name] = io.SimulationPort("io", 1, name=name.replace(" ", "_"))
        return self.ports[name]


class Unit:
    """In the unit's place: what reaches its inputs is seen, its outputs are set."""

    def __init__(self):
        self.rst, self.rx, self.tx = Signal(), Signal(), Signal()
        self.outputs = {name: Signal(name=f"unit_{name}") for name in OUTPUTS}

    def __call__(self, name, **ports):
        """Stand for Amaranth's `Instance`."""
        assert name == "engine_uart"
        m = Module()
        assert isinstance(ports.pop("i_clk"), ClockSignal)
        m.d.comb += [self.rst.eq(ports.pop("i_rst")), self.rx.eq(ports.pop("i_rx"))]
        m.d.comb += ports.pop("o_tx").eq(self.tx)
        for output, signal in self.outputs.items():
            m.d.comb += ports.pop(f"o_led_{output}").eq(signal)
        assert not ports
        return m


def loaded(module, old="", new=""):
    """Load a module's text anew, with `old` replaced, which must stand there once."""
    text = Path(module.__file__).read_text()
    assert not old or text.count(old) == 1
    names = {"__name__": module.__name__, "__file__": module.__file__}
    exec(compile(text.replace(old, new), module.__file__, "exec"), names)
    return names


def check(name, where="", old="", new=""):
    """Simulate a board, with `old` replaced by `new` in the module `where`."""
    own = importlib.import_module(f"amxfp4.synth.boards.{name}")
    board = loaded(own, *((old, new) if where == "board" else ()))[name.upper()]
    tops = loaded(top, *((old, new) if where == "top" else ()))
    platform, unit = Pins(), Unit()
    tops["Instance"] = unit

    async def testbench(ctx):
        resets = []
        for _ in range(1100):
            resets.append(ctx.get(unit.rst))
            await ctx.tick()
        # Two numbers: pytest would compare lists of this length for minutes before it prints them.
        assert (sum(resets[:1024]), sum(resets[1024:])) == (1024, 0), (
            "the reset must take 1024 cycles"
        )
        rx, tx = platform.ports["uart 0 rx"], platform.ports["uart 0 tx"]
        assert (ctx.get(rx.oe), ctx.get(tx.oe)) == (0, 1), "the line's directions"
        for inside, outside in product((0, 1), (0, 1)):
            ctx.set(rx.i, outside)
            ctx.set(tx.i, 1 - outside)
            ctx.set(unit.tx, inside)
            await ctx.tick()
            assert ctx.get(unit.rx) == outside, "rx must reach the unit"
            assert ctx.get(tx.o) == inside, "tx must come out"
        for lit in product((0, 1), repeat=len(OUTPUTS)):
            on = dict(zip(OUTPUTS, lit, strict=True))
            for output, value in on.items():
                ctx.set(unit.outputs[output], value)
            await ctx.tick()
            lights = {n: p for n, p in platform.ports.items() if not n.startswith("uart")}
            assert all(ctx.get(port.oe) for port in lights.values())
            shown = {n: ctx.get(port.o) for n, port in lights.items()}
            wanted = {n: int(any(on[output] for output in of)) for n, of in LIGHTS[name].items()}
            assert shown == wanted, f"LEDs of {on}"

    simulator = Simulator(Fragment.get(tops["BoardTop"](board), platform))
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("name", LIGHTS)
def test_board_top(name):
    """The reset ends, the line is whole, and each output has its LED."""
    check(name)


MUTANTS = {
    "rx and tx exchanged by the board": (
        "board", "rx=uart.rx, tx=uart.tx", "rx=uart.tx, tx=uart.rx", "line's directions",
    ),
    "rx not connected": ("top", "i_rx=rx.i", "i_rx=C(1, 1)", "rx must reach the unit"),
    "reset for ever": ("top", "i_rst=resets", "i_rst=C(1, 1)", "must take 1024 cycles"),
    "no reset": ("top", "i_rst=resets", "i_rst=C(0, 1)", "must take 1024 cycles"),
    "reset a cycle short": (
        "top", "cycles == _RESET_CYCLES - 1", "cycles == _RESET_CYCLES - 2",
        "must take 1024 cycles",
    ),
    "outputs exchanged": (
        "top", "for name, signal in status.items()}",
        "for name, signal in zip(status, reversed(status.values()))}", "LEDs of",
    ),
    "outputs of which all must be on": ("top", ".any()", ".all()", "LEDs of"),
}  # fmt: skip


@pytest.mark.parametrize("bug", MUTANTS)
def test_planted_bug_is_caught(bug):
    """The simulation fails on a board that is connected wrongly."""
    where, old, new, said = MUTANTS[bug]
    with pytest.raises(AssertionError, match=said):
        check("orangecrab", where, old, new)


def test_board_with_exchanged_lights_is_caught():
    """So it does on a board whose own lights are exchanged."""
    with pytest.raises(AssertionError, match="LEDs of"):
        check("ulx3s", "board", '("alive",), ("link",)', '("link",), ("alive",)')
