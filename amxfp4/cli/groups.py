"""Commands and groups of commands as Typer makes them, with this project's help and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["Command", "group"]


class Command(TyperCommand):
    """A command; its help lists options under the headings they were given."""

    def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Names and meanings of arguments and options, by heading."""
        found: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            if parameter.param_type_name == "argument":
                found["Arguments"].append((parameter.metavar, parameter.help))
            elif record := parameter.get_help_record(ctx):
                heading = getattr(parameter, "rich_help_panel", None) or "Options"
                found.setdefault(heading, []).append(record)
        return {heading: records for heading, records in found.items() if records}

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return [*(p.metavar if p.required else f"[{p.metavar}]" for p in arguments), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for heading, records in self.sections(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)


class _Group(TyperGroup):
    """A group; its command may stand anywhere among the options."""

    word: ClassVar[str]
    aliases: ClassVar[Mapping[str, tuple[str, ...]]]
    default: ClassVar[str | None]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [f"{self.word} [OPTIONS]" if self.default is None else f"[{self.word}] [OPTIONS]"]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if not (args and args[0] in own):
            args = self._command_first(args, complete=ctx.resilient_parsing)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise ValueError(f"{self.word} must be one of {self._names()}, not {args[0]!r}")
        return super().resolve_command(ctx, args)

    def _command_first(self, args: list[str], *, complete: bool) -> list[str]:
        """Move the command in front of its options, in its present spelling."""
        taking_value = {
            name
            for command in self.commands.values()
            for option in command.params
            if not getattr(option, "is_flag", False)
            for name in option.opts
        }
        position = 0
        while position < len(args) and args[position].startswith("-"):
            position += 2 if args[position] in taking_value else 1
        if position < len(args):
            word, rest = args[position], [*args[:position], *args[position + 1 :]]
            return [*self.aliases.get(word, (word,)), *rest]
        if self.default is not None:
            return [self.default, *args]
        if complete or self.word == "COMMAND":
            return args or ([] if complete else ["--help"])
        raise ValueError(f"{self.word} is missing: it must be one of {self._names()}")

    def _names(self) -> str:
        return ", ".join(name for name, command in self.commands.items() if not command.hidden)


def group(
    text: str,
    *,
    word: str = "COMMAND",
    aliases: Mapping[str, tuple[str, ...]] | None = None,
    default: str | None = None,
    **settings: Any,
) -> typer.Typer:
    """Make a group of commands.

    Parameters
    ----------
    text
        Its help.
    word
        What usage and messages call a command of it.
    aliases
        Words that stand for others: old spellings.
    default
        The command where none is given.
    """
    own = {"word": word, "aliases": aliases or {}, "default": default}
    return typer.Typer(
        cls=type("Group", (_Group,), own),
        help=text,
        # Plain help reads the same in a terminal, a file and a CI log.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **settings,
    )
