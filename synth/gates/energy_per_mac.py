"""Energy a multiply-accumulate: a unit's mapped netlist under traffic, its gates' acts counted.

`amxfp4.synth.gates.energy_model` says how energies follow from what was counted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from amxfp4.synth.flow import results
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.run import run
from amxfp4.synth.gates import activity, cells, energy_model
from amxfp4.synth.gates import graph as netlist
from amxfp4.synth.gates.activity import Activity, TrafficError
from amxfp4.synth.gates.cells import Library
from amxfp4.synth.gates.energy_model import INPUTS, Conditions, Energy
from amxfp4.synth.gates.gates import Simulation
from amxfp4.synth.gates.graph import Netlist

__all__ = ["FILE", "EnergyRow", "Workload", "component_of", "measure"]

FILE = Path("synth") / "energy.csv"
"""Where `measure` keeps its rows, below the folder of builds."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Data for a unit, as streams that run side by side."""

    name: str
    beats: npt.NDArray[np.uint32]
    """Input payloads [streams, n, words], bit 0 of a payload in bit 0 of word 0."""
    expected: npt.NDArray[np.uint8]
    """Output payloads [streams, n_out, bytes]: what is measured must be right."""
    work: int
    """Multiply-accumulates, or elements, that one input payload stands for."""
    skip: int
    """Payloads of a stream that enter before counting begins, to fill the pipeline."""


@dataclass(frozen=True, kw_only=True)
class EnergyRow:
    """Energy of a unit, or of one of its components, under one workload.

    Energies are in femtojoules for each multiply-accumulate (each element of a quantizer or
    dequantizer). docs/energy.md says what they mean.
    """

    key: str
    """16 hexadecimal digits of the measurement, and the component."""
    unit: str
    component: str = ""
    """Empty for the whole."""
    digest: str
    format: str | None = None
    format_a: str | None = None
    format_b: str | None = None
    block: int | None = None
    lanes: int | None = None
    rows: int | None = None
    cols: int | None = None
    input: str | None = None
    output: str | None = None
    ties: str | None = None
    acc: str | None = None
    max_blocks: int | None = None
    frac_bits: int | None = None
    int_bits: int | None = None
    class_sums: str | None = None
    pipeline: str | None = None
    netlist: str
    """Key of the synthesis."""
    hierarchy: bool
    script: str
    liberty: str
    workload: str
    voltage: float
    frequency_mhz: float
    slew_ps: float
    wire_load: str
    cycles: int
    """Counted ones, of all streams."""
    macs: int
    """Multiply-accumulates, or elements, in them."""
    toggles: float
    """Changes of nets for each of those."""
    switching_fj: float
    internal_fj: float
    leakage_fj: float
    clock_fj: float
    total_fj: float
    seconds: float = 0.0


def component_of(path: str, unit: str) -> str:
    """Component that an instance belongs to, by its path from the top module down.

    What is in the unit itself counts under the unit's name. A processing element is told apart into
    its own components, under ``element.``; equal ones count as one, whatever their number.
    """
    if path == INPUTS:
        return INPUTS
    modules = [re.sub(r"\$\d+$|(_\d+)+$", "", part) for part in path.split(".")[:-1]]
    depth = 2 if modules[:1] == ["element"] else 1
    return ".".join(modules[:depth]) or unit


def _key(job: Job, workload: Workload, conditions: Conditions) -> str:
    """Digest of all that decides the result, this code included."""
    state = hashlib.sha256()
    for module in (activity, cells, energy_model, netlist):
        state.update(Path(str(module.__file__)).read_bytes())
    parts = [job.key, workload.name, workload.work, workload.skip, workload.beats.shape, conditions]
    state.update(repr(parts).encode())
    state.update(np.ascontiguousarray(workload.beats).tobytes())
    return state.hexdigest()[:16]


