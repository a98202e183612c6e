"""Edits of the RTL's source in memory: one that replaces it, or many of which each can be woken.

An edit is found again in the syntax tree: where the two programs differ, ``choose(number, new,
old)`` takes the place of the expression, and is hardware that selects.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeGuard

import pytest
from amaranth.hdl import C, Mux, Value, ValueCastable
from amaranth.hdl._ast import AnyConst

from amxfp4.gen import verilog
from amxfp4.params.config import UnitConfig
from amxfp4.verif.sim.sources import Source

__all__ = ["Edit", "bug", "generate"]

Edit = tuple[str, str, str]
"""Module below ``amxfp4.rtl``, text that stands in it once, and what stands there in the mutant."""

# What Yosys writes for `AnyConst`, a value from outside: here the number of the fault awake.
_OUTSIDE = re.compile(r"\\\$anyconst  #\(\s*\.WIDTH\(32'd8\)\s*\) \S+ \(\s*\.Y\((.*?)\)\s*\);")
# Calls of Amaranth that are statements.
_STATEMENTS = {
    "append",
    "eq",
    "If",
    "Elif",
    "While",
    "Switch",
    "Case",
    "assign_exact",
    "assign_low",
}


def _module(name: str) -> tuple[ModuleType, str]:
    module = importlib.import_module(f"amxfp4.rtl.{name}")
    assert module.__file__ is not None
    return module, Path(module.__file__).read_text()


def _edited(module: str, text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"{module} must have {old!r} once, not {text.count(old)} times")
    return text.replace(old, new)


def _run(
    monkeypatch: pytest.MonkeyPatch, right: ModuleType, code: CodeType, **names: Any
) -> dict[str, Any]:
    """Run the program of a module, and put its classes in the place of the right ones."""
    names |= {"__name__": right.__name__, "__file__": right.__file__}
    exec(code, names)
    users = [m for n, m in list(sys.modules.items()) if n.startswith(("amxfp4.rtl", "amxfp4.gen"))]
    for name in right.__all__:
        original = getattr(right, name)
        for user in users:
            if getattr(user, name, None) is original:
                monkeypatch.setattr(user, name, names[name])
    return names


def bug(monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str) -> None:
    """Replace `old`, which must stand in a module of the RTL once, wherever its classes went."""
    right, text = _module(module)
    _run(monkeypatch, right, compile(_edited(module, text, old, new), str(right.__file__), "exec"))


def choose(number: int, new: Any, old: Any) -> Any:
    """Hardware that is `new` while the fault `number` is awake, else `old`; of the shape of `old`.

    Raises
    ------
    TypeError
        They are no hardware, so that nothing can choose while it runs.
    """
    if isinstance(old, list | tuple) and len(old) == len(new):
        return type(old)(choose(number, *pair) for pair in zip(new, old, strict=True))
    if isinstance(old, int):
        return Mux(AnyConst(8) == number, new, old)
    if not isinstance(old, Value | ValueCastable):
        raise TypeError(f"hardware must be chosen from, not {new!r} and {old!r}")
    usual = Value.cast(old)
    chosen = Mux(AnyConst(8) == number, Value.cast(new), usual)[: len(usual)]
    if usual.shape().signed:
        return chosen.as_signed()
    return chosen if isinstance(old, Value) else old.shape()(chosen)


def _difference(old: ast.AST, new: ast.AST) -> list[tuple[Any, Any]]:
    """Pairs of nodes that differ, from the outermost one to the innermost one that has it all."""
    path = [(old, new)]
    while type(old) is type(new):
        differing = []
        for field in old._fields:
            ours, theirs = getattr(old, field), getattr(new, field)
            pairs = [(ours, theirs)]
            if isinstance(ours, list) and len(ours) == len(theirs):
                pairs = list(zip(ours, theirs, strict=True))
            differing += [pair for pair in pairs if _dump(pair[0]) != _dump(pair[1])]
        if len(differing) != 1 or not isinstance(differing[0][0], ast.AST):
            break
        old, new = differing[0]
        path.append((old, new))
    return path


def _dump(node: Any) -> str:
    if isinstance(node, list):
        return repr([_dump(part) for part in node])
    return ast.dump(node) if isinstance(node, ast.AST) else repr(node)


def _is_hardware(node: ast.AST) -> TypeGuard[ast.expr]:
    """Tell whether an expression can be a value; it is hardware if its parts are."""
    if isinstance(node, ast.Call):
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        return name not in _STATEMENTS
    return isinstance(node, ast.expr) and not isinstance(node, ast.Slice | ast.Starred)


class _Chooser(ast.NodeTransformer):
    """Puts calls of `choose` around expressions, by their identity; inner ones first."""

    def __init__(self, edits: Mapping[int, list[tuple[int, ast.expr]]]) -> None:
        self._edits = edits

    def visit(self, node: ast.AST) -> Any:
        result: Any = self.generic_visit(node)
        for number, new in self._edits.get(id(node), ()):
            name = ast.Name("choose", ast.Load())
            result = ast.Call(name, [ast.Constant(number), new, result], [])
        return result


def _with_choices(module: str, text: str, edits: Mapping[int, tuple[str, str]]) -> ast.Module:
    """Program of a module with a choice for every edit.

    What is chosen is the outermost expression that stands in the text of the edit, or, if it does
    not hold all of one, the innermost expression that differs.
    """
    tree = ast.parse(text)
    lines = [0]
    for line in text.encode().splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    chosen: dict[int, list[tuple[int, Any]]] = {}
    for number, (old, new) in edits.items():
        begin = len(text[: text.index(old)].encode()) if old in text else 0
        end = begin + len(old.encode())

        def stands_inside(node: ast.expr, begin: int = begin, end: int = end) -> bool:
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            last = lines[node.end_lineno - 1] + node.end_col_offset
            return begin <= lines[node.lineno - 1] + node.col_offset and last <= end

        path = _difference(tree, ast.parse(_edited(module, text, old, new)))
        pairs = [(ours, theirs) for ours, theirs in path if _is_hardware(ours)]
        inside = [pair for pair in pairs if stands_inside(pair[0])]
        if not pairs:
            raise ValueError(f"{module}: {old!r} must be in an expression")
        ours, theirs = (inside or pairs[-1:])[0]
        chosen.setdefault(id(ours), []).append((number, theirs))
    result = _Chooser(chosen).visit(tree)
    assert isinstance(result, ast.Module)
    return ast.fix_missing_locations(result)


def generate(config: UnitConfig, edits: Mapping[int, Edit]) -> Source:
    """Verilog of a unit in which the edit `number` is made where ``UNIT.bug`` is that number.

    The text does not declare ``bug``.

    Raises
    ------
    ValueError
        The text of an edit is not there once, or it does not change one expression.
    TypeError
        What it changes is no hardware.
    """
    modules: dict[str, dict[int, tuple[str, str]]] = {}
    for number, (module, old, new) in edits.items():
        modules.setdefault(module, {})[number] = (old, new)
    with pytest.MonkeyPatch.context() as patch:
        spaces: list[dict[str, Any]] = []
        for module, changes in modules.items():
            right, text = _module(module)
            before = {name: getattr(right, name) for name in right.__all__}
            code = compile(_with_choices(module, text, changes), str(right.__file__), "exec")
            fresh = _run(patch, right, code, choose=choose, C=C)
            for space, (name, original) in itertools.product(spaces, before.items()):
                if space.get(name) is original:
                    space[name] = fresh[name]
            spaces.append(fresh)
        made = verilog.generate(config)
    unit = made.manifest["unit"]
    return Source(_OUTSIDE.sub(rf"assign \1 = 8'({unit}.bug);", made.text), made.manifest)
