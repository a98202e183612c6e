"""A generated unit as a Python object that runs whole batches."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from amxfp4.params.config import UnitConfig
from amxfp4.params.units import UNITS
from amxfp4.verif.sim import build, sources

__all__ = ["BatchDut", "ContractError", "Generated", "Run"]


class Generated(Protocol):
    """What the Verilog generator returns, and all that is read of it here."""

    @property
    def text(self) -> str:
        """Verilog."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest beside it."""


class ContractError(AssertionError):
    """The unit broke the stream contract, or did not deliver what it owes."""


class _Plan(ctypes.Structure):
    _fields_ = [
        ("beats", ctypes.c_void_p),
        ("outputs", ctypes.c_void_p),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "n_in", "n_out", "seed", "stall_in", "stall_out", "warm_cycles",
                "reset_chance", "idle_limit", "drain", "probe",
            )
        ),
        ("plusarg", ctypes.c_char_p),
    ]  # fmt: skip


class _Outcome(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "cycles", "taken", "given", "surplus", "first_in", "last_in", "first_out",
            "last_out", "violation", "violation_cycle", "in_warm_up", "resets",
        )
    ]  # fmt: skip


# By the numbers of `Violation` in harness.cpp.
_VIOLATIONS = {
    1: "o__valid fell before the transfer",
    2: "o__payload changed before the transfer",
    3: "o__valid is up after a reset",
    4: "o__valid depends on o__ready",
    5: "o__payload depends on o__ready",
    6: "no transfer on either side: the unit is stuck or a beat was dropped",
    7: "more outputs than the inputs account for",
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a batch did. Cycles count from the first one after reset, 0."""

    outputs: npt.NDArray[np.uint32]
    """Output beats [n_out, words]."""
    cycles: int
    """Cycles until the last expected output, warm-up and drain not counted."""
    taken: int
    given: int
    first_in: int
    last_in: int
    first_out: int
    last_out: int
    resets: int
    """Resets during the warm-up."""


class BatchDut:
    """One unit, compiled; every `run` starts from a fresh model and a reset.

    Parameters
    ----------
    unit
        A configuration, which is generated first, or Verilog and manifest already generated.
    cache
        Folder of builds.
    optimize
        As `build.build`.
    plusarg
        What the Verilog may ask for with ``$value$plusargs``, as ``+bug=3``.

    Members
    -------
    manifest : the manifest of the Verilog
    config : the configuration, read back from the manifest
    build_seconds : time spent building; 0 when the build was there already

    Raises
    ------
    ToolError
        A tool is missing or fails.
    """

    def __init__(
        self,
        unit: UnitConfig | Generated,
        *,
        cache: Path = build.CACHE,
        optimize: bool = True,
        plusarg: str = "",
    ) -> None:
        if isinstance(unit, UnitConfig):
            unit = sources.source(unit, cache)
        self.manifest = unit.manifest
        fields = self.manifest.get("config")
        self.config: Any = UNITS[self.manifest["unit"]].from_dict(fields) if fields else None
        path, self.build_seconds = build.build(unit.text, self.manifest, cache, optimize=optimize)
        self._plusarg = plusarg.encode() or None
        self._library = ctypes.CDLL(str(path))
        self._library.amxfp4_run.argtypes = [ctypes.POINTER(_Plan), ctypes.POINTER(_Outcome)]
        for side in ("in", "out"):
            getattr(self._library, f"amxfp4_{side}_words").restype = ctypes.c_uint64
        self.in_words = int(self._library.amxfp4_in_words())
        self.out_words = int(self._library.amxfp4_out_words())

    def run(
        self,
        beats: npt.NDArray[np.uint32],
        n_out: int,
        *,
        stall_in: float = 0.0,
        stall_out: float = 0.0,
        seed: int = 0,
        reset_chance: float = 0.0,
        probe: bool | None = None,
    ) -> Run:
        """Send `beats`, collect `n_out` outputs, and hold the unit to the stream contract.

        Parameters
        ----------
        beats : uint32 [n, in_words]
            Input payloads, bit 0 of a payload in bit 0 of word 0.
        n_out
            Outputs that the beats account for; one more or one less is an error.
        stall_in, stall_out
            Chance of a cycle in which the source (the sink) pauses; 0 is full speed, below 1.
        seed
            Of the stalls and the resets.
        reset_chance
            When not 0, the batch is preceded by traffic with resets at this chance a cycle.
        probe
            Check in every cycle that the outputs do not depend on ``o__ready``, at one more
            evaluation a cycle; ``None`` for: when there are stalls.

        Raises
        ------
        ContractError
            The contract is broken, an output is missing, or there is one too many.
        ValueError
            `beats` has the wrong shape or holds nothing.
        """
        beats = np.ascontiguousarray(beats, dtype=np.uint32)
        if beats.ndim != 2 or beats.shape[1] != self.in_words or not len(beats):
            raise ValueError(f"beats must be [n > 0, {self.in_words}], not {beats.shape!r}")
        for name, chance in (("stall_in", stall_in), ("stall_out", stall_out)):
            if not 0 <= chance < 1:
                raise ValueError(f"{name} must be from 0 up to, not including, 1, not {chance!r}")
        outputs = np.zeros((n_out, self.out_words), np.uint32)
        stalls = stall_in > 0 or stall_out > 0
        plan = _Plan(
            beats=beats.ctypes.data,
            outputs=outputs.ctypes.data,
            n_in=len(beats),
            n_out=n_out,
            seed=seed & (2**64 - 1),
            stall_in=int(stall_in * 2**32),
            stall_out=int(stall_out * 2**32),
            warm_cycles=int(40 / reset_chance) if reset_chance else 0,
            reset_chance=int(reset_chance * 2**32),
            # Longer than any pipeline is deep, and than chance would make a run of stalls.
            idle_limit=10_000,
            drain=1_000,
            probe=stalls if probe is None else probe,
            plusarg=self._plusarg,
        )
        outcome = _Outcome()
        self._library.amxfp4_run(ctypes.byref(plan), ctypes.byref(outcome))
        if outcome.violation:
            raise ContractError(
                f"{_VIOLATIONS[outcome.violation]}, in cycle {outcome.violation_cycle}"
                f"{' of the warm-up' if outcome.in_warm_up else ''} "
                f"({outcome.taken} of {len(beats)} beats in, {outcome.given} of {n_out} out; "
                f"stall_in={stall_in!r}, stall_out={stall_out!r}, "
                f"reset_chance={reset_chance!r}, seed={seed!r})"
            )
        fields = {f.name for f in dataclasses.fields(Run)} - {"outputs"}
        return Run(outputs=outputs, **{name: int(getattr(outcome, name)) for name in fields})
