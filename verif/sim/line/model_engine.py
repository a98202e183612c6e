"""A model of the engine as a driver sees it, from docs/units/engine.md alone: without time.

It takes as much of A and B as the memories hold, returns C as soon as its operands are there, and
checks the length of packets to the byte. Golden computes the numbers.
"""

from __future__ import annotations

import numpy as np

from amxfp4 import golden
from amxfp4.golden.engine import expected, operand_a, pack_c
from amxfp4.params.engine import NONE, EngineConfig
from amxfp4.params.registers import OFFSETS, mask
from amxfp4.verif.sim.cocotb_engine.models_engine import constants

__all__ = ["ModelEngine"]

_NAMES = {offset: name for name, offset in OFFSETS.items()}
_WIDTHS = {"m": 32, "n": 32, "k": 32, "job": 2, "interrupt_enable": 3}
"""Bits of the registers that read what was written."""
_AHEAD = 2
"""Beats that are taken before a job needs them."""


class ModelEngine:
    """The engine: registers, and bytes in and out."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        manifest = {"config": config.to_dict(), "digest": config.digest}
        self.constants = constants(manifest)
        word = config.quantizer.word.width // 8 if config.quantizer else 0
        self.word, self.dtype = word, f"<u{word}"
        self.record_a, self.record_b = (row.record_bytes for row in config.rows_ab)
        self.reset()

    def reset(self) -> None:
        """Do what `rst` does."""
        self.held = dict.fromkeys(_WIDTHS, 0)
        self.errors = self.interrupts = 0
        self.kept: tuple[bytes, int, int] | None = None
        self.counted = dict.fromkeys(("cycles", "busy", "stall_a", "stall_b", "stall_c"), 0)
        self.upper = 0
        self.soft_reset()

    def soft_reset(self) -> None:
        """Drop everything in flight."""
        self.state, self.done = "idle", False
        self.waiting: dict[int, list[tuple[bytes, bool]]] = {0: [], 1: []}
        self.open = [False, False]
        self.got: list[bytearray] = [bytearray(), bytearray()]
        self.c, self.c_ends = bytearray(), False
        self.kept = None

    # Registers.

    def read(self, address: int) -> int | None:
        """Read a register; ``None`` is SLVERR."""
        name = _NAMES.get(address)
        if name is None:
            return None
        if name in self.constants:
            return self.constants[name]
        if name in self.held:
            return self.held[name]
        if name == "control":
            return 0
        if name == "status":
            flags = {
                "idle": self.state == "idle", "busy": self.state == "busy", "done": self.done,
                "failed": self.state == "failed", "a_open": self.open[0], "b_open": self.open[1],
                "c_waiting": bool(self.c),
            }  # fmt: skip
            return mask("status", *(n for n, up in flags.items() if up))
        if name == "interrupt_status":
            return self.interrupts
        if name == "error":
            return self.errors
        counter, _, half = name.rpartition("_")
        if half == "low":
            self.upper = self.counted[counter] >> 32
            return self.counted[counter] & 0xFFFFFFFF
        return self.upper

    def write(self, address: int, value: int) -> bool:
        """Write a register; ``False`` is SLVERR."""
        name = _NAMES.get(address)
        if name in self.held:
            self.held[name] = value & ((1 << _WIDTHS[name]) - 1)
        elif name == "error":
            self.errors &= ~value
        elif name == "interrupt_status":
            self.interrupts &= ~value
        elif name == "control":
            if value & mask("control", "soft_reset"):
                self.soft_reset()
            elif value & mask("control", "abort"):
                if self.state == "busy" and not (self.c_ends and self.c):
                    self._fail("aborted")
            elif value & mask("control", "start"):
                self._start()
        else:
            return False
        return True

    def _raise(self, name: str) -> None:
        self.errors |= mask("error", name)
        kind = "flags" if name.startswith("acc_") else "error"
        self.interrupts |= mask("interrupt_status", kind)

    def _start(self) -> None:
        config = self.config
        if self.state != "idle":
            self._raise("overrun")
            return
        self.done = False
        self.m, self.n, self.k = (self.held[name] for name in "mnk")
        job = self.held["job"]
        keep, reuse = bool(job & 3), bool(job & 2)
        steps = -(-self.k // config.block)
        fits = -(-self.n // config.cols) * steps <= 2 * config.depth_b
        most = (1 << 20) - 1
        small = min(self.m, self.n, self.k) >= 1 and self.k <= config.largest_k
        if not small or max(self.m, self.n) > most or (keep and not fits):
            self._raise("bad_dimension")
            return
        if reuse and (self.kept is None or self.kept[1:] != (self.n, self.k)):
            self._raise("no_kept_b")
            return
        self.state, self.keep = "busy", keep
        self.b_kept = self.kept[0] if reuse and self.kept else None
        self.kept = None
        row = self.k * self.word or steps * self.record_a
        self.sizes = (self.m * row, self.n * steps * self.record_b)
        tiles = -(-self.m // config.rows)
        self.passes = 0 if reuse else 1 if keep else tiles
        self.got, self.tile = [bytearray(), bytearray()], 0
        self._plan()
        self.counted = dict.fromkeys(self.counted, 0)
        self.counted["busy"] = (
            tiles * -(-self.n // config.cols) * steps * config.block // config.lanes
        )
        self.counted["cycles"] = self.counted["busy"] + 20
        self._work()

    def _fail(self, name: str) -> None:
        self._raise(name)
        size = 1 if self.config.requantize != NONE else self.config.word.width // 8
        self.c, self.c_ends = bytearray(size), True
        self.state = "failing"
        self._work()

    # Streams.

    def take(self, stream: int, data: bytes, last: bool) -> bool:
        """Offer a beat; return whether it was taken."""
        if len(self.waiting[stream]) >= _AHEAD:
            return False
        self.waiting[stream].append((data, last))
        self.open[stream] = not last
        self._work()
        return True

    def give(self, size: int) -> tuple[bytes, bool] | None:
        """Give a beat of C of `size` bytes, fewer at the end of a packet, if there is one."""
        if len(self.c) < size and not (self.c_ends and self.c):
            return None
        beat = bytes(self.c[:size])
        del self.c[:size]
        last = self.c_ends and not self.c
        if last:
            self.c_ends = False
            if self.state == "failing":
                self.state = "failed"
            else:
                self.state, self.done = "idle", True
                self.interrupts |= mask("interrupt_status", "done")
                if self.keep:
                    b = self.b_kept if self.b_kept is not None else bytes(self.got[1])
                    self.kept = (b, self.n, self.k)
        self._work()
        return beat, last

    def _wants(self, stream: int) -> bool:
        """Whether the memory has room for the next byte of a stream."""
        total = self.sizes[stream] * (1 if stream == 0 else self.passes)
        have = len(self.got[stream])
        if have >= total:
            return False
        across = -(-self.n // self.config.cols)
        if stream == 0:
            tile_row = have // (self.sizes[0] // self.m * self.config.rows)
            return tile_row < self.tile // across + 2
        if self.keep:
            return True
        column_bytes = self.sizes[1] // self.n
        done, rest = divmod(have, self.sizes[1])
        return done * across + rest // (column_bytes * self.config.cols) < self.tile + 2

    def _work(self) -> None:
        """Move what can move, until nothing does."""
        moved = True
        while moved:
            moved = False
            for stream in (0, 1):
                if not self.waiting[stream]:
                    continue
                if self.state in ("failing", "failed"):
                    self.waiting[stream].clear()
                elif self.state == "busy" and self._wants(stream):
                    self._judge(stream, *self.waiting[stream].pop(0))
                    moved = True
            moved |= self.state == "busy" and self._compute()

    def _judge(self, stream: int, data: bytes, last: bool) -> None:
        size, at = self.sizes[stream], len(self.got[stream])
        left = size - at % size
        self.got[stream] += data[:left]
        name = "ab"[stream]
        if last and len(data) < left:
            self._fail(f"{name}_early")
        elif len(data) > left or (len(data) == left and not last):
            self._fail(f"{name}_late")

    def _plan(self) -> None:
        """Find what the next tile needs; if B stays, all tiles of its row are computed at once."""
        config = self.config
        across = -(-self.n // config.cols)
        down, right = divmod(self.tile, across)
        after = across if self.keep else right + 1
        row, column = self.sizes[0] // self.m, self.sizes[1] // self.n
        base = 0 if self.keep else down * self.sizes[1]
        # Blocks of C are cut from whole rows.
        left = 0 if config.requantize != NONE else right * config.cols
        end = min(after * config.cols, self.n)
        self._next = down * across + after
        self._is_result = config.requantize == NONE or end == self.n
        self._rows = slice(down * config.rows * row, min((down + 1) * config.rows, self.m) * row)
        self._columns = slice(base + left * column, base + end * column)

    def _compute(self) -> bool:
        """Compute the next tile if its operands are there."""
        b = self.b_kept if self.b_kept is not None else self.got[1]
        if len(self.got[0]) < self._rows.stop or len(b) < self._columns.stop:
            return False
        if self._rows.start >= self.sizes[0]:
            return False
        if self._is_result:
            self._results(bytes(self.got[0][self._rows]), bytes(b[self._columns]))
        self.tile = self._next
        self._plan()
        self.c_ends |= self._rows.start >= self.sizes[0]
        return True

    def _results(self, raw_a: bytes, raw_b: bytes) -> None:
        config, k = self.config, self.k
        steps = -(-k // config.block)
        b = np.frombuffer(raw_b, np.uint8).reshape(-1, steps, self.record_b)
        qb = golden.unpack(b, config.format_b, (k, len(b)), axis=0, block=config.block)
        if self.word:
            qa, _ = operand_a(config, np.frombuffer(raw_a, self.dtype).reshape(-1, k))
        else:
            a = np.frombuffer(raw_a, np.uint8).reshape(-1, steps, self.record_a)
            qa = golden.unpack(a, config.format_a, (len(a), k), axis=1, block=config.block)
        c, flags = expected(config, qa, qb)
        for name in flags:
            self._raise(name)
        self.c += pack_c(config, c)
