"""Ports: the names of connections to a board, and how they are opened."""

from __future__ import annotations

import errno
import os
import re
import time
from typing import Any

from amxfp4.host.errors import LineError
from amxfp4.host.link.serial_line import SerialLine
from amxfp4.host.link.transport import Transport
from amxfp4.util import extras

__all__ = ["DEFAULT_BAUD", "PORTS", "PortWire", "open_port"]

DEFAULT_BAUD = 1_000_000
"""Bit rate of `engine_uart` by default (docs/units/bridge.md, Parameters)."""
PORTS = (
    "/dev/ttyUSB0, COM3: a serial port; mem:ENGINE,FIFO_AC,FIFO_B: physical addresses; "
    "uio:0,1,2: numbers of /dev/uio; sim: a simulated board; sim:ulx3s: that one"
)
"""What a port may be."""
_POLL = 0.01
"""Seconds that a read blocks at most."""
_LONGEST = 1 << 14
"""Bytes that are written at once at most: a request, every byte escaped."""
_STUCK = 2.0
"""Seconds that a write may take besides its time on the line."""


class PortWire:
    """A serial port of the operating system.

    Raises
    ------
    LineError
        The port cannot be opened; the text says why and what to do.
    """

    def __init__(self, name: str, baud: int) -> None:
        try:
            import serial
        except ModuleNotFoundError:
            raise LineError(extras.missing("pyserial", "host")) from None
        self.name = name
        # pyserial does not take these two from a port by RFC 2217 and from Windows, whose ports
        # are exclusive anyway.
        is_remote = name.lower().startswith("rfc2217:")
        timeout = None if is_remote else _STUCK + 10 * _LONGEST / baud
        exclusive = True if os.name == "posix" else None
        try:
            # Also what pyserial knows by URL: a port of another machine, rfc2217://host:4000.
            self._port: Any = serial.serial_for_url(
                name, baud, timeout=_POLL, write_timeout=timeout, exclusive=exclusive
            )
            # What another program left unread.
            self._port.reset_input_buffer()
        except (OSError, ValueError) as error:
            raise LineError(_why(name, baud, error)) from error

    def write(self, data: bytes) -> None:
        """Send bytes."""
        import serial

        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise LineError(
                f"{self.name} takes no bytes: check that no flow control holds the line, plug its "
                "USB converter in again, and if it is a pseudo-terminal, that its program runs"
            ) from error
        except OSError as error:
            raise LineError(self._gone(error)) from error

    def read(self, seconds: float) -> bytes:
        """Return what has arrived, as soon as there is something, or nothing after `seconds`."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                data = bytes(self._port.read(self._port.in_waiting or 1))
                if data or time.monotonic() > deadline:
                    return data
        except OSError as error:
            raise LineError(self._gone(error)) from error

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _gone(self, error: OSError) -> str:
        return f"{self.name} is gone ({error}): check the cable and the board's power"


def _why(name: str, baud: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error).lower()
    if number in (errno.EACCES, errno.EPERM) or "permission" in text or "access is denied" in text:
        how = "you may not use it: join its group (ls -l shows it; sudo usermod -aG dialout $USER)"
    elif number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK) or "lock" in text:
        how = "another program uses it: close that first"
    elif number == errno.ENOENT or "filenotfound" in text or "could not find" in text:
        how = f"there is no such port: {_known()}"
    else:
        how = f"{error}; {_known()}"
    return f"--port {name!r} at {baud} baud cannot be opened: {how}"


def _known() -> str:
    from serial.tools import list_ports

    names = sorted(port.device for port in list_ports.comports())
    if not names:
        return "this machine has no serial port; is the board plugged in?"
    return f"this machine has {', '.join(names)}"


def open_port(port: str, *, baud: int | None = None, options: dict[str, Any] | None = None,
              build: str = "build") -> Transport:  # fmt: skip
    """Open a port.

    Parameters
    ----------
    port
        One of `PORTS`.
    baud
        Bit rate of a serial port, by default `DEFAULT_BAUD`; only for such a port.
    options
        Options of a simulated board, see `amxfp4.host.link.simulated.Simulated`; only for that.
    build
        Folder of a simulated board's builds.

    Raises
    ------
    ValueError
        `port` is not a port, or an option does not apply to it.
    HostError
        It cannot be opened, or nothing answers.
    """
    kind = port.partition(":")[0]
    if kind == "sim":
        from amxfp4.host.link.simulated import Simulated

        return Simulated(port, options or {}, baud=baud, build=build)
    if options:
        names = ", ".join("--" + name.replace("_", "-") for name in sorted(options))
        raise ValueError(f"--port must be sim with {names}, not {port!r}")
    if kind in ("mem", "uio"):
        from amxfp4.host.link.mapping import open_memory

        if baud is not None:
            raise ValueError(f"--port must be a serial port with --baud, not {port!r}")
        return open_memory(port)
    if not port or re.match(r"[a-z]{2,}:(?!//)", port):
        raise ValueError(f"--port must be one of {PORTS}, not {port!r}")
    rate = DEFAULT_BAUD if baud is None else baud
    if not 1 <= rate <= 12_000_000:
        raise ValueError(f"--baud must be from 1 to 12000000, not {rate!r}")
    return SerialLine(PortWire(port, rate), baud=rate)
