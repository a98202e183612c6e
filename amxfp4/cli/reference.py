"""The reference of the command line as Markdown, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from amxfp4.params.fields import Parameter, parameters
from amxfp4.params.units import UNITS

__all__ = ["reference"]


def reference() -> str:
    """Write usage, arguments and options of every command, and the options of the units."""
    from amxfp4.cli.app import command

    root = command()
    lines = [*_commands(root, typer.Context(root, info_name="amxfp4")), *_unit_options()]
    return "\n".join(lines)


def _commands(group: Any, context: Any) -> Iterator[str]:
    """Document the commands of a group; a command that units share is documented once."""
    shared = None
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        below = typer.Context(command, info_name=name, parent=context)
        if group.word != "COMMAND":
            text = command.help.replace(name, group.word)
            if text != shared:
                same = group.word in text
                yield from _command(command, below, group.word if same else name, text)
            shared = text
        elif not hasattr(command, "list_commands"):
            yield from _command(command, below, name, command.help)
        else:
            if command.word == "COMMAND":
                yield from (f"### {below.command_path}", "", command.help, "")
            yield from _commands(command, below)


def _command(command: Any, context: Any, name: str, text: str) -> Iterator[str]:
    path = f"{context.parent.command_path} {name}"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield from (f"### {path}", "", "```text", usage, "```", "", text, "")
    for heading, records in command.sections(context).items():
        rows = [(f"`{one}`", meaning) for one, meaning in records if "--help" not in one]
        if heading in UNITS:
            yield from (_options_of(heading, name, [one.split()[0] for one, _ in records]), "")
        elif rows:
            yield from _table((heading, "meaning"), rows)


def _options_of(unit: str, name: str, given: list[str]) -> str:
    """Say which options of a unit a command takes."""
    whose = "the unit" if name == "UNIT" else f"`{unit}`"
    known = [_option(field) for field in parameters(UNITS[unit])]
    missing = ", ".join(f"`{option}`" for option in known if option not in given)
    link = f"[options of {whose}](#options-of-the-units)"
    if len(given) < len(known) / 2:
        return f"{', '.join(f'`{option}`' for option in given)}: {link}."
    return f"And the {link}{f', except {missing}' if missing else ''}."


def _unit_options() -> Iterator[str]:
    units: dict[tuple[str, Parameter], list[str]] = {}
    for unit, config in UNITS.items():
        for field, parameter in parameters(config).items():
            units.setdefault((field, parameter), []).append(f"`{unit}`")
    rows = [
        (f"`{_option(field)}`", p.text, str(p.allowed), p.default, ", ".join(having))
        for (field, p), having in units.items()
    ]
    yield from ("### Options of the units", "")
    yield from _table(("option", "meaning", "values", "default", "units"), rows)


def _option(field: str) -> str:
    return "--" + field.replace("_", "-")


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for cells in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""
