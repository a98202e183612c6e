"""Components as modules of the Verilog: named after their place, with their signature's ports.

Amaranth emits one module per instance, with those ports that happen to be used, and tells equal
names apart by numbers. Here every component below the top becomes a module of its own with exactly
the ports of its signature, and a wire to a port is called ``INSTANCE__PORT``. A component wrapped
in `Shared` is emitted once for every set of parameters: the text of a design grows with its kinds,
not its copies. In Amaranth's simulator the wrapper is the component itself.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Hashable
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import (
    ClockSignal,
    Elaboratable,
    Fragment,
    Instance,
    ResetInserter,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

__all__ = ["ModuleLibrary", "Shared", "ports"]

# A name that Amaranth made up, or made different from another one.
_UNNAMED = re.compile(r"^ +(?:wire|cell|memory) .*\\(\S*\$\S*)$", re.M)


class Shared(Elaboratable):
    """Stands for a component in a parent's submodules.

    Parameters
    ----------
    component
        The component; the parent connects to its ports as ever.
    name
        What the component is called within the module of its parent.
    key
        What, beside its class, makes the component what it is: two components of one class with
        equal keys must be the same hardware.
    reset
        Resets the component, and all inside it, besides the parent's own reset. (Amaranth's
        ResetInserter ends where an instance begins.)
    """

    def __init__(
        self,
        component: wiring.Component,
        name: str,
        key: Hashable,
        reset: Value | None = None,
    ) -> None:
        self.component, self.name, self.key, self.reset = component, name, key, reset

    def elaborate(self, platform):
        if isinstance(platform, ModuleLibrary):
            return Fragment()  # an instance replaces it
        return self.component if self.reset is None else ResetInserter(self.reset)(self.component)


def ports(component: Any) -> dict[str, tuple[wiring.Flow, Value]]:
    """Ports that a component, or an interface, has in the Verilog, by name.

    The parts of a name are joined by two underscores, or by what the component says.
    """
    # Verilog has no port of no width.
    return {name: port for name, port in _members(component).items() if len(port[1])}


def _members(component: Any) -> dict[str, tuple[wiring.Flow, Value]]:
    separator = getattr(component, "port_separator", "__")
    return {
        separator.join(map(str, path)): (member.flow, Value.cast(value))
        for path, member, value in component.signature.flatten(component)
    }


class _Elaborated(Elaboratable):
    """A component that has been elaborated already, with flat ports."""

    def __init__(self, component: wiring.Component, fragment: Fragment) -> None:
        self._fragment, self._ports = fragment, ports(component)
        self.signature = wiring.Signature(
            {
                name: wiring.Member(flow, value.shape())
                for name, (flow, value) in self._ports.items()
            }
        )

    def __getattr__(self, name: str) -> Value:
        return self._ports[name][1]

    def elaborate(self, platform):
        return self._fragment


def _name_wires(interface: Any, prefix: str) -> None:
    """Call the wires to the ports of an interface after it, in the module that connects to it."""
    # Those of no width too, which their parent may connect.
    for name, (_, wire) in _members(interface).items():
        if isinstance(wire, Signal):  # what is always 1 is none
            wire.name = f"{prefix}__{name}"


class ModuleLibrary:
    """The modules a design is made of; passed to `elaborate` as the platform.

    Attributes
    ----------
    modules
        RTLIL text of every module by name, children before parents.
    """

    def __init__(self) -> None:
        self.modules: dict[str, str] = {}
        self._names: dict[Hashable, str] = {}

    def convert(self, component: wiring.Component, name: str) -> None:
        """Add `component`, as the module `name`, and everything inside it.

        Raises
        ------
        RuntimeError
            Two modules have one name, a port has that of its instance, or something has none that
            Verilog can have.
        """
        # Next to nothing becomes garbage here, and the collector would take a quarter of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._convert(component, Fragment.get(component, self), name)
        finally:
            if collecting:
                gc.enable()

    def _convert(self, component: wiring.Component, fragment: Fragment, name: str) -> None:
        fragment.subfragments = [
            (self._placed(child, name, child_name), child_name, source)
            for child, child_name, source in fragment.subfragments
        ]
        whole = _Elaborated(component, fragment)
        text = rtlil.convert(whole, name=name, emit_src=False)
        if name in self.modules:
            raise RuntimeError(f"every module must have a name of its own, not share {name!r}")
        if unnamed := _UNNAMED.findall(text):
            raise RuntimeError(f"everything in {name} must have a name of its own, not {unnamed}")
        self.modules[name] = text

    def _placed(self, fragment: Fragment, parent: str, name: str) -> Fragment:
        """Instance of what a part of a module was made from, converted if it is not there yet."""
        if not fragment.origins:
            return fragment  # an instance of something else
        made_from = fragment.origins[0]
        if isinstance(made_from, Memory):
            for kind, used in (("read", made_from.read_ports), ("write", made_from.write_ports)):
                for port in used:
                    _name_wires(port, f"{name}__{kind}")
            return fragment
        if isinstance(made_from, Shared):
            component, reset = made_from.component, made_from.reset
            key = (type(component), made_from.key)
            if key not in self._names:
                self._names[key] = f"{parent}_{made_from.name}"
                self.convert(component, self._names[key])
            module = self._names[key]
        else:
            component, reset, module = made_from, None, f"{parent}_{name}"
            self._convert(component, fragment, module)
        if name in ports(component):
            raise RuntimeError(f"no port must be named as its instance, {name!r} in {parent}")
        _name_wires(component, name)
        return self._instance(component, module, reset)

    def _instance(self, component: wiring.Component, module: str, reset: Value | None) -> Instance:
        wires: dict[str, Value] = {
            f"{'i' if flow is wiring.In else 'o'}_{name}": value
            for name, (flow, value) in ports(component).items()
        }
        whole_reset = ResetSignal() if reset is None else ResetSignal() | reset
        for wire, signal in (("clk", ClockSignal()), ("rst", whole_reset)):
            if re.search(rf"^  wire width 1 input \d+ +\\{wire}$", self.modules[module], re.M):
                wires[f"i_{wire}"] = signal
        return Instance(module, **wires)
