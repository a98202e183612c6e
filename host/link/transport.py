"""The interface between the driver and whatever leads to an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from amxfp4.params.protocol import Stream

__all__ = ["Limits", "Transport"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bytes of the longest packets that a transport can carry; ``None`` for no limit.

    `advice` says where the limit comes from and how to raise it.
    """

    a: int | None = None
    b: int | None = None
    c: int | None = None
    advice: str = ""


class Transport(ABC):
    """Reaches an engine's registers and streams.

    Members
    -------
    name : what the user calls it
    clock : frequency of the engine's clock in Hz; ``None`` if unknown
    limits : longest packets
    reports_refusals : whether an SLVERR comes back as `RefusedError`; else nothing may cause one
    timeout : seconds in which a working engine moves at least one byte
    """

    name: str = ""
    clock: float | None = None
    limits: Limits = Limits()
    reports_refusals: bool = True
    timeout: float = 10.0

    @abstractmethod
    def read_registers(self, address: int, count: int) -> list[int]:
        """Read `count` registers from ascending addresses.

        Raises
        ------
        LineError
            No answer came.
        RefusedError
            An address is not a register.
        """

    @abstractmethod
    def write_registers(self, address: int, values: Sequence[int]) -> None:
        """Write registers at ascending addresses, in that order.

        Raises
        ------
        LineError
            No answer came.
        RefusedError
            An address is not a register that can be written.
        """

    @abstractmethod
    def send(self, stream: Stream, data: bytes, *, last: bool) -> int:
        """Pass bytes to a stream of the engine, as many as it takes now.

        Parameters
        ----------
        stream
            A or B.
        data
            At least one byte. Unless all of them are taken, whole beats are taken.
        last
            Whether a packet ends with `data`.

        Returns
        -------
        Number of bytes taken, 0 to ``len(data)``. The packet ended if `last` and all were.
        """

    @abstractmethod
    def receive(self, most: int) -> tuple[bytes, bool]:
        """Take bytes of C that are there, at most `most`.

        Returns
        -------
        The bytes, and whether a packet ends with them.
        """

    @abstractmethod
    def reset(self) -> None:
        """Drop all that is in flight, and reset the engine if there is a wire for that.

        A soft reset must follow.
        """

    def widths(self, a: int, b: int, c: int) -> None:  # noqa: B027 (most do not care)
        """Note the bytes of a beat of each stream.

        Raises
        ------
        HostError
            The transport cannot carry such beats.
        """

    def statistics(self) -> dict[str, int]:
        """Count what happened so far, by name."""
        return {}

    def close(self) -> None:  # noqa: B027 (not all hold something)
        """Release what is held."""
