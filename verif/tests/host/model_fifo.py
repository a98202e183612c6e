"""A model of the AXI4-Stream FIFO core as its product guide (PG080) describes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["ModelFifo", "ModelRegisters"]

Take = Callable[[bytes, bool], bool]
Give = Callable[[], tuple[bytes, bool] | None]


class ModelFifo:
    """The core's registers; packets go to `take`, and come from `give`, four bytes at a time."""

    def __init__(
        self,
        take: Take,
        give: Give,
        *,
        depth: int = 64,
        cut_through: bool = False,
        resets: bool = True,
        lacks: tuple[int, ...] = (),
    ) -> None:
        self.name = "0xF1F0"
        self.take, self.give = take, give
        self.depth, self.cut_through, self.resets = depth, cut_through, resets
        self.lacks = lacks  # reset registers of directions that were not built
        self.isr = 0
        self.longest = 0
        self.others: list[ModelFifo] = []  # time passes for these, too, when one is touched
        self.reset(0x08)
        self.reset(0x18)

    def reset(self, register: int) -> None:
        """Empty a FIFO."""
        if register == 0x08:
            self.tx: list[int] = []  # words without a length yet
            self.leaving: deque[tuple[bytes, bool]] = deque()
        else:
            self.rx: list[bytes] = []
            self.lengths: deque[int] = deque()
            self.arriving = 0  # bytes of the packet that is not whole
            self.answer: int | None = None  # words promised by the last length
        if self.resets and register not in self.lacks:
            self.isr |= 1 << (24 if register == 0x08 else 23)

    def _work(self) -> None:
        for fifo in (*self.others, self):
            fifo.move()

    def move(self) -> None:
        """Move what can move."""
        while self.leaving and self.take(*self.leaving[0]):
            self.leaving.popleft()
        while len(self.rx) < self.depth - 4:
            beat = self.give()
            if beat is None:
                return
            data, last = beat
            self.rx.append(data)
            self.arriving += len(data)
            if last:
                self.lengths.append(self.arriving)
                self.longest = max(self.longest, self.arriving)
                self.arriving = 0

    def _room(self) -> int:
        return max(0, self.depth - 4 - len(self.tx) - len(self.leaving))

    def read(self, offset: int) -> int:
        """Read a register; time passes, but not while words are moved."""
        if offset != 0x20:
            self._work()
        if offset == 0x00:
            return self.isr
        if offset == 0x0C:
            return self._room()
        if offset == 0x1C:
            readable = self.cut_through or self.lengths
            return len(self.rx) if readable else 0
        if offset == 0x24:
            if self.lengths:
                return self.lengths.popleft()
            if self.cut_through and self.rx:
                return 1 << 31 | 4 * len(self.rx)
            self.isr |= 1 << 31
            return 0
        if offset == 0x20:
            if not self.rx:
                self.isr |= 1 << 29
                return 0
            return int.from_bytes(self.rx.pop(0), "little")
        raise AssertionError(f"no read of 0x{offset:02X}")

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        if offset == 0x00:
            self.isr &= ~value
        elif offset in (0x08, 0x18):
            assert value == 0xA5
            self.reset(offset)
        elif offset == 0x10:
            if self._room() == 0:
                self.isr |= 1 << 28
            else:
                self.tx.append(value)
            return
        elif offset == 0x14:
            if -(-value // 4) != len(self.tx):
                self.isr |= 1 << 25
            data = b"".join(word.to_bytes(4, "little") for word in self.tx)[:value]
            beats = [data[at : at + 4] for at in range(0, len(data), 4)]
            self.leaving += [(beat, n == len(beats) - 1) for n, beat in enumerate(beats)]
            self.tx = []
        else:
            raise AssertionError(f"no write of 0x{offset:02X}")
        self._work()

    def close(self) -> None:
        """Hold nothing."""


class ModelRegisters:
    """An engine's registers as a window; a refusal is a bus error, which nobody survives."""

    name = "0x43C00000"

    def __init__(self, engine: object) -> None:
        self.engine = engine

    def read(self, offset: int) -> int:
        """Read a register."""
        value = self.engine.read(offset)  # type: ignore[attr-defined]
        assert value is not None, "a bus error"
        return int(value)

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        assert self.engine.write(offset, value), "a bus error"  # type: ignore[attr-defined]

    def close(self) -> None:
        """Hold nothing."""
