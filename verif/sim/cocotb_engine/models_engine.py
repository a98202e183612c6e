"""Golden model of `engine`: the bytes on its three streams, as docs/units/engine.md has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4 import golden
from amxfp4.golden import Blocks, stimulus
from amxfp4.golden.blocks import by_name
from amxfp4.golden.engine import operand_a, pack_c, product
from amxfp4.params.engine import NONE, RECORDS, EngineConfig
from amxfp4.params.formats import BlockFormat

__all__ = ["EngineModel", "Job", "constants", "pick"]

_CODES = {
    "format": (
        "amxfp4", "amxfp4-e4m3", "amxfp4-pot", "amxfp4-pot-roundup", "mxfp4", "mxfp4-roundup",
        "mxfp4-e5m2", "mxfp4-e4m3", "nvfp4", "mxfp4-rceil", "amxfp4-ue5m3", "nvfp4-ue5m3",
        "nvfp4-46", "int4", "int4-e4m3", "int4-asym", "int4-asym-e4m3",
    ),
    "input": ("bf16", "fp16", "fp32"),
    "output": ("bf16", "fp32"),
    "acc": ("exact", "fixed", "fp32"),
    "ties": ("RNA", "RNE"),
}  # fmt: skip
"""The codes of docs/units/engine.md, copied by hand: a second look at what the table generates."""


def _code(kind: str, name: str) -> int:
    return 255 if name in (NONE, RECORDS) else _CODES[kind].index(name)


def constants(manifest: dict[str, Any]) -> dict[str, int]:
    """List what every constant register reads, from the manifest and the tables of the document."""
    c = manifest["config"]
    digest = manifest["digest"]
    formats = [_code("format", c[n]) for n in ("format_a", "format_b", "requantize")]
    return {
        "id": 0x414D5834,
        "version": 0x00010000,
        "digest_low": int(digest[-8:], 16),
        "digest_high": int(digest[:8], 16),
        "shape": c["rows"] | c["cols"] << 8 | c["lanes"] << 16 | c["block"] << 24,
        "formats": sum(v << 8 * n for n, v in enumerate([*formats, _code("input", c["input"])])),
        "numerics": (
            _code("acc", c["acc"])
            | _code("output", c["output"]) << 4
            | _code("ties", c["ties"]) << 8
            | (c["frac_bits"] or 0) << 16
            | (c["int_bits"] or 0) << 24
        ),
        "depths": c["depth_a"] | c["depth_b"] << 16,
        "streams": c["bytes_a"] | c["bytes_b"] << 8 | c["bytes_c"] << 16 | 48 << 24,
        "max_m": 1048575,
        "max_n": 1048575,
        "max_k": min(c["depth_a"], c["depth_b"]) * c["block"],
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A job: its registers, the bytes that go in, and the bytes that must come out."""

    m: int
    n: int
    k: int
    a: Blocks
    b: Blocks
    raw_a: bytes
    """A's packet."""
    raw_b: bytes
    """A packet of B; there are `passes` of them."""
    raw_c: bytes
    """C's packet."""
    c: npt.NDArray[np.float32]
    """What golden computes, [M, N]."""
    flags: int
    """Expected acc_inexact and acc_overflow, bits 0 and 1."""
    passes: int
    keep: bool = False
    reuse: bool = False

    @property
    def bits(self) -> int:
        """Value of the register `job`."""
        return self.keep | self.reuse << 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """M, N and K."""
        return self.m, self.n, self.k


def pick(rng: np.random.Generator, choices: Sequence[int]) -> int:
    """Draw one of some integers."""
    return int(choices[int(rng.integers(len(choices)))])


