"""Formats and configurations under the name that their users know; they live in `amxfp4.params`."""

from __future__ import annotations

from amxfp4.params.array import ArrayConfig
from amxfp4.params.checks import check_among, check_range, choose
from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import ACCUMULATIONS, CLASS_SUMS, FIXED_BITS, PIPELINE, SCALING, DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.formats import (
    BF16,
    BLOCK_SIZES,
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    FORMATS,
    FP16,
    FP32,
    INPUTS,
    OUTPUTS,
    BlockFormat,
    FloatFormat,
    ScaleRule,
    Ties,
    block_format,
)
from amxfp4.params.quantizer import MAXIMA, QUANTIZER_PIPELINE, QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.params.units import UNITS
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig

__all__ = [
    "ACCUMULATIONS",
    "BF16",
    "BLOCK_SIZES",
    "CLASS_SUMS",
    "E2M1",
    "E4M3",
    "E5M2",
    "E8M0",
    "FIXED_BITS",
    "FORMATS",
    "FP16",
    "FP32",
    "INPUTS",
    "MAXIMA",
    "OUTPUTS",
    "PIPELINE",
    "QUANTIZER_PIPELINE",
    "SCALING",
    "UNITS",
    "ArrayConfig",
    "BlockFormat",
    "DequantizerConfig",
    "DotConfig",
    "EngineConfig",
    "EngineUartConfig",
    "FloatFormat",
    "QuantizerConfig",
    "ScaleRule",
    "Ties",
    "UnitConfig",
    "WeightDequantizerConfig",
    "block_format",
    "check_among",
    "check_range",
    "choose",
]
