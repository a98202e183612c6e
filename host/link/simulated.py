"""The port ``sim``: a simulated board in a process of its own, reached like a real one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

from amxfp4.host.errors import LineError
from amxfp4.host.link.ports import DEFAULT_BAUD, PortWire
from amxfp4.host.link.serial_line import SerialLine

__all__ = ["READY", "Simulated", "open_simulated"]

READY = "simulated board at "
"""What ``amxfp4 host simulate`` prints in front of the port's name, as soon as it answers."""
_LATENCY, _SLOWNESS = 0.5, 50
"""Seconds, and how much slower a simulated clock may be than a real one: on an idle machine it is
some twenty times slower, and machines are busy."""


class Simulated(SerialLine):
    """The serial line of a simulated board that ends with it.

    Parameters
    ----------
    name
        What the user calls it.
    arguments
        Of ``amxfp4 host simulate``.
    baud
        Bit rate of the unit.

    Raises
    ------
    LineError
        The board does not start; the text is its error.
    """

    def __init__(self, name: str, arguments: list[str], baud: int) -> None:
        command = [sys.executable, "-m", "amxfp4", "host", "simulate", "--guarded", *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,  # Ctrl-C is for us: we end it when we are done
        )  # fmt: skip
        try:
            assert self._process.stdout is not None
            line = next((x for x in self._process.stdout if x.startswith(READY)), "")
            if not line:
                assert self._process.stderr is not None
                said = self._process.stderr.read().strip().removeprefix("amxfp4: error: ")
                raise LineError(f"the simulated board does not start: {said or 'it says nothing'}")
            wire = PortWire(line.removeprefix(READY).strip(), baud)
            super().__init__(wire, baud=baud, latency=_LATENCY, slowness=_SLOWNESS)
        except BaseException:
            self._stop()
            raise
        self.name = name

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


def open_simulated(
    port: str, options: dict[str, Any], *, baud: int | None, build: str
) -> Simulated:
    """Start a simulated board and open its line.

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
    """
    arguments = ["--build", build]
    _, given_board, board = port.partition(":")
    if given_board:
        arguments += ["--board", board]
    for name, given in options.items():
        for value in given if isinstance(given, list) else [given]:
            arguments += ["--" + name.replace("_", "-"), str(value)]
    rate = DEFAULT_BAUD if baud is None else baud
    if baud is not None:
        arguments += ["--baud", str(baud)]
    return Simulated(port, arguments, rate)
