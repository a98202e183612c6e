"""Equal components as one module: the text of a design grows with its kinds, not its copies.

Amaranth emits one module per instance. A component wrapped in `Shared` is emitted once for every
set of parameters, with exactly the ports of its signature, and instantiated wherever it is used.
In Amaranth's simulator the wrapper is the component itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable

from amaranth.back import rtlil
from amaranth.hdl import (
    ClockSignal,
    Elaboratable,
    Instance,
    ResetInserter,
    ResetSignal,
    Value,
)
from amaranth.lib import wiring

__all__ = ["ModuleLibrary", "Shared"]


class ModuleLibrary:
    """The modules a design is made of; passed to `elaborate` as the platform.

    Attributes
    ----------
    modules
        RTLIL text of every shared module, by name, children before parents.
    """

    def __init__(self) -> None:
        self.modules: dict[str, str] = {}
        self._names: dict[Hashable, str] = {}
        self._kinds: Counter[str] = Counter()

    def module(self, component: wiring.Component, name: str, key: Hashable) -> str:
        """Name of the module of `component`, which is converted if it is the first of its `key`."""
        key = (type(component), key)
        if key not in self._names:
            kinds = self._kinds[name]
            self._kinds[name] += 1
            unique = f"{name}__{kinds}" if kinds else name
            self._names[key] = unique
            self.modules[unique] = rtlil.convert(
                component, name=unique, platform=self, emit_src=False
            )
        return self._names[key]


class Shared(Elaboratable):
    """Stands for a component in a parent's submodules.

    Parameters
    ----------
    component
        The component; the parent connects to its ports as ever.
    name
        Name of the module in the Verilog.
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
        self._component, self._name, self._key, self._reset = component, name, key, reset

    def elaborate(self, platform):
        component, reset = self._component, self._reset
        if not isinstance(platform, ModuleLibrary):
            return component if reset is None else ResetInserter(reset)(component)
        name = platform.module(component, self._name, self._key)
        ports: dict[str, object] = {}
        for path, member, value in component.signature.flatten(component):
            prefix = "i" if member.flow == wiring.In else "o"
            ports[f"{prefix}_{'__'.join(map(str, path))}"] = value
        text = platform.modules[name]
        whole_reset = ResetSignal() if reset is None else ResetSignal() | reset
        for wire, signal in (("clk", ClockSignal()), ("rst", whole_reset)):
            if re.search(rf"^  wire width 1 input \d+ +\\{wire}$", text, re.M):
                ports[f"i_{wire}"] = signal
        return Instance(name, **ports)