def measure(
    job: Job,
    workload: Workload,
    conditions: Conditions | None = None,
    build: Path = Path("build"),
    *,
    again: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[EnergyRow]:
    """Measure the energy of a unit, or find the rows of when it was measured.

    Parameters
    ----------
    job
        A whole unit for target ``liberty``; with `hierarchy` there is a row for each component.
    workload
        What goes through it, and what must come out.
    conditions
        Clock, wires and slopes; `Conditions()` by default.
    build
        Folder of builds.
    again
        Measure even if there are rows.
    progress
        Called with the number of payloads taken and of all payloads of a stream.

    Returns
    -------
    The row of the whole, then those of the components.

    Raises
    ------
    ValueError
        The job is not of that kind, or a condition is not what it must be.
    SynthesisError
        A program of the flow failed.
    TrafficError
        The netlist's results are not the expected ones.
    """
    conditions = conditions or Conditions()
    if job.target != "liberty" or job.component is not None:
        raise ValueError(f"job must be a whole unit for target liberty, not {job!r}")
    key = _key(job, workload, conditions)
    kept = [r for r in results.read(build / FILE, EnergyRow) if r.key.split(".")[0] == key]
    if kept and not again:
        return kept
    library = cells.read(job.liberty)
    if conditions.slew is None:
        conditions = dataclasses.replace(conditions, slew=energy_model.usual_slew(library))
    if conditions.wire_load:
        library.wire_load(conditions.wire_load)  # an unknown one is told before the work
    run(job, build)
    start = time.monotonic()
    flat = netlist.load(job.folder(build) / "netlist.v", job.top, library, job.liberty)
    done = _drive(flat, library, workload, progress)
    instances = energy_model.by_instance(flat, library, done, conditions)
    sums = energy_model.by_component(instances, lambda path: component_of(path, job.top))
    if not job.hierarchy:
        sums = {"": sums[""]}
    counted = workload.beats[:, workload.skip :]
    common = _identity(job) | {
        "workload": workload.name,
        "voltage": library.voltage,
        "frequency_mhz": conditions.frequency / 1e6,
        "slew_ps": round((conditions.slew or 0) * 1e12, 6),
        "wire_load": conditions.wire_load,
        "cycles": done.cycles,
        "macs": counted.shape[0] * counted.shape[1] * workload.work,
        "seconds": round(time.monotonic() - start, 2),
    }
    rows = [_row(f"{key}.{name}", name, energy, common) for name, energy in sums.items()]
    results.update(build / FILE, rows, EnergyRow)
    return rows


def _drive(
    flat: Netlist,
    library: Library,
    workload: Workload,
    progress: Callable[[int, int], None] | None,
) -> Activity:
    """Run the workload and compare every result."""
    simulation = Simulation(flat, library, len(workload.beats))
    done, outputs = activity.drive(
        simulation, workload.beats, workload.expected.shape[1], skip=workload.skip,
        progress=progress,
    )  # fmt: skip
    raw = np.ascontiguousarray(outputs, dtype="<u4").view(np.uint8)
    if not np.array_equal(raw[..., : workload.expected.shape[2]], workload.expected):
        raise TrafficError(f"every result must be the expected one in {workload.name}")
    return done


def _identity(job: Job) -> dict[str, Any]:
    """Columns that say what was measured."""
    columns = {field.name for field in dataclasses.fields(EnergyRow)}
    config = job.config.to_dict()
    return {name: value for name, value in config.items() if name in columns} | {
        "digest": job.config.digest,
        "netlist": job.key,
        "hierarchy": job.hierarchy,
        "script": job.script or "",
        "liberty": " ".join(path.name for path in job.liberty),
    }


def _row(key: str, component: str, energy: Energy, common: dict[str, Any]) -> EnergyRow:
    each = 1e15 / common["macs"]
    return EnergyRow(
        key=key,
        component=component,
        toggles=energy.toggles / common["macs"],
        switching_fj=energy.switching * each,
        internal_fj=energy.internal * each,
        leakage_fj=energy.leakage * each,
        clock_fj=energy.clock * each,
        total_fj=energy.total * each,
        **common,
    )
