"""The front door of the hardware side: configuration objects and Verilog generation."""

from amxfp4.gen.config import UNITS
from amxfp4.gen.engine_config import EngineConfig
from amxfp4.gen.engine_uart_config import EngineUartConfig

# Here, since the engines' configurations build on config.py, where the table stands.
UNITS[EngineConfig.unit] = EngineConfig
UNITS[EngineUartConfig.unit] = EngineUartConfig
