"""Commands and groups of commands as Typer makes them, with this project's help and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info, get_group_from_info
from typer.models import CommandInfo, TyperInfo

__all__ = ["App", "group"]

F = TypeVar("F", bound=Callable[..., Any])


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

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        names = [a.metavar if a.required else f"[{a.metavar}]" for a in self._arguments(ctx)]
        return [*names, "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for heading, records in self.sections(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)


class _Group(TyperGroup):
    """A group; its command may stand anywhere among the options, and is made when it is needed."""

    makers: ClassVar[dict[str, Callable[[], Any]]]
    word: ClassVar[str]
    aliases: ClassVar[Mapping[str, tuple[str, ...]]]
    default: ClassVar[str | None]

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.makers)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.makers and cmd_name not in self.commands:
            self.commands[cmd_name] = self.makers[cmd_name]()
        return self.commands.get(cmd_name)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [f"{self.word} [OPTIONS]" if self.default is None else f"[{self.word}] [OPTIONS]"]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if not (args and args[0] in own):
            args = self._command_first(ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args[0] not in self.makers and not ctx.resilient_parsing:
            raise ValueError(f"{self.word} must be one of {self._names(ctx)}, not {args[0]!r}")
        return super().resolve_command(ctx, args)

    def _below(self, ctx: Any) -> dict[str, Any]:
        return {name: self.get_command(ctx, name) for name in self.makers}

    def _command_first(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the command in front of its options, in its present spelling."""
        position = 0
        while position < len(args) and args[position].startswith("-"):
            position += 2 if args[position] in self._taking_value(ctx) else 1
        if position < len(args):
            word, rest = args[position], [*args[:position], *args[position + 1 :]]
            if self.default is None or "." not in word:
                return [*self.aliases.get(word, (word,)), *rest]
        if self.default is not None:  # there is no command, but perhaps a file for the default one
            return [self.default, *args]
        if ctx.resilient_parsing or (args and self.word == "COMMAND"):
            return args
        if self.word == "COMMAND":
            return ["--help"]
        raise ValueError(f"{self.word} is missing: it must be one of {self._names(ctx)}")

    def _taking_value(self, ctx: Any) -> set[str]:
        """Options of all commands that the next word belongs to."""
        found: set[str] = set()
        for command in self._below(ctx).values():
            if isinstance(command, _Group):
                found |= command._taking_value(ctx)
            for option in command.params:
                if not getattr(option, "is_flag", False):
                    found.update(option.opts)
        return found

    def _names(self, ctx: Any) -> str:
        return ", ".join(n for n, command in self._below(ctx).items() if not command.hidden)


class App(typer.Typer):
    """Commands of a `_Group`."""

    makers: dict[str, Callable[[], Any]]

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """Register a function as a command."""

        def register(function: F) -> F:
            called = name or function.__name__
            about = CommandInfo(called, callback=function, cls=Command, **settings)
            self.makers[called] = lambda: get_command_from_info(about, **_PLAIN)
            return function

        return register

    def add(self, name: str, below: typer.Typer, **settings: Any) -> None:
        """Register a group."""
        about = TyperInfo(below, name=name, **settings)
        self.makers[name] = lambda: get_group_from_info(about, suggest_commands=False, **_PLAIN)


# Plain help reads the same in a terminal, a file and a CI log.
_PLAIN: Any = {"pretty_exceptions_short": False, "rich_markup_mode": None}


def group(
    text: str,
    *,
    word: str = "COMMAND",
    aliases: Mapping[str, tuple[str, ...]] | None = None,
    default: str | None = None,
    **settings: Any,
) -> App:
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
    makers: dict[str, Callable[[], Any]] = {}
    own = {"makers": makers, "word": word, "aliases": aliases or {}, "default": default}
    cls = type("Group", (_Group,), own)
    app = App(cls=cls, help=text, rich_markup_mode=None, **settings)
    app.makers = makers
    return app
