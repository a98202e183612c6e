"""The host program: drives an engine behind a serial line or in a memory map.

`link` carries bytes, `driver` runs single jobs, `engine` multiplies matrices, `selftest` and
`bench` use it. Imports golden, params and util, and nothing of hardware and simulators.
"""

from __future__ import annotations

from typing import Any

from .engine import Engine
from .errors import EngineError, HostError, JobError, LineError, RefusedError, TooLongError
from .link.ports import open_port

__all__ = [
    "Engine",
    "EngineError",
    "HostError",
    "JobError",
    "LineError",
    "RefusedError",
    "TooLongError",
    "open_engine",
    "open_port",
]


def open_engine(
    port: str, *, baud: int | None = None, build: str = "build", **options: Any
) -> Engine:
    """Open the engine at a port.

    Parameters
    ----------
    port
        ``/dev/ttyUSB0`` or ``COM3``, ``mem:0x43C00000,...``, ``uio:0,1,2`` or ``sim``.
    baud
        Bit rate of a serial port; 1000000 by default.
    build
        With ``sim``: folder of builds.
    options
        With ``sim``: fields of the configuration, ``noise`` and ``noise_seed``.

    Raises
    ------
    ValueError
        `port` is not a port, or an option does not apply to it.
    HostError
        It cannot be opened, or what answers is not an engine.
    """
    return Engine(open_port(port, baud=baud, options=options, build=build))
