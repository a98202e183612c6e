# amaranth: UnusedElaboratable=no
"""Shared modules: once in the text for every set of parameters, with their signature's ports."""

from __future__ import annotations

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from amxfp4.gen.netlist import to_verilog
from amxfp4.rtl.lib.share import ModuleLibrary, Shared


class _Adder(wiring.Component):
    """Adds a constant, in a register if `clocked`."""

    def __init__(self, addend: int, *, clocked: bool = False) -> None:
        self.addend, self.clocked = addend, clocked
        layout = data.StructLayout({"low": 3, "high": 5})
        super().__init__({"x": In(layout), "unused": In(2), "y": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.d["sync" if self.clocked else "comb"] += self.y.eq(self.x.as_value() + self.addend)
        return m


class _Other(_Adder):
    """Another class with the same parameters."""


class _Parent(wiring.Component):
    """Adders one after the other."""

    def __init__(self, children: list[tuple[type[_Adder], int, str]], *, clocked=False) -> None:
        self.children, self.clocked = children, clocked
        super().__init__({"x": In(8), "y": Out(8)})

    def elaborate(self, platform):
        m = Module()
        value = self.x
        for n, (kind, addend, name) in enumerate(self.children):
            child = kind(addend, clocked=self.clocked)
            m.submodules[f"child_{n}"] = Shared(child, name, addend)
            m.d.comb += child.x.as_value().eq(value)
            value = child.y
        m.d.comb += self.y.eq(value)
        return m


def _convert(parent: wiring.Component) -> tuple[str, ModuleLibrary]:
    library = ModuleLibrary()
    top = rtlil.convert(parent, name="top", platform=library, emit_src=False)
    return to_verilog(top, library.modules.values()), library


def _modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+)", text, re.M)


def _instances(text: str) -> list[str]:
    return re.findall(r"^  (adder\w*) \w+ \(", text, re.M)


def test_equal_keys_share():
    """Five equal components are one module with five instances."""
    text, library = _convert(_Parent([(_Adder, 3, "adder")] * 5))
    assert sorted(_modules(text)) == ["adder", "top"]
    assert _instances(text) == ["adder"] * 5
    assert list(library.modules) == ["adder"]


@pytest.mark.parametrize("second", [(_Adder, 4, "adder"), (_Other, 3, "adder")])
def test_different_hardware_does_not_share(second):
    """Components of another key, or of another class, are modules of their own."""
    text, _ = _convert(_Parent([(_Adder, 3, "adder"), second, (_Adder, 3, "adder")]))
    assert sorted(_modules(text)) == ["adder", "adder__1", "top"]
    assert sorted(_instances(text)) == ["adder", "adder", "adder__1"]


@pytest.mark.parametrize("clocked", [False, True])
def test_ports_are_the_signature(clocked):
    """A module has its signature's ports, used or not, and clock and reset if it is clocked."""
    text, _ = _convert(_Parent([(_Adder, 3, "adder")], clocked=clocked))
    body = re.search(r"^module adder\(.*?^endmodule", text, re.M | re.S)[0]
    ports = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.M)
    expected = {("input", "7", "x"), ("input", "1", "unused"), ("output", "7", "y")}
    clock = {("input", "", "clk"), ("input", "", "rst")} if clocked else set()
    assert set(ports) == expected | clock


def test_sim_is_the_component_itself():
    """Without a library the wrapper elaborates to the component."""
    parent = _Parent([(_Adder, 3, "adder"), (_Adder, 4, "adder")])

    async def testbench(ctx):
        ctx.set(parent.x, 250)
        assert ctx.get(parent.y) == (250 + 7) % 256

    simulator = Simulator(parent)
    simulator.add_testbench(testbench)
    simulator.run()


def test_reset_reaches_shared_modules():
    """Clock and reset of the parent are those of the instances."""
    text, _ = _convert(_Parent([(_Adder, 3, "adder")] * 2, clocked=True))
    instances = re.findall(r"^  adder \w+ \((.*?)\);", text, re.M | re.S)
    assert len(instances) == 2
    for ports in instances:
        assert ".clk(clk)" in ports
        assert ".rst(rst)" in ports


def test_nested_modules_come_before_their_parents():
    """A shared module inside a shared module is emitted once, before it."""

    class Outer(wiring.Component):
        def __init__(self):
            super().__init__({"x": In(8), "y": Out(8)})

        def elaborate(self, platform):
            m = Module()
            m.submodules.inner = parent = Shared(child := _Adder(1), "adder", 1)
            assert isinstance(parent, Shared)
            m.d.comb += [child.x.as_value().eq(self.x), self.y.eq(child.y)]
            return m

    class Top(wiring.Component):
        def __init__(self):
            super().__init__({"x": In(8), "y": Out(8)})

        def elaborate(self, platform):
            m = Module()
            value = self.x
            for n in range(2):
                outer = Outer()
                m.submodules[f"outer_{n}"] = Shared(outer, "outer", None)
                m.d.comb += outer.x.eq(value)
                value = Signal.like(outer.y)
                m.d.comb += value.eq(outer.y)
            m.d.comb += self.y.eq(value)
            return m

    text, library = _convert(Top())
    assert list(library.modules) == ["adder", "outer"]
    assert sorted(_modules(text)) == ["adder", "outer", "top"]
