"""Checks of the bridge at its pins, from docs/units/bridge.md alone.

Each takes a compiled unit and raises when something is not as the document says. Answers are
compared, byte for byte, with those of the model, or with what stands in the check.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from amxfp4.verif.sim.line import pins_frames, pins_random, pins_streams
from amxfp4.verif.sim.line.line import LineDut

__all__ = ["CHECKS", "Check"]

Check = Callable[[LineDut, np.random.Generator], None]
CHECKS: dict[str, Check] = {
    name: getattr(module, name)
    for module in (pins_frames, pins_streams, pins_random)
    for name in module.__all__
}
"""Every check, by its name."""
