"""The generated unit at the end of a serial line, bit for bit, as a Python object."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from amxfp4.params.serial import EngineUartConfig
from amxfp4.params.units import UNITS
from amxfp4.verif.sim import build, sources
from amxfp4.verif.sim.batch.dut import Generated

__all__ = ["LAMPS", "QUIET", "LineDut", "LineError"]

_HARNESS = Path(__file__).with_name("line.cpp")
LAMPS = ("alive", "link", "busy", "error")
"""The lamps, by the bits of `LineDut.lamps`."""
QUIET = 20_000
"""Cycles without a bit on either wire after which nothing more is to come: five times the bridge's
patience, the longest that it works on anything without an end."""
_ROOM = 1 << 16


class LineError(AssertionError):
    """What the unit sends is no byte: a bit is too long or too short, or a stop bit is 0."""


class _Passage(ctypes.Structure):
    _fields_ = [
        ("input", ctypes.c_char_p),
        ("output", ctypes.c_char_p),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "n_in", "most", "cycles", "quiet", "frame", "used", "got", "ran", "violations",
                "lamps_now", "lamps_seen", "lamps_changed",
            )
        ),
    ]  # fmt: skip


class LineDut:
    """`engine_uart`, compiled. Time passes in `run` only.

    Parameters
    ----------
    unit
        A configuration, which is generated first; or Verilog and manifest: the generator's, a
        mutant's, or a netlist's, with the models of its cells.
    cache
        Folder of builds.
    drift
        How much longer than the unit's the bits are that it is sent: 0.02 is 2 % slower.
    optimize
        As `build.build`.
    plusarg
        What the Verilog may ask for with ``$value$plusargs``, as ``+bug=3``.

    Members
    -------
    config : the configuration
    lamps : lamps that are on, after the last run; bits as in `LAMPS`
    seen : lamps that were on at any time of it
    cycles : cycles since the beginning
    """

    def __init__(
        self,
        unit: EngineUartConfig | Generated,
        *,
        cache: Path = build.CACHE,
        drift: float = 0.0,
        optimize: bool = True,
        plusarg: str = "",
    ) -> None:
        made: Generated = (
            sources.source(unit, cache) if isinstance(unit, EngineUartConfig) else unit
        )
        config: Any = UNITS["engine_uart"].from_dict(dict(made.manifest["config"]))
        self.config: EngineUartConfig = config
        path, self.build_seconds = build.build(
            made.text, made.manifest, cache, optimize=optimize, harness=_HARNESS
        )
        library = ctypes.CDLL(str(path))
        library.amxfp4_board.argtypes = [ctypes.c_uint64, ctypes.c_double, ctypes.c_char_p]
        library.amxfp4_board.restype = ctypes.c_void_p
        library.amxfp4_board_free.argtypes = [ctypes.c_void_p]
        hold = library.amxfp4_board_hold
        hold.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int, ctypes.c_int]
        library.amxfp4_board_run.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Passage)]
        self._library = library
        divisor = config.divisor
        self._board = library.amxfp4_board(divisor, divisor * (1 + drift), plusarg.encode() or None)
        self._output = ctypes.create_string_buffer(_ROOM)
        self.lamps = self.seen = self.cycles = 0
        self.reset()

    def __del__(self) -> None:
        if board := getattr(self, "_board", None):
            self._library.amxfp4_board_free(board)
            self._board = None

    def reset(self, cycles: int = 2) -> None:
        """Hold ``rst`` for some cycles."""
        self._library.amxfp4_board_hold(self._board, cycles, 1, 1)
        self.cycles += cycles

    def hold(self, level: int, cycles: int) -> None:
        """Hold ``rx`` at a level for some cycles; what the unit sends meanwhile is not heard."""
        self._library.amxfp4_board_hold(self._board, cycles, 0, level)
        self.cycles += cycles

    def ask(self, data: bytes) -> bytes:
        """Send bytes, and return what comes until a frame has ended, or all is quiet.

        The unit's time stands still until the next call: a program that waits for an answer cannot
        tell, and no time is spent on simulating silence.
        """
        return self.run(data, frame=True)

    def run(
        self,
        data: bytes = b"",
        *,
        cycles: int = 1 << 62,
        quiet: int = QUIET,
        frame: bool = False,
    ) -> bytes:
        """Send bytes, one right behind the other, and return what comes until all is quiet.

        Parameters
        ----------
        data
            Bytes for ``rx``.
        cycles
            Stop after so many in any case; bytes not begun by then are lost.
        quiet
            Stop after so many in which nothing moves.
        frame
            Stop when a frame has ended as well.

        Raises
        ------
        LineError
            What came were no bytes.
        """
        answer = b""
        self.seen = 0
        while True:
            passage = _Passage(
                input=data, output=ctypes.cast(self._output, ctypes.c_char_p), n_in=len(data),
                most=_ROOM, cycles=cycles, quiet=quiet, frame=frame,
            )  # fmt: skip
            self._library.amxfp4_board_run(self._board, ctypes.byref(passage))
            answer += self._output.raw[: passage.got]
            self.cycles += passage.ran
            self.lamps = passage.lamps_now
            self.seen |= passage.lamps_seen
            cycles -= passage.ran
            data = data[passage.used :]
            if passage.violations:
                raise LineError(
                    f"{passage.violations} bytes on tx must have bits of {self.config.divisor} "
                    f"cycles and a stop bit of 1, until cycle {self.cycles}"
                )
            if passage.got < _ROOM or cycles <= 0:
                return answer
