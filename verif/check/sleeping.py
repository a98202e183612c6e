"""Planted bugs that sleep in one text until a run wakes one: a unit is built once for all of them.

A bug is an edit of the RTL's source. In what it puts there, ``{bug}`` is a signal that is 1 while
the bug is awake; asleep, the unit is the right one.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from amaranth.hdl import Instance, Module, Mux, Signal

from amxfp4.params.config import UnitConfig
from amxfp4.util.files import digest, write
from amxfp4.verif.sim import build, sources
from amxfp4.verif.sim.sources import Source

__all__ = ["Bugs", "argument", "plant"]

Bugs = Mapping[str, tuple[str, str, str]]
"""By what is wrong: module below `amxfp4.rtl`, text that stands there once, what to put instead."""

_Texts = dict[str, tuple[str, str]]
"""Path and text of modules, by name."""
_MODULE = """
module sleeping_bug #(parameter [31:0] NUMBER = 0) (output awake);
  reg [31:0] bug;
  initial if ($value$plusargs("bug=%d", bug) == 0) bug = 0;
  assign awake = bug == NUMBER;
endmodule
"""
_RELOADED = ("amxfp4.rtl", "amxfp4.gen")
_SIGNALS: WeakKeyDictionary[Module, dict[int, Signal]] = WeakKeyDictionary()


def awake(m: Module, number: int) -> Signal:
    """Make a signal that is 1 while a bug is awake; for edited sources."""
    signals = _SIGNALS.setdefault(m, {})
    if number not in signals:
        signals[number] = signal = Signal(name=f"bug_{number}")
        instance = Instance("sleeping_bug", p_NUMBER=number, o_awake=signal)
        m.submodules[f"sleeping_bug_{number}"] = instance
    return signals[number]


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports modules from texts."""

    def __init__(self, texts: _Texts) -> None:
        self._texts = texts

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        return importlib.machinery.ModuleSpec(name, self) if name in self._texts else None

    def exec_module(self, module: Any) -> None:
        path, text = self._texts[module.__name__]
        vars(module).update(_awake=awake, Mux=Mux)
        # Under its own name: Amaranth looks for settings at the head of the file.
        exec(compile(text, path, "exec"), vars(module))


@contextmanager
def _edited(texts: _Texts) -> Iterator[Any]:
    """Import the generator anew, with some modules from texts; afterwards all is as before."""
    import amxfp4

    def mine() -> dict[str, Any]:
        return {n: m for n, m in sys.modules.items() if n.startswith(_RELOADED)}

    importlib.import_module("amxfp4.gen.verilog")
    before, finder = mine(), _Finder(texts)
    for name in before:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module("amxfp4.gen.verilog")
    finally:
        sys.meta_path.remove(finder)
        for name in mine():
            del sys.modules[name]
        sys.modules |= before
        for name in _RELOADED:
            setattr(amxfp4, name.rpartition(".")[2], before[name])


def _texts(bugs: Bugs) -> _Texts:
    texts: _Texts = {}
    for number, (name, (module, old, new)) in enumerate(bugs.items(), 1):
        module = f"amxfp4.rtl.{module}"
        if module not in texts:
            found = importlib.util.find_spec(module)
            assert found is not None
            assert found.origin is not None
            texts[module] = (found.origin, Path(found.origin).read_text())
        path, text = texts[module]
        if text.count(old) != 1:
            count = text.count(old)
            raise ValueError(f"{name}: {module} must have {old!r} once, not {count} times")
        texts[module] = (path, text.replace(old, new.format(bug=f"_awake(m, {number})")))
    return texts


def plant(config: UnitConfig, bugs: Bugs, cache: Path = build.CACHE) -> Source:
    """Generate a unit in which bugs sleep; `argument` says how to wake one.

    Raises
    ------
    ValueError
        An edit does not find what it replaces.
    """
    texts = _texts(bugs)
    edited = (text for _, text in texts.values())
    key = digest(sources._generator_key(), Path(__file__).read_text(), *edited)
    file = cache / "verilog-cache" / f"{config.unit}-{config.digest}-{key}-bugs.json"
    if not file.is_file():
        with _edited(texts) as verilog:
            made = verilog.generate(config)
        text = made.text + _MODULE
        write(file, json.dumps({"text": text, "manifest": made.manifest}))
    kept = json.loads(file.read_text())
    return Source(kept["text"], kept["manifest"])


def argument(bugs: Bugs, name: str) -> str:
    """Plusarg of a simulation that wakes a bug."""
    return f"+bug={list(bugs).index(name) + 1}"
