"""Names and signs in generated Verilog: what Yosys writes, as people and every tool read it."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["plain_names", "readable"]

_ODD = re.compile(r"\\\w*[^\w\s\\\"]\S*")
# A wire of no width, which Verilog does not have, and what connects it.
_EMPTY = re.compile(r"(?:^ *attribute .*\n)*^ *wire width 0 .*\n|^ {0,2}connect \S+ \{ *\}\n", re.M)
_TEMPORARY = re.compile(r"\b_\d+_\b")
_SIGNED = re.compile(r"\$signed\(([^()]*)\)")
_DECLARED = re.compile(r"^  (?:wire|reg) (?:\[(\d+):0\] )?(\w+)(?: = [^;]*)?;", re.M)
_MODULE = re.compile(r"^module .*?^endmodule$", re.M | re.S)
# What takes a value: the left side of an assignment, or the port of an instance.
_ASSIGNED = re.compile(r"^ +(?:assign )?([^=]*?) (<?=) (.*);$")
_INSTANCE = re.compile(r"^  \w+ (\w+) \($")
_PORT = re.compile(r"^    \.(\w+)\((.*)\),?$")
_ENABLE = re.compile(r"^ +if \((.*)\)(?: begin)?$")


def plain_names(rtlil: str) -> str:
    """Write names in RTLIL with letters, digits and underscores only, and no wire as signed.

    Amaranth keeps the fields of a packed signal as wires ``signal.field`` and ``signal[0]``. Yosys
    reads a signed wire as signed even in an operation that is not; so operations alone say it.
    """
    text = re.sub(r"^(  wire .*?) signed (?=.*\\)", r"\1 ", _EMPTY.sub("", rtlil), flags=re.M)
    taken = set(re.findall(r"\\(\w+)(?!\S)", text))
    new: dict[str, str] = {}
    for odd in dict.fromkeys(_ODD.findall(text)):
        name = re.sub(r"\W", "_", odd[1:].replace(".", "__").replace("]", ""))
        while name in taken:
            name += "_"
        taken.add(name)
        new[odd] = "\\" + name
    return _ODD.sub(lambda found: new[found[0]], text)


def readable(verilog: str) -> str:
    """Name Yosys' temporaries after what they are for, and signed operands instead of casting them.

    A temporary ``_012_`` is called after the first signal, register or port that it goes into, so
    that a change at one place of a module renames nothing elsewhere.
    """
    return _MODULE.sub(lambda module: _signed(_named(module[0])), verilog)


def _target(left: str) -> str:
    """First name on the left of an assignment that is more than a temporary, if there is one."""
    names = re.findall(r"\b[A-Za-z_]\w*", left)
    named: list[str] = [name for name in names if not _TEMPORARY.fullmatch(name)]
    return (named or names)[0]


def _sinks(lines: list[str]) -> dict[str, str]:
    """Say what each temporary goes into first: another, or what it is to be called after."""
    sinks: dict[str, str] = {}
    instance, enables = "", []
    for line in lines:
        if found := _INSTANCE.match(line):
            instance = found[1]
        elif found := _PORT.match(line):
            for name in _TEMPORARY.findall(found[2]):
                sinks.setdefault(name, f"{instance}__{found[1]}")
        elif found := _ENABLE.match(line):
            enables = _TEMPORARY.findall(found[1])
        elif found := _ASSIGNED.match(line):
            target = _target(found[1])
            is_named = not _TEMPORARY.fullmatch(target)
            is_next = is_named and found[2] == "<="
            for name in _TEMPORARY.findall(found[3]):
                sinks.setdefault(name, f"{target}__next" if is_next else target)
            for name in enables:
                sinks.setdefault(name, f"{target}__enable" if is_named else target)
            enables = []
    return sinks


def _named(module: str) -> str:
    sinks = _sinks(module.split("\n"))
    registers = set(re.findall(r"^  reg .*?(_\d+_);", module, re.M))
    bases: dict[str, tuple[int, str]] = {}
    for name in dict.fromkeys(_TEMPORARY.findall(module)):
        # Registers may go round in circles.
        passed, base = {name}, sinks.get(name, "unused")
        while base in sinks and base not in passed:
            passed.add(base)
            base = sinks[base]
        if _TEMPORARY.fullmatch(base):
            base = "unused"
        bases[name] = len(passed), base + "__register" * (name in registers)
    taken = set(re.findall(r"\w+", module))
    new: dict[str, str] = {}
    last: Counter[str] = Counter()
    # What is nearest to its target has the lowest number.
    for name, (_, base) in sorted(bases.items(), key=lambda item: item[1][0]):
        free = base
        while free in taken:
            last[base] += 1
            free = f"{base}__{last[base]}"
        taken.add(free)
        new[name] = free
    return _TEMPORARY.sub(lambda found: new[found[0]], module)


def _width(value: str, widths: dict[str, int]) -> int:
    """Bits of a name, a part of one, a constant, or several of them in braces."""
    total = 0
    for item in value.strip("{ }").split(", "):
        found = re.fullmatch(r"(\w+)(?:\[(\d+)(?::(\d+))?\]|'\w+)?", item)
        if found is None:
            raise ValueError(f"operand must be names and constants, not {value!r}")
        name, high, low = found.groups()
        if high is not None:
            total += int(high) - int(low or high) + 1
        else:
            total += int(name) if name.isdecimal() else widths[name]
    return total


def _signed(module: str) -> str:
    widths = {name: int(high or 0) + 1 for high, name in _DECLARED.findall(module)}
    names: dict[str, str] = {}
    lines = []
    for line in module.split("\n"):
        for value in dict.fromkeys(_SIGNED.findall(line)):
            if "'" in value and "{" not in value:
                names[value] = value.replace("'", "'s")
            elif value not in names:
                target = _ASSIGNED.match(line)
                base = value if value in widths or target is None else _target(target[1])
                name = f"{base}__signed"
                while name in widths:
                    name += "_"
                width = _width(value, widths)
                widths[name] = width
                names[value] = name
                lines.append(f"  wire signed [{width - 1}:0] {name} = {value};")
        lines.append(_SIGNED.sub(lambda found: names[found[1]], line))
    return "\n".join(lines)
