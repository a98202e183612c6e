"""Every unit, of a size that tools read in a second."""

from amxfp4.params.array import ArrayConfig
from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig

UNITS: list[UnitConfig] = [
    QuantizerConfig(lanes=2, block=16),
    DequantizerConfig(lanes=2, block=16),
    WeightDequantizerConfig(lanes=1, format="fpq-fp3"),
    DotConfig(lanes=2, block=16),
    ArrayConfig(rows=1, cols=2, lanes=1, block=16),
    EngineConfig(rows=1, cols=2, lanes=2, block=16, depth_a=2, depth_b=2),
    EngineUartConfig(rows=1, cols=2, lanes=1, block=16, depth_a=2, depth_b=2, payload=64),
]
