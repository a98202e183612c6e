"""Energy a multiply-accumulate: a unit's mapped netlist under traffic, its gates' acts counted.

`amxfp4.synth.gates.energy_model` says how energies follow from what was counted.
"""

from __future__ import annotations

import dataclasses
import json
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
from amxfp4.synth.flow.results import Subject
from amxfp4.synth.flow.run import run
from amxfp4.synth.gates import activity, cells, energy_model
from amxfp4.synth.gates import graph as netlist
from amxfp4.synth.gates.activity import Activity, TrafficError
from amxfp4.synth.gates.cells import Library
from amxfp4.synth.gates.energy_model import INPUTS, Conditions, Energy
from amxfp4.synth.gates.graph import Netlist
from amxfp4.synth.gates.simulation import Simulation
from amxfp4.util.files import digest, locked, write

__all__ = ["FILE", "TABLE", "EnergyRow", "Workload", "component_of", "measure", "read"]

PARTS = ("switching", "internal", "leakage", "clock", "total")

FILE = "energy.json"
"""In the folder of a circuit: rows by measurement. The truth, of which the table is made."""

TABLE = Path("synth") / "energy.csv"
"""All rows, below the folder of builds."""


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
class EnergyRow(Subject):
    """Energy of a unit, or of one of its components, under one workload.

    Its key is that of the measurement, and the component. Energies are in femtojoules for each
    multiply-accumulate (each element of a quantizer or dequantizer). docs/energy.md says what they
    mean.
    """

    netlist: str
    """Key of the synthesis."""
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

    What is in the unit itself counts under the unit's name. A processing element is divided into
    its own components, under ``element.``; equal ones count as one, whatever their number.
    """
    if path == INPUTS:
        return INPUTS
    modules = [re.sub(r"\$\d+$|(_\d+)+$", "", part) for part in path.split(".")[:-1]]
    depth = 2 if modules[:1] == ["element"] else 1
    return ".".join(modules[:depth]) or unit


def _key(job: Job, workload: Workload, conditions: Conditions) -> str:
    """Digest of all that decides the result, this code included."""
    code = (Path(str(m.__file__)).read_bytes() for m in (activity, cells, energy_model, netlist))
    parts = [job.key, workload.name, workload.work, workload.skip, workload.beats.shape, conditions]
    return digest(*code, repr(parts), np.ascontiguousarray(workload.beats).tobytes())


def read(build: Path) -> list[EnergyRow]:
    """Rows of all that was ever measured in a folder of builds; none if there is no folder."""
    kept = results.gather(build, FILE)
    return [EnergyRow(**row) for circuit in kept for rows in circuit.values() for row in rows]


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
    file = job.folder(build) / FILE
    kept = json.loads(file.read_text()) if file.exists() else {}
    if key in kept and not again:
        return [EnergyRow(**row) for row in kept[key]]
    library = cells.read(job.liberty)
    if conditions.slew is None:
        conditions = dataclasses.replace(conditions, slew=energy_model.usual_slew(library))
    if conditions.wire_load:
        library.wire_load(conditions.wire_load)  # an unknown one is refused before the work
    run(job, build)
    start = time.monotonic()
    flat = netlist.load(job.folder(build) / "netlist.v", job.top, library, job.liberty)
    done = _drive(flat, library, workload, progress)
    instances = energy_model.by_instance(flat, library, done, conditions)
    sums = energy_model.by_component(instances, lambda path: component_of(path, job.top))
    if not job.hierarchy:
        sums = {"": sums[""]}
    counted = workload.beats[:, workload.skip :]
    common = results.subject(job) | {
        "netlist": job.key,
        "liberty": " ".join(path.name for path in job.liberty),
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
    with locked((build / TABLE).with_suffix(".lock")):
        kept = json.loads(file.read_text()) if file.exists() else {}
        write(file, json.dumps({**kept, key: [dataclasses.asdict(row) for row in rows]}))
        results.write_table(build / TABLE, read(build))
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


def _row(key: str, component: str, energy: Energy, common: dict[str, Any]) -> EnergyRow:
    each = 1e15 / common["macs"]
    parts = {f"{name}_fj": getattr(energy, name) * each for name in PARTS}
    toggles = energy.toggles / common["macs"]
    return EnergyRow(**{**common, "key": key, "component": component}, toggles=toggles, **parts)
