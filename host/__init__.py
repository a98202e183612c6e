"""The host program: a driver of the engine behind a serial line or a memory map.

``link/`` gets bytes there and back, ``selftest/`` tries a board. It knows the documents, `params`
and the golden model; a simulated board it starts as a program of its own.
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


def open_engine(port: str, *, baud: int | None = None, **options: Any) -> Engine:
    """Open the engine at a port.

    Parameters
    ----------
    port
        ``/dev/ttyUSB0`` or ``COM3``, ``mem:0x43C00000,...``, ``uio:0,1,2`` or ``sim``.
    baud
        Bit rate of a serial port; 1000000.
    options
        With ``sim``: fields of the configuration, ``noise`` and ``noise_seed``.

    Raises
    ------
    ValueError
        `port` is none, or something does not belong to it.
    HostError
        It cannot be opened, or what answers is no engine.
    """
    transport = open_port(port, baud=baud, options=options)
    try:
        return Engine(transport)
    except BaseException:
        transport.close()
        raise
