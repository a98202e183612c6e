"""``amxfp4 accuracy --hardware``: linear layers of the model through quantizer and array."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.accuracy import tokens
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.model import Array, Model, Operand, final
from amxfp4.accuracy.quantized import BASELINE, Row, quantizer
from amxfp4.commands.language.measure import opened, texts_of
from amxfp4.params.array import ArrayConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.util import console
from amxfp4.verif.sim.batch.check import check_quantizer
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.tensors import blocks_of
from amxfp4.verif.sim.tiles import through_rtl

__all__ = ["LINEAR", "TOKENS", "captured", "check", "layers_of", "run"]

TOKENS = 8
"""Of the text, that go through."""
LINEAR = {"query": 0, "key": 0, "value": 0, "output": 1, "gate": 2, "up": 2, "down": 3}
"""Linear layers in the order in which the model quantizes their weights, and which of its inputs
each has."""


def run(
    layers: str, *, text: Path | None, model: Path | None, formats: Sequence[str], build: Path
) -> None:
    """Run the linear layers of some layers through the RTL; print what was compared.

    Every record of weights and inputs that the quantizer writes, and every word of the products
    that the array writes, must be the golden model's. Inputs are those of the model with both
    operands of all products quantized.

    Parameters
    ----------
    layers
        Numbers, separated by commas.
    formats
        Without options; `BASELINE` by default.

    Raises
    ------
    Mismatch, ContractError
        RTL and golden differ, or nothing was compared.
    ValueError
        A layer or a format is not what it must be.
    """
    path, made = opened(model)
    name_of_text, words_of_text = texts_of(text)[0]
    ids = tokens.encode(made, words_of_text, TOKENS)
    loaded = load(path)
    numbers = layers_of(layers, len(loaded.layers))
    table = console.Table("format", "layer", "linear", "records", "words", "M MACs", "s")
    for format in formats or (BASELINE,):
        quantize = QuantizerConfig(format=format, input="fp32")
        array = ArrayConfig(format_a=format, format_b=format, rows=4, cols=4)
        found = captured(loaded, ids, format, numbers)
        with console.working(f"building quantizer and array for {format}") as step:
            duts = BatchDut(quantize, cache=build), BatchDut(array, cache=build)
            for done, ((layer, name), (x, w)) in enumerate(found.items()):
                step(f"{format}: layer {layer}, {name}", done, len(found))
                start = time.perf_counter()
                records, words = check(*duts, x, w)
                seconds = time.perf_counter() - start
                table.add(
                    format, layer, name, f"{records:,}", f"{words:,}",
                    f"{x.size * len(w) / 1e6:.1f}",
                    f"{seconds:.1f}",
                )  # fmt: skip
    table.show()
    print(f"{len(ids)} tokens of {name_of_text}: every record and every word equals golden")


def layers_of(text: str, count: int) -> list[int]:
    """Read numbers of layers, separated by commas."""
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = [-1]
    if not all(0 <= n < count for n in numbers):
        raise ValueError(
            f"--hardware must be layers from 0 to {count - 1}, separated by commas, not {text!r}"
        )
    return sorted(set(numbers))


def captured(
    model: Model, ids: npt.NDArray[np.int64], format: str, layers: Sequence[int]
) -> dict[tuple[int, str], tuple[Array, Array]]:
    """Note inputs [w, k] and weights [n, k] of linear layers, before they are quantized.

    Returns
    -------
    By layer and name of the linear layer.
    """
    through = quantizer(Row(label="", format=format, mode="both"))
    kept: dict[str, list[Array]] = {"weight": [], "input": []}

    def note(operand: str, x: Array, axis: int) -> Operand:
        if operand in kept:
            kept[operand].append(x)
        return through(operand, x, axis)

    final(model, [ids], note)
    inputs = max(LINEAR.values()) + 1
    return {
        (layer, name): (
            kept["input"][layer * inputs + which], kept["weight"][layer * len(LINEAR) + n]
        )
        for layer in layers
        for n, (name, which) in enumerate(LINEAR.items())
    }  # fmt: skip


def check(quantizer: BatchDut, array: BatchDut, x: Array, w: Array) -> tuple[int, int]:
    """Quantize x [m, k] and w [n, k], multiply x w^T; return how many records and words agree."""
    config = array.config
    records, operands = 0, []
    for matrix in (x, w):
        blocks = blocks_of(np.ascontiguousarray(matrix), config.block)
        records += check_quantizer(quantizer, blocks.view(np.uint32)).count
        operands.append(golden.quantize(matrix, config.format_a, block=config.block))
    words = through_rtl(array, *operands).words.size
    if not (records and words):
        raise ContractError("records and words must be compared, not none")
    return records, words
