"""The front door of the hardware side: configuration objects and Verilog generation."""

from amxfp4.gen.config import UNITS
from amxfp4.gen.engine_config import EngineConfig

# Here, since the engine's configuration builds on config.py, where the table stands.
UNITS[EngineConfig.unit] = EngineConfig
