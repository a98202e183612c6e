"""The units: every configuration class by the unit's name, in data path order."""

from __future__ import annotations

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig

__all__ = ["ELEMENTWISE", "STREAMING", "UNITS"]

UNITS: dict[
    str, type[QuantizerConfig | DequantizerConfig | WeightDequantizerConfig | DotConfig]
] = {
    config.unit: config
    for config in (
        QuantizerConfig,
        DequantizerConfig,
        WeightDequantizerConfig,
        DotConfig,
        ArrayConfig,
        EngineConfig,
        EngineUartConfig,
    )
}
"""Configuration class of every unit, by the unit's name."""

STREAMING = {unit: config for unit, config in UNITS.items() if not issubclass(config, EngineConfig)}
"""The units with one stream in and one out, which whole batches can be run through."""

ELEMENTWISE = tuple(unit for unit, config in UNITS.items() if not issubclass(config, DotConfig))
"""The units that take elements one by one: what is said of the others is of a product."""
