"""Options of commands; those that configure a unit are made from its configuration class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from amxfp4.cli.groups import App
from amxfp4.params.config import UnitConfig
from amxfp4.params.fields import Allowed, Names, parameters

__all__ = [
    "TENSORS",
    "BuildFolder",
    "ResultFile",
    "TransposeB",
    "choice",
    "configured",
    "for_each",
    "integer",
    "number",
    "number_or",
    "pair_or_none",
    "passing",
    "pattern",
    "unit_options",
]

Function = Callable[..., int | None]
T = TypeVar("T")


def _parser(kind: type, least: float | None = None) -> Callable[[Any], Any]:
    """Make what reads a number; typer's own messages do not all repeat the value."""

    def parse(value: Any) -> Any:
        try:
            found = kind(value)
        except ValueError:
            wanted = "an integer" if kind is int else "a number"
            raise typer.BadParameter(f"must be {wanted}, not {value!r}") from None
        if least is not None and not found >= least:
            raise typer.BadParameter(f"must be at least {least}, not {found}")
        return found

    return parse


def number(
    text: str,
    least: float | None = None,
    *,
    kind: type = float,
    metavar: str = "N",
    **settings: Any,
) -> Any:
    """Make an option for a number, `least` or more."""
    bound = "" if least is None else f"; at least {least}"
    text = f"{text}{bound}."
    return typer.Option(parser=_parser(kind, least), metavar=metavar, help=text, **settings)


def number_or(words: Iterable[str], option: str, text: str) -> float | str:
    """Read an option that is a number or one of some words."""
    if text in words:
        return text
    try:
        return float(text)
    except ValueError:
        known = " or ".join(words)
        raise typer.BadParameter(f"{option} must be a number or {known}, not {text!r}") from None


def pair_or_none(option: str, text: str | None) -> tuple[int, int] | None:
    """Read an option that is two integers, as ``-1,2``."""
    if text is None:
        return None
    try:
        first, second = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{option} must be two integers LO,HI, not {text!r}") from None
    return first, second


integer = functools.partial(number, kind=int)


def pattern(text: str) -> Any:
    """Make an option for patterns of names, of which there may be several."""
    return typer.Option(metavar="PATTERN", help=f"{text}; may be repeated.")


def choice(text: str, allowed: Allowed, **settings: Any) -> Any:
    """Make an option that completes to what is allowed; what takes the value checks it."""

    def complete(incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",")
        front = before + comma if isinstance(allowed, Names) else ""
        return [f"{front}{value}" for value in allowed.values]

    if allowed.kind is int:
        settings["parser"] = _parser(int)
    metavar = "N" if allowed.kind is int else "NAME"
    return typer.Option(metavar=metavar, help=text, autocompletion=complete, **settings)


def unit_options(
    config: type[UnitConfig],
    *,
    only: Iterable[str] | None = None,
    without: Iterable[str] = (),
    defaults: Mapping[str, object] | None = None,
    **settings: Any,
) -> list[inspect.Parameter]:
    """Make an option for each field of a configuration class, ``None`` where it is not given.

    Parameters
    ----------
    only, without
        Fields to take, and to leave out; all are taken by default.
    defaults
        Defaults that help states, where they are not the class's.
    """
    made = []
    for name, field in parameters(config).items():
        if name in without or (only is not None and name not in only):
            continue
        default = (defaults or {}).get(name, field.default)
        text = f"{field.text}: {field.allowed}. [default: {default}]"
        option = choice(text, field.allowed, **{"rich_help_panel": config.unit} | settings)
        kind: Any = field.allowed.kind
        keyword = inspect.Parameter.KEYWORD_ONLY
        made.append(
            inspect.Parameter(
                name, keyword, default=None, annotation=Annotated[kind | None, option]
            )
        )
    return made


def passing(
    name: str, options: Iterable[inspect.Parameter], make: Callable[[dict[str, Any]], Any]
) -> Callable[[Function], Function]:
    """Give a command options that reach it together, as its argument `name`.

    Parameters
    ----------
    make
        Makes that argument from the options that were given.
    """
    options = list(options)

    def decorate(command: Function) -> Function:
        @functools.wraps(command)
        def whole(**given: Any) -> int | None:
            ours = {o.name: given.pop(o.name) for o in options}
            ours = {key: value for key, value in ours.items() if value is not None}
            return command(**given, **{name: make(ours)})

        # What typer reads to know the options: those of the command itself, and ours.
        signature = inspect.signature(command, eval_str=True)
        keyword = inspect.Parameter.KEYWORD_ONLY
        own = [p for p in signature.parameters.values() if p.name != name]
        every = [p.replace(kind=keyword) for p in [*options, *own]]
        vars(whole)["__signature__"] = signature.replace(parameters=every)
        whole.__annotations__ = {p.name: p.annotation for p in every}
        return whole

    return decorate


def configured(config: type[UnitConfig], **selection: Any) -> Callable[[Function], Function]:
    """Give a command the options of a unit; its argument `config` is the unit's configuration."""
    return passing("config", unit_options(config, **selection), lambda given: config(**given))


def for_each(
    app: App,
    items: Mapping[str, T],
    # Where it is not given, T is a configuration's class, which mypy cannot know.
    options: Callable[[T], Callable[[Function], Function]] = configured,  # type: ignore[assignment]
) -> Callable[[Function], Function]:
    """Register a command once for each of `items`: units, with their options, or others.

    ``{name}`` in the command's docstring is the item's name.
    """

    def decorate(command: Function) -> Function:
        text = inspect.getdoc(command) or ""
        for name, item in items.items():
            register = app.command(name, help=text.replace("{name}", name))
            register(options(item)(command))
        return command

    return decorate


TENSORS = (
    "A .npy, .npz, .safetensors or .gguf file, or a checkpoint: its folder or the index of its "
    "shards"
)
BuildFolder = Annotated[
    Path, typer.Option("--build", metavar="DIR", help="Folder of builds and of reports/.")
]
ResultFile = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="A .npy or .safetensors file for C."),
]
TransposeB = Annotated[
    bool, typer.Option("--transpose-b", help="B is [N, K], as linear layers store weights.")
]
