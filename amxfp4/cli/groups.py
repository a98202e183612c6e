"""Commands and groups of commands as Typer makes them, with this project's help and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["Command", "group"]


class Command(TyperCommand):
    """A command; its help lists options under the headings they were given."""

    def _arguments(self, ctx: Any) -> list[Any]:
        return [p for p in self.get_params(ctx) if p.param_type_name == "argument"]

    def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Names and meanings of arguments and options, by heading."""
        found = {"Arguments": [(a.metavar, a.help) for a in self._arguments(ctx)]}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and parameter.param_type_name == "option":
                heading = getattr(parameter, "rich_help_panel", None) or "Options"
                found.setdefault(heading, []).append(record)
        return {heading: records for heading, records in found.items() if records}

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: D102 (inherited)
        names = [a.metavar if a.required else f"[{a.metavar}]" for a in self._arguments(ctx)]
        return [*names, "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: D102 (inherited)
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
