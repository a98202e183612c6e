"""The options that configure a unit, written once for every command that takes them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from amxfp4.params.dot import ACCUMULATIONS, CLASS_SUMS, PIPELINE, SCALING
from amxfp4.params.formats import BLOCK_SIZES, FORMATS, INPUTS, OUTPUTS, Ties
from amxfp4.params.quantizer import MAXIMA, QUANTIZER_PIPELINE

__all__ = ["ALL", "OPTIONS", "Block", "Format", "TieRule", "among", "configured", "integer_option"]

ALL = "all"
"""What stands for every unit, or every target."""


def among(names: Any) -> str:
    """List what an option may be."""
    return ", ".join(str(name) for name in names)


def _integer(text: str | int) -> int:
    try:
        return int(text)
    except ValueError:
        # typer's own message does not repeat the value.
        raise typer.BadParameter(f"must be an integer, not {text!r}") from None


def integer_option(text: str) -> Any:
    """Make an option for an integer; a mistake repeats the value."""
    return typer.Option(parser=_integer, metavar="N", help=text)


def _word(text: str) -> Any:
    return Annotated[str | None, typer.Option(help=text)]


def _number(text: str) -> Any:
    return Annotated[int | None, integer_option(text)]


Format = Annotated[str | None, typer.Option(help=f"Block format: {among(FORMATS)}.")]
Block = Annotated[
    int | None,
    integer_option(f"Elements per block: {among(BLOCK_SIZES)}; the format's by default."),
]
TieRule = Annotated[str | None, typer.Option(help=f"Where halfway values go: {among(Ties)}.")]

OPTIONS: dict[str, Any] = {
    "format": Format,
    "block": Block,
    "input": _word(f"Words a quantizer reads: {among(INPUTS)}; an engine: or records."),
    "output": _word(f"Output words: {among(OUTPUTS)}."),
    "lanes": _number("Elements per cycle: a power of two from 1 to the block size."),
    "ties": TieRule,
    "format_a": _word("Block format of A, as --format."),
    "format_b": _word("Block format of B, as --format."),
    "acc": _word(f"How sums over blocks are kept: {among(ACCUMULATIONS)}."),
    "max_blocks": _number("Longest sum the exact accumulator holds, in blocks; 4096."),
    "frac_bits": _number("Fraction bits of the fixed accumulator."),
    "int_bits": _number("Integer bits of the fixed accumulator."),
    "rows": _number("Rows of the array, 1 to 64; 4."),
    "cols": _number("Columns of the array, 1 to 64; 4."),
    "class_sums": _word(f"How products are summed by class: {among(CLASS_SUMS)}."),
    "scaling": _word(
        f"How the terms of a block are scaled: {among(SCALING)}; serial where it is free."
    ),
    "maxima": _word(f"How a quantizer finds the maxima of a block: {among(MAXIMA)}."),
    "pipeline": _word(
        f"Registers, separated by commas, out of {among(PIPELINE)}; of a quantizer, out of "
        f"{among(QUANTIZER_PIPELINE)}."
    ),
    "requantize": _word("Block format that an engine returns C in; none: words."),
    "depth_a": _number("Blocks of a row in a half of A's memory; 64."),
    "depth_b": _number("Blocks of a column in a half of B's memory; 64."),
    "bytes_a": _number("Width of the stream A, 4 to 64 bytes; 8."),
    "bytes_b": _number("Width of the stream B, as --bytes-a."),
    "bytes_c": _number("Width of the stream C, as --bytes-a."),
    "clock": _number("Frequency of the clock beside a serial line, in Hz; 25000000."),
    "baud": _number("Bits a second on a serial line; 1000000."),
    "payload": _number("Most bytes in a frame on a serial line, 64 to 4096; 256."),
}
"""Type and help of the option for each field of a unit's configuration."""


def configured(
    *without: str,
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Give a command the options that configure a unit, except those named.

    The command takes ``**options: Any`` and finds there what the user has given.
    """

    def decorate(command: Callable[..., int | None]) -> Callable[..., int | None]:
        names = [name for name in OPTIONS if name not in without]

        @functools.wraps(command)
        def configured_command(**given: Any) -> int | None:
            options = {n: given.pop(n) for n in names}
            return command(**given, **{n: v for n, v in options.items() if v is not None})

        # What typer reads to know the options: those of the command itself, then ours.
        signature = inspect.signature(command, eval_str=True)
        *own, _ = signature.parameters.values()
        kind = inspect.Parameter.KEYWORD_ONLY
        ours = [inspect.Parameter(n, kind, default=None, annotation=OPTIONS[n]) for n in names]
        parameters = [*(p.replace(kind=kind) for p in own), *ours]
        vars(configured_command)["__signature__"] = signature.replace(parameters=parameters)
        configured_command.__annotations__ = {p.name: p.annotation for p in parameters}
        return configured_command

    return decorate
