"""Boolean functions as Liberty files write them.

A function becomes a tree of tuples ``("&", a, b)``, ``("|", a, b)``, ``("^", a, b)``, ``("~", a)``,
pin names and the constants ``"0"`` and ``"1"``. From the tree come Verilog and values.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["evaluate", "names", "parse", "verilog"]

Tree = Any
"""A name, a constant, or a tuple of an operator and one or two trees."""

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[01]|[!'^*&+|()])")
_OPERATORS = {"^": "^", "*": "&", "&": "&", "+": "|", "|": "|"}


@functools.cache
def parse(text: str) -> Tree:
    """Read a function, e.g. ``!(A * B) + C'``.

    ``!`` and ``'`` bind closest, then ``^``, then ``*``, ``&`` and mere juxtaposition, then ``+``
    and ``|``.

    Raises
    ------
    ValueError
        `text` is not a function.
    """
    tokens = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        found = _TOKEN.match(stripped, position)
        if found is None:
            raise ValueError(f"function must be of names and operators, not {text!r}")
        tokens.append(found[1])
        position = found.end()
    reader = _Reader(tokens)
    try:
        tree = reader.sum()
    except IndexError:
        tree = None
    if tree is None or reader.tokens:
        raise ValueError(f"function must be a Boolean expression, not {text!r}")
    return tree


class _Reader:
    """Recursive descent, one method a level of precedence."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens[::-1]

    def _next(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def _chain(self, operator: str, level: Any) -> Tree:
        tree = level()
        while _OPERATORS.get(self._next()) == operator:
            self.tokens.pop()
            tree = (operator, tree, level())
        return tree

    def sum(self) -> Tree:
        return self._chain("|", self.product)

    def product(self) -> Tree:
        tree = self.difference()
        while self._next() not in ("", "+", "|", ")"):
            if _OPERATORS.get(self._next()) == "&":
                self.tokens.pop()
            tree = ("&", tree, self.difference())
        return tree

    def difference(self) -> Tree:
        return self._chain("^", self.factor)

    def factor(self) -> Tree:
        token = self.tokens.pop()
        if token == "!":
            tree: Tree = ("~", self.factor())
        elif token == "(":
            tree = self.sum()
            if self.tokens.pop() != ")":
                raise IndexError
        elif token[0].isalnum() or token[0] == "_":
            tree = token
        else:
            raise IndexError
        while self._next() == "'":
            self.tokens.pop()
            tree = ("~", tree)
        return tree


def _leaves(tree: Tree) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    else:
        for part in tree[1:]:
            yield from _leaves(part)


def names(tree: Tree) -> set[str]:
    """Names that the function reads."""
    return set(_leaves(tree)) - {"0", "1"}


def verilog(tree: Tree) -> str:
    """Verilog expression of one bit."""
    if tree in ("0", "1"):
        return f"1'b{tree}"
    if isinstance(tree, str):
        return tree
    parts = [verilog(part) for part in tree[1:]]
    return f"(~{parts[0]})" if len(parts) == 1 else f"({parts[0]} {tree[0]} {parts[1]})"


def evaluate(tree: Tree, values: Mapping[str, Any]) -> Any:
    """Value of the function, bit by bit.

    Parameters
    ----------
    tree
        What `parse` returned.
    values
        Integer arrays of one shape by name, ``"0"`` and ``"1"`` among them where constants occur.
    """
    if isinstance(tree, str):
        return values[tree]
    parts = [evaluate(part, values) for part in tree[1:]]
    match tree[0]:
        case "&":
            return parts[0] & parts[1]
        case "|":
            return parts[0] | parts[1]
        case "^":
            return parts[0] ^ parts[1]
    return ~parts[0]