class EngineModel:
    """Makes jobs for one configuration."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.row_a, self.row_b = config.rows_ab
        self.element_bytes = 1 if config.requantize != NONE else config.word.width // 8
        """Bytes of C that end the packet of a job that failed."""

    def steps(self, k: int) -> int:
        """Blocks of a row of A."""
        return -(-k // self.config.block)

    def tiles(self, m: int, n: int) -> int:
        """Tiles of C."""
        return -(-m // self.config.rows) * -(-n // self.config.cols)

    def busy(self, job: Job) -> int:
        """Count what `busy` must read: every step takes block / lanes cycles."""
        config = self.config
        return self.tiles(job.m, job.n) * self.steps(job.k) * (config.block // config.lanes)

    def shape(self, rng: np.random.Generator) -> tuple[int, int, int]:
        """Draw M, N and K: edges of tiles and blocks more often than not."""
        config = self.config
        block, most = config.block, config.largest_k

        def tiled(size: int) -> int:
            edges = (1, size, size + 1, 2 * size - 1, 2 * size, 3 * size + 1)
            return pick(rng, (*edges, int(rng.integers(1, 4 * size + 2))))

        edges = (1, block - 1, block, block + 1, 2 * block, most - 1, most)
        k = pick(rng, (*edges, int(rng.integers(1, most + 1)), int(rng.integers(1, block))))
        return tiled(config.rows), tiled(config.cols), min(k, most)

    def job(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int, int] | None = None,
        *,
        kind: str = "any",
        keep: bool = False,
        kept: Job | None = None,
    ) -> Job:
        """Make a job of random operands.

        Parameters
        ----------
        rng
            Source of randomness.
        shape
            M, N and K; by default drawn.
        kind
            Of the operands: ``plain``, finite and of ordinary magnitude, so that no result hides
            another; ``special``, every family of words and records; ``clean``, so that
            no sum raises a flag; ``any``, one of the first two.
        keep
            Whether B is sent once, and kept.
        kept
            A job whose B serves again.
        """
        m, n, k = self.shape(rng) if shape is None else shape
        if kind == "any":
            kind = ("plain", "plain", "special")[int(rng.integers(3))]
        a, raw_a = self._operand_a(rng, m, k, kind)
        b = self._records(rng, self.row_b, n, k, kind) if kept is None else kept.b
        c, raised = product(self.config, a, b)
        flags = 0 if raised is None else sum(1 << i for i in range(2) if raised[..., i].any())
        passes = 0 if kept else 1 if keep else -(-m // self.config.rows)
        return Job(
            m=m, n=n, k=k, a=a, b=b, c=c, raw_a=raw_a, raw_b=golden.pack(b).tobytes(),
            raw_c=pack_c(self.config, c), flags=flags, passes=passes,
            keep=keep, reuse=kept is not None,
        )  # fmt: skip

    def again(self, job: Job, *, keep: bool) -> Job:
        """Make the same job with a B that is sent for each row tile, or once."""
        passes = 1 if keep else -(-job.m // self.config.rows)
        return replace(job, keep=keep, reuse=False, passes=passes)

    def _values(
        self, rng: np.random.Generator, shape: tuple[int, int], kind: str
    ) -> npt.NDArray[np.float32]:
        """Draw values of ordinary magnitude; clean ones have few digits, and most are zeros."""
        if kind == "plain":
            return rng.standard_normal(shape).astype(np.float32)
        return (rng.integers(-1, 2, shape) * (rng.random(shape) < 0.3)).astype(np.float32)

    def _records(
        self, rng: np.random.Generator, row: BlockFormat, count: int, k: int, kind: str
    ) -> Blocks:
        """Draw records of `count` rows or columns, zeros behind K."""
        if kind in ("plain", "clean"):
            x = self._values(rng, (count, k), kind)
            return golden.quantize(x, row.name, block=row.block)
        steps = self.steps(k)
        nan = float(rng.choice([0.0, 0.02, 0.2]))
        codes, pos, other = stimulus.records(rng, count * steps, row, nan=nan)
        behind = np.arange(steps * row.block).reshape(steps, row.block) >= k
        if other is not None:
            other = other.reshape(count, steps)
        zero = other[..., None] if row.zero_point and other is not None else np.uint8(0)
        codes = np.where(behind, zero, codes.reshape(count, steps, row.block))
        return Blocks(
            codes, pos.reshape(count, steps), format=row.name, shape=(count, k),
            **by_name(row, other),
        )  # fmt: skip

    def _operand_a(
        self, rng: np.random.Generator, m: int, k: int, kind: str
    ) -> tuple[Blocks, bytes]:
        config = self.config
        if config.input == RECORDS:
            return operand_a(config, self._records(rng, self.row_a, m, k, kind))
        if kind in ("plain", "clean"):
            return operand_a(config, self._values(rng, (m, k), kind))
        raw = stimulus.blocks(
            rng, m * self.steps(k), config.block, config.input, formats=(config.format_a,)
        )
        return operand_a(config, raw.reshape(m, -1)[:, :k])
