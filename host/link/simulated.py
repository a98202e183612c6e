"""The port ``sim``: a simulated board, served by a process of its own at a pseudo-terminal.

What serves it is a command; this package knows neither the hardware nor a simulator.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

from amxfp4.host.errors import LineError
from amxfp4.host.link.ports import DEFAULT_BAUD, PortWire
from amxfp4.host.link.serial_line import SerialLine

__all__ = ["READY", "Simulated"]

READY = "simulated board at "
"""What the command prints in front of the port's name as soon as the board is there."""
_COMMAND = (sys.executable, "-m", "amxfp4", "host", "simulate", "--guarded")
_LATENCY, _SLOWNESS = 0.5, 50
"""Seconds, and the factor by which a simulated clock may be slower than a real one: about twenty on
an idle machine."""


class Simulated(SerialLine):
    """The serial line of a simulated board, which ends when the line is closed.

    Parameters
    ----------
    port
        ``sim``, or ``sim:BOARD`` for the unit that ``amxfp4 fpga build BOARD`` builds.
    options
        Fields of the unit's configuration, ``noise`` and ``noise_seed`` of the line, and a list of
        files, ``verilog``, to simulate instead of what is generated.
    baud
        Bit rate of the unit.
    build
        Folder of builds.

    Raises
    ------
    LineError
        The board does not start; the text is its error.
    """

    def __init__(self, port: str, options: dict[str, Any], *, baud: int | None, build: str) -> None:
        given = options | {"build": build, "baud": baud, "board": port.partition(":")[2] or None}
        arguments = [
            text
            for name, values in given.items()
            for value in (values if isinstance(values, list) else [values])
            if value is not None
            for text in ("--" + name.replace("_", "-"), str(value))
        ]
        pipe = subprocess.PIPE
        # In a session of its own, Ctrl-C does not end it before us.
        self._process = subprocess.Popen(
            [*_COMMAND, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            assert self._process.stdout is not None
            line = next((x for x in self._process.stdout if x.startswith(READY)), "")
            if not line:
                assert self._process.stderr is not None
                # In front of it may be warnings, and what took long.
                error = self._process.stderr.read().rpartition("amxfp4: error: ")[2].strip()
                raise LineError(f"the simulated board does not start: {error or 'no message'}")
            rate = DEFAULT_BAUD if baud is None else baud
            wire = PortWire(line.removeprefix(READY).strip(), rate)
            super().__init__(wire, baud=rate, latency=_LATENCY, slowness=_SLOWNESS)
        except BaseException:
            self._stop()
            raise
        self.name = port

    def close(self) -> None:  # noqa: D102 (inherited)
        super().close()
        self._stop()

    def _stop(self) -> None:
        with self._process as process:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
                return
            process.kill()
