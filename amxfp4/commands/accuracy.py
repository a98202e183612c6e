"""How much of real tensors survives a configuration, from the golden model."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden.quality import sqnr
from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.verif.sim.tensors import real_products, real_tensors

__all__ = ["of_configs"]


def of_configs(configs: Iterable[UnitConfig]) -> dict[str, float]:
    """SQNR in dB of every configuration, by its digest.

    Of dot products and arrays the mean over matrix products of a language model's layer (a linear
    layer, attention scores, attention output), operands quantized and sums kept as the
    configuration says; of quantizers and dequantizers the mean over the layer's tensors.
    """
    return {config.digest: _sqnr(config) for config in configs}


def _sqnr(config: UnitConfig) -> float:
    if isinstance(config, DotConfig):
        return _products(
            config.format_a, config.format_b, config.block, config.acc, config.output,
            config.frac_bits, config.int_bits,
        )  # fmt: skip
    if isinstance(config, WeightDequantizerConfig):
        return _tensors(config.format, packed=True)
    assert isinstance(config, QuantizerConfig | DequantizerConfig)
    ties = config.ties if isinstance(config, QuantizerConfig) else "RNA"
    return _tensors(config.format, block=config.block, ties=ties)


@functools.cache
def _tensors(format: str, **options: Any) -> float:
    quantize: Any = golden.quantize  # whose types know the options of each format
    figures = [
        sqnr(x, golden.dequantize(quantize(x, format, **options))) for x in real_tensors().values()
    ]
    return float(np.mean(figures))


def _real_products() -> list[tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]]:
    """Operands [M, K] and [N, K]: a linear layer, attention scores, attention output."""
    tensors = real_tensors()
    return [*real_products().values(), (tensors["p"], tensors["vT"][0])]


@functools.cache
def _products(
    format_a: str,
    format_b: str,
    block: int,
    acc: str,
    output: str,
    frac_bits: int | None,
    int_bits: int | None,
) -> float:
    figures = []
    for a, b in _real_products():
        qa = golden.quantize(a, format_a, block=block)
        qb = golden.quantize(b, format_b, block=block)
        product = golden.matmul(qa, qb, acc=acc, out=output, frac_bits=frac_bits, int_bits=int_bits)
        result = product[0] if isinstance(product, tuple) else product
        figures.append(sqnr(a.astype(np.float64) @ b.astype(np.float64).T, result))
    return float(np.mean(figures))
