"""Liberty files as nested groups of attributes, without meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["Group", "groups", "words"]

_NOISE = re.compile(r"/\*.*?\*/|//[^\n]*|\\\r?\n", re.S)
# One statement: the end of a group, `name : value;`, or `name (arguments)` with `;` or a body.
_STATEMENT = re.compile(
    r"""\s*(?:(?P<close>\})|;|(?P<name>[\w]+)\s*(?:
        :\s*(?P<value>"[^"]*"|[^;\n}]*)
        | \((?P<arguments>(?:"[^"]*"|[^")])*)\)\s*(?P<body>\{)?
    ))""",
    re.X,
)


@dataclass
class Group:
    """One group of a Liberty file: ``kind (names) { values and groups }``."""

    kind: str
    names: list[str]
    attributes: list[tuple[str, str]] = field(default_factory=list)
    """Names and text, in order; of those written ``name (arguments)`` without the parentheses."""
    groups: list[Group] = field(default_factory=list)

    @cached_property
    def values(self) -> dict[str, str]:
        """Attributes by name, the last of those that are repeated."""
        return dict(self.attributes)

    def of(self, kind: str) -> list[Group]:
        """Find the groups of one kind directly below."""
        return [group for group in self.groups if group.kind == kind]


def words(text: str) -> list[str]:
    """Words and numbers of an attribute's text, without quotes and commas."""
    return [word for word in re.split(r"[\s,\"]+", text) if word]


def groups(text: str) -> Group:
    """Read a Liberty file as its ``library`` group.

    Raises
    ------
    ValueError
        The text is not of that form.
    """
    text = _NOISE.sub(" ", text)
    root = Group("", [])
    stack, position = [root], 0
    while found := _STATEMENT.match(text, position):
        position = found.end()
        if found["close"]:
            if len(stack) == 1:
                raise ValueError("a Liberty file must close what it opened, not more")
            stack.pop()
        elif found["body"]:
            group = Group(found["name"], words(found["arguments"]))
            stack[-1].groups.append(group)
            stack.append(group)
        elif found["name"]:
            value = found["value"] if found["arguments"] is None else found["arguments"]
            stack[-1].attributes.append((found["name"], value.strip().strip('"')))
    rest = text[position:].strip()
    if rest or len(stack) != 1 or len(root.groups) != 1 or root.groups[0].kind != "library":
        line = text[:position].count("\n") + 1
        raise ValueError(f"a Liberty file must be one library group, not so near line {line}")
    return root.groups[0]
