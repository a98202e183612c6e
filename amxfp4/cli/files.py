"""Commands on files of tensors: quantize, dequantize, multiply, list and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from amxfp4.cli.options import (
    TENSORS,
    ResultFile,
    TransposeB,
    choice,
    configured,
    integer,
    number_or,
    pair_or_none,
    passing,
    pattern,
    unit_options,
)
from amxfp4.params.array import ArrayConfig
from amxfp4.params.fields import OneOf
from amxfp4.params.formats import BLOCK_SIZES, FORMATS
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.weights import WEIGHT_FORMATS, WHOLE_ROW
from amxfp4.util import extras

__all__ = ["compare", "dequantize", "info", "matmul", "quantize"]

_FORMATS = OneOf((*FORMATS, *WEIGHT_FORMATS))
_BLOCKS = OneOf((*BLOCK_SIZES, WHOLE_ROW))
LAYOUTS = ("blocks", "compressed-tensors", "modelopt", "gpt-oss", "gguf")
RULES = ("nearest", "modelopt")


@passing("options", unit_options(QuantizerConfig, only=("ties",)), dict)
def quantize(
    source: Annotated[Path, typer.Argument(metavar="IN", help=f"{TENSORS}.")],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The .safetensors file, or a checkpoint's new folder."),
    ],
    options: Any,
    format: Annotated[str, choice(f"Block format, or weight format: {_FORMATS}.", _FORMATS)] = (
        "amxfp4"
    ),
    block: Annotated[
        int | None,
        choice(
            "Elements per block: 16, 32, 64 or 128; of weight formats 128, or -1 for a whole row. "
            "[default: the format's]",
            _BLOCKS,
        ),
    ] = None,
    packed: Annotated[
        bool, typer.Option("--packed", help="Of weight formats: FP16 scales, as AFPQ packs them.")
    ] = False,
    axis: Annotated[int, integer("Axis along which blocks run; negative counts from the end")] = -1,
    min_axes: Annotated[int, integer("Keep tensors of fewer axes as they are")] = 2,
    include: Annotated[
        list[str] | None, pattern("Quantize only tensors of such names, as 'model.layers.*'")
    ] = None,
    exclude: Annotated[
        list[str] | None, pattern("Keep tensors of such names as they are, as 'lm_head*'")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Start anew where OUT is an unfinished conversion.")
    ] = False,
    layout: Annotated[
        str, choice("Whose layout OUT has (docs/files.md).", OneOf(LAYOUTS))
    ] = "blocks",
    tensor_scale: Annotated[
        str, typer.Option(metavar="T", help="Factor of every tensor; auto: of NVFP4 its own.")
    ] = "auto",
    rule: Annotated[
        str, choice("modelopt: NVFP4 bit for bit as ModelOpt writes it.", OneOf(RULES))
    ] = "nearest",
    search: Annotated[
        str | None,
        typer.Option(metavar="LO,HI", help="Choose scales, of codes about S(m), by error."),
    ] = None,
    second: Annotated[
        int, typer.Option(metavar="N", help="Choose scales as a quantizer with --second does.")
    ] = 0,
) -> None:
    """Quantize the floating-point tensors of a file to blocks; keep the others as they are.

    A checkpoint is converted shard by shard. After Ctrl-C the same command goes on.
    """
    from amxfp4.commands.files import quantize as command

    command.quantize(
        source, target, format=format, block=block, packed=packed, axis=axis, min_axes=min_axes,
        include=include or (), exclude=exclude or (), dry_run=dry_run, again=again, layout=layout,
        tensor_scale=number_or(("auto",), "--tensor-scale", tensor_scale), rule=rule,
        search=pair_or_none("--search", search), second=second, **options,
    )  # fmt: skip


def dequantize(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A file or a checkpoint of blocks, in any layout.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="The .safetensors or .npy file to write.")
    ],
) -> None:
    """Turn blocks back into FP32 tensors."""
    from amxfp4.commands.files import dequantize as command

    command.dequantize(source, target)


@configured(ArrayConfig)
def matmul(
    a: Annotated[str, typer.Argument(metavar="A", help="Tensor [M, K]: FILE, or FILE:NAME.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Tensor [K, N]: FILE, or FILE:NAME.")],
    config: Any,
    transpose_b: TransposeB = False,
    through: Annotated[
        str,
        choice(
            "golden: the model alone; rtl: the array in Verilator, every word checked.",
            OneOf(("golden", "rtl")),
        ),
    ] = "golden",
    out: ResultFile = None,
    build: Annotated[Path, typer.Option(metavar="DIR", help="Folder of builds.")] = Path("build"),
) -> int:
    """Multiply two tensors in 4-bit blocks: C = A B.

    With --through rtl every tile runs through the generated array, and every word is checked.
    """
    if through == "rtl":
        extras.require("sim")
    from amxfp4.commands.files import matmul as product

    return product.matmul(
        a, b, config=config, transpose_b=transpose_b, through=through, out=out, build=build
    )


def info(
    source: Annotated[Path, typer.Argument(metavar="FILE", help=f"{TENSORS}.")],
    stats: Annotated[
        bool, typer.Option("--stats", help="Count zeros, saturated elements and more, by tensor.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(metavar="ORIGINAL", help="With --stats: the file before, for an SQNR."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="PAGE.html", help="With --stats: a page of tables and pictures."),
    ] = None,
) -> None:
    """List the tensors of a file or of a checkpoint, with their block formats."""
    for name, given in (("--against", against), ("--html", html)):
        if given is not None and not stats:
            raise ValueError(f"{name} must come with --stats, not alone: {str(given)!r}")
    if html is not None:
        extras.require("synth")
    if stats:
        from amxfp4.commands.files import stats as figures

        figures.stats(source, against=against, html=html)
        return
    from amxfp4.commands.files import info as command

    command.info(source)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Tensors: FILE, or FILE:NAME for one.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Tensors: FILE, or FILE:NAME for one.")],
) -> int:
    """Compare the tensors of two files, of blocks in any layouts or of plain numbers.

    Exit code 0 if all values are equal, 1 if any differ or a tensor is in one file alone.
    """
    from amxfp4.commands.files import compare as command

    return command.compare(a, b)
