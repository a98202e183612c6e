"""Operands beside their values: as blocks for golden's own products, and what of them survives."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from amxfp4 import golden

from .model import Array

__all__ = ["Fidelity", "Kept"]


class Kept:
    """An operand as its blocks, for products that golden multiplies."""

    def __init__(self, blocks: golden.Blocks) -> None:
        self.blocks = blocks

    def take(self, n: int, axis: int) -> Kept:
        """Select one of what is along an axis, which blocks do not run along."""
        b = self.blocks
        place = axis - (b.axis < axis)  # blocks' axis comes last in codes and scales
        arrays = {
            f.name: value.take(n, place)
            for f in dataclasses.fields(b)
            if isinstance(value := getattr(b, f.name), np.ndarray)
        }
        shape = (*b.shape[:axis], *b.shape[axis + 1 :])
        kept: Any = arrays | {"shape": shape, "axis": b.axis - (axis < b.axis)}
        return Kept(dataclasses.replace(b, **kept))

    @property
    def T(self) -> Kept:
        """The transposed matrix."""
        b = self.blocks
        return Kept(dataclasses.replace(b, shape=b.shape[::-1], axis=1 - b.axis))


class Fidelity:
    """How much of the operands of a kind survives, over a whole forward pass."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}

    def add(self, operand: str, x: Array, y: Array) -> None:
        """Add a tensor and what stands for it, with sums of BLAS: good for a hundredth of a dB."""
        noise = (x - y).reshape(-1)
        signal = x.reshape(-1)
        sums = self.sums.setdefault(operand, [0.0, 0.0])
        sums[0] += float(np.vdot(signal, signal))
        sums[1] += float(np.vdot(noise, noise))

    @property
    def decibels(self) -> dict[str, float]:
        """SQNR of every kind of operand, 10 log10(sum x^2 / sum (x - y)^2), where it is finite."""
        return {
            operand: 10 * math.log10(signal / noise)
            for operand, (signal, noise) in self.sums.items()
            if 0 < noise < math.inf and 0 < signal < math.inf
        }
