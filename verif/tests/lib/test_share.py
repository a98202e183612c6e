# amaranth: UnusedElaboratable=no
"""Modules: named after their place, with their signature's ports, shared where equal."""

from __future__ import annotations

import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from amxfp4.gen.netlist import to_verilog
from amxfp4.params.array import WIDEST
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
    library.convert(parent, "top")
    return to_verilog(library.modules.values()), library


def _modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+)", text, re.M)


def _instances(text: str) -> list[str]:
    return re.findall(r"^  top_(\w+) child_\d \(", text, re.M)


def test_equal_keys_share():
    """Five equal components are one module with five instances."""
    text, library = _convert(_Parent([(_Adder, 3, "adder")] * 5))
    assert sorted(_modules(text)) == ["top", "top_adder"]
    assert _instances(text) == ["adder"] * 5
    assert list(library.modules) == ["top_adder", "top"]


@pytest.mark.parametrize("second", [(_Adder, 4, "other"), (_Other, 3, "other")])
def test_different_hardware_does_not_share(second):
    """Components of another key, or of another class, are modules of their own."""
    text, _ = _convert(_Parent([(_Adder, 3, "adder"), second, (_Adder, 3, "adder")]))
    assert sorted(_modules(text)) == ["top", "top_adder", "top_other"]
    assert _instances(text) == ["adder", "other", "adder"]


def test_two_modules_of_one_name():
    """Different hardware under one name in one parent is an error."""
    with pytest.raises(RuntimeError, match=r"must have a name of its own, not share 'top_adder'"):
        _convert(_Parent([(_Adder, 3, "adder"), (_Adder, 4, "adder")]))


@pytest.mark.parametrize("clocked", [False, True])
def test_ports_are_the_signature(clocked):
    """A module has its signature's ports, used or not, and clock and reset if it is clocked."""
    text, _ = _convert(_Parent([(_Adder, 3, "adder")], clocked=clocked))
    body = re.search(r"^module top_adder\(.*?^endmodule", text, re.M | re.S)[0]
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
    instances = re.findall(r"^  top_adder \w+ \((.*?)\);", text, re.M | re.S)
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
                value = Signal(8, name=f"value_{n}")
                m.d.comb += value.eq(outer.y)
            m.d.comb += self.y.eq(value)
            return m

    text, library = _convert(Top())
    assert list(library.modules) == ["top_outer_adder", "top_outer", "top"]
    assert sorted(_modules(text)) == ["top", "top_outer", "top_outer_adder"]


class _Whole(wiring.Component):
    """A component and a memory, neither wrapped; `fault` spoils a name."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        super().__init__({"x": In(8), "y": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules["y" if self.fault == "port" else "inner"] = inner = _Adder(1)
        m.submodules.store = store = Memory(shape=8, depth=4, init=[])
        write = store.write_port()
        read = store.read_port()
        m.d.comb += [
            inner.x.as_value().eq(self.x), write.addr.eq(self.x), write.en.eq(1),
            write.data.eq(inner.y), read.addr.eq(self.x),
        ]  # fmt: skip
        total = Signal(8, name="y" if self.fault == "twice" else None)
        if self.fault == "none":
            total, _ = Signal(8), 0
        m.d.comb += [total.eq(read.data + inner.y), self.y.eq(total)]
        return m


def test_wires_are_called_after_instance_and_port():
    """A component is a module named after its place; wires to it and to a memory say whose."""
    text, _ = _convert(_Whole())
    assert sorted(_modules(text)) == ["top", "top_inner"]
    assert re.search(r"^  top_inner inner \(\n    \.unused\(2'h0\),\n    \.x\(x\),", text, re.M)
    assert re.search(r"^    store\[x\[1:0\]\] <= inner__y;", text, re.M)
    assert re.search(r"^ +store__read__data__register <= store\[x\[1:0\]\];", text, re.M)


@pytest.mark.parametrize(("fault", "name"), [("twice", r"y\$\d+"), ("none", r"\$signal")])
def test_everything_has_a_name(fault, name):
    """Two signals of one name, or a signal without one, are an error and no numbers."""
    with pytest.raises(RuntimeError, match=rf"^everything in top must have a .*not \['{name}'\]"):
        _convert(_Whole(fault))


def test_no_port_is_named_as_its_instance():
    """Verilator, rightly, does not let a port hide the instance that it belongs to."""
    with pytest.raises(RuntimeError, match=r"^no port must be named as its instance, 'y' in top$"):
        _convert(_Whole("port"))


class _Wide(wiring.Component):
    """A port, and nothing behind it."""

    def __init__(self, width: int) -> None:
        super().__init__({"o": Out(width)})

    def elaborate(self, platform):
        return Module()


def test_widest_port():
    """What configurations allow is what Amaranth and Yosys take; a bit more is refused there."""
    assert f"[{WIDEST - 1}:0] o" in _convert(_Wide(WIDEST))[0]
    with pytest.raises(OverflowError, match=f"{WIDEST + 1} bits wide"):
        _convert(_Wide(WIDEST + 1))
