"""Windows into physical memory, /dev/mem, and into what a driver exports, /dev/uioN."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from amxfp4.host.errors import LineError
from amxfp4.host.link.memory_map import DEPTH, MemoryMap

__all__ = ["MappedWindow", "open_memory"]

_PAGE = 4096
_SYNTAX = (
    "mem:ENGINE,FIFO_AC,FIFO_B with physical addresses, or uio:N,N,N with numbers of /dev/uio, or "
    "four of them (engine, A, B, C), and behind them depth=WORDS or cut-through if needed"
)


class MappedWindow:
    """A page of a device file, in words.

    Parameters
    ----------
    device
        ``/dev/mem`` or ``/dev/uioN``.
    address
        Where the window begins in it, a multiple of the page size.
    name
        What messages call it.

    Raises
    ------
    LineError
        It cannot be mapped; the text says why and what to do.
    """

    def __init__(self, device: Path, address: int, name: str) -> None:
        self.name = name
        try:
            # Synchronous: a write must not stay in a cache.
            file = os.open(device, os.O_RDWR | os.O_SYNC)
            try:
                self._map = mmap.mmap(file, _PAGE, offset=address)
            finally:
                os.close(file)
        except (OSError, ValueError, OverflowError) as error:
            raise LineError(
                f"--port: {name} cannot be mapped from {device} ({error}): check the address, that "
                "the driver is loaded (modprobe uio_pdrv_genirq), and your rights (root for "
                "/dev/mem, whose kernel must allow it: CONFIG_STRICT_DEVMEM)"
            ) from error
        self._words = memoryview(self._map).cast("I")

    def read(self, offset: int) -> int:
        """Read the word at `offset`."""
        return self._words[offset >> 2]

    def write(self, offset: int, value: int) -> None:
        """Write the word at `offset`."""
        self._words[offset >> 2] = value

    def close(self) -> None:
        """Release the mapping."""
        self._words.release()
        self._map.close()


def open_memory(port: str) -> MemoryMap:
    """Open a port that begins with ``mem:`` or ``uio:``.

    Raises
    ------
    ValueError
        `port` is not of that syntax.
    LineError
        Something cannot be mapped, or is no FIFO core.
    """
    if not hasattr(os, "O_SYNC"):
        raise ValueError(f"--port must be a serial port or sim on this system, not {port!r}")
    kind, _, rest = port.partition(":")
    places, depth, cut_through = [], DEPTH, False
    for part in rest.split(","):
        try:
            if part == "cut-through":
                cut_through = True
            elif part.startswith("depth="):
                depth = int(part.removeprefix("depth="), 0)
            else:
                places.append(int(part, 0))
        except ValueError:
            raise ValueError(f"--port must be {_SYNTAX}, not {port!r}") from None
    aligned = kind == "uio" or not any(place % _PAGE for place in places)
    if len(places) not in (3, 4) or min(places) < 0 or not aligned:
        raise ValueError(f"--port must be {_SYNTAX} (multiples of {_PAGE}), not {port!r}")
    windows: list[MappedWindow] = []
    try:
        for place in places:
            uio = kind == "uio"
            device = Path(f"/dev/uio{place}" if uio else "/dev/mem")
            name = str(device) if uio else f"0x{place:X}"
            windows.append(MappedWindow(device, 0 if uio else place, name))
        return MemoryMap(windows[0], windows[1:], depth=depth, cut_through=cut_through)
    except BaseException:
        for window in windows:
            window.close()
        raise
