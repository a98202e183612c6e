"""Measurements of whole units: kept, checked against golden, broken down by component."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4 import cli
from amxfp4.commands import energy as command
from amxfp4.params.array import ArrayConfig
from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.run import run
from amxfp4.synth.gates import activity
from amxfp4.synth.gates import energy_per_mac as measures
from amxfp4.synth.gates.activity import TrafficError
from amxfp4.synth.gates.energy_model import Conditions
from amxfp4.synth.gates.energy_per_mac import Workload, component_of, measure
from amxfp4.verif.sim.build import CACHE

TINY = Path(__file__).parents[1] / "tiny.lib"
CONFIG = DequantizerConfig(block=16, lanes=8)
UNIT = ["dequantizer", "--block", "16", "--lanes", "8", "--liberty", str(TINY)]


def job_of(config: UnitConfig = CONFIG, **options: Any) -> Job:
    """Make a job for the tiny library."""
    return Job(config=config, target="liberty", liberty=(TINY,), **options)


@functools.cache
def workload() -> Workload:
    """Give 64 streams of the first of the workloads of the small unit."""
    whole = next(command.workloads(CONFIG))
    return dataclasses.replace(whole, beats=whole.beats[:64], expected=whole.expected[:64])


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Map the unit once."""
    build = tmp_path_factory.mktemp("mapped")
    run(job_of(), build)
    return build


@pytest.fixture
def build(mapped: Path, tmp_path: Path) -> Path:
    """Make a folder of builds in which the unit is mapped already."""
    return Path(shutil.copytree(mapped, tmp_path / "build"))


def test_measurement_adds_up(tmp_path: Path) -> None:
    """Components make the whole, parts make the total, and rows are kept as they were."""
    rows = measure(job_of(hierarchy=True), workload(), build=tmp_path)
    whole, parts = rows[0], rows[1:]
    assert whole.component == ""
    assert {"inputs", "dequantizer"} < {row.component for row in parts}
    for column in ("switching_fj", "internal_fj", "leakage_fj", "clock_fj", "total_fj", "toggles"):
        assert sum(getattr(row, column) for row in parts) == pytest.approx(getattr(whole, column))
        assert getattr(whole, column) > 0
    energies = (whole.switching_fj, whole.internal_fj, whole.leakage_fj, whole.clock_fj)
    assert whole.total_fj == pytest.approx(sum(energies))
    # Two cycles to a record of 16 elements, after those that fill the pipeline.
    assert whole.macs == whole.cycles * CONFIG.lanes
    assert measures.read(tmp_path) == rows


def test_measurement_is_kept(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured is not measured again, unless something differs or it is asked for."""
    first = measure(job_of(), workload(), build=build)
    assert len(first) == 1
    runs: list[Any] = []
    drive = activity.drive

    def counted(*arguments: Any, **options: Any) -> Any:
        runs.append(arguments)
        return drive(*arguments, **options)

    monkeypatch.setattr(activity, "drive", counted)
    assert measure(job_of(), workload(), build=build) == first
    assert not runs
    slow = measure(job_of(), workload(), Conditions(frequency=1e6), build)[0]
    assert slow.leakage_fj == pytest.approx(100 * first[0].leakage_fj)
    assert slow.clock_fj == pytest.approx(first[0].clock_fj)
    other = dataclasses.replace(workload(), skip=workload().skip + 1)
    measure(job_of(), other, build=build)
    measure(job_of(), workload(), build=build, again=True)
    assert len(runs) == 3
    assert len(measures.read(build)) == 3


def test_wrong_results_are_no_measurement(build: Path) -> None:
    """The energy of a circuit that computes something else is not reported."""
    right = workload()
    expected = right.expected.copy()
    expected[-1, -1, -1] ^= 1
    with pytest.raises(TrafficError, match="every result must be the expected one in attn_in"):
        measure(job_of(), dataclasses.replace(right, expected=expected), build=build)
    short = dataclasses.replace(right, expected=right.expected[:, :-1])
    with pytest.raises(TrafficError, match="outputs must be"):
        measure(job_of(), short, build=build)
    assert not (build / measures.TABLE).exists()


@pytest.mark.parametrize(
    ("options", "conditions", "said"),
    [
        ({"target": "generic", "liberty": ()}, Conditions(), "whole unit for target liberty"),
        ({"component": "scale_decoder"}, Conditions(), "whole unit for target liberty"),
        ({}, Conditions(wire_load="long"), "wire_load must be one of short"),
        ({}, Conditions(frequency=-1), "frequency must be above 0"),
    ],
)
def test_bad_measurement_is_refused(
    build: Path, options: dict[str, Any], conditions: Conditions, said: str
) -> None:
    """Bad input gives one clear line, and no row."""
    fields: dict[str, Any] = {"config": CONFIG, "target": "liberty", "liberty": (TINY,)}
    job = Job(**fields | options)
    with pytest.raises(ValueError, match=said):
        measure(job, workload(), conditions, build)
    assert not (build / measures.TABLE).exists()


@pytest.mark.parametrize(
    ("path", "component"),
    [
        ("_12_", "dot"),
        ("sequencer._3_", "sequencer"),
        ("sequencer.register_input._3_", "sequencer"),
        ("element._4_", "element"),
        ("element_0_3.class_sums._5_", "element.class_sums"),
        ("element.terms$74.scale_a_1._6_", "element.terms"),
        ("inputs", "inputs"),
    ],
)
def test_component_of_a_path(path: str, component: str) -> None:
    """Equal components count as one; a processing element is counted by itself."""
    assert component_of(path, "dot") == component


@pytest.mark.parametrize(
    "config",
    [DotConfig(lanes=32), ArrayConfig(rows=2, cols=4), QuantizerConfig(lanes=8), CONFIG],
    ids=lambda config: config.unit,
)
def test_workloads_fill_their_streams(config: UnitConfig) -> None:
    """Real data for every unit: whole words of streams, and more counted than skipped."""
    one = next(command.workloads(config))
    streams, count, _ = one.beats.shape
    assert streams % 64 == 0
    assert len(one.expected) == streams
    assert count >= one.skip + 24
    assert len(np.unique(one.beats)) > 100


def test_shares_deal_everything_in_order() -> None:
    """As many streams as have enough to do; too little work is done more than once."""
    shares = command._shares(2048, 18, 30)
    assert shares.shape == (1024, 2)
    assert shares.ravel().tolist() == list(range(2048))
    few = command._shares(32, 18, 30)
    assert few.shape == (64, 2)
    assert set(few.ravel()) == set(range(32))


def test_command_prints_a_table(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each tensor and component, and what the figures stand for."""
    two = [workload(), dataclasses.replace(workload(), name="again")]
    monkeypatch.setattr(command, "workloads", lambda config: iter(two))
    options = ["--components", "--build", str(tmp_path), "--wire-load", "short"]
    arguments = ["synth", "energy", *UNIT, *options]
    assert cli.run(arguments) == 0
    said = capfd.readouterr().out
    assert said.count(" all ") == 2
    assert "fJ per element" in said
    assert "2 V, 100 MHz, inputs change in 200 ps, wires: short, glitches not counted" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["synth", "energy", "dequantizer"], "liberty must be at least one file"),
        (["synth", "energy", *UNIT, "--clock", "0"], "--clock must be above 0 MHz, not 0"),
        (["synth", "energy", *UNIT, "--wire-load", "x"], "wire_load must be one of short, not 'x'"),
        (
            ["synth", "energy", *UNIT, "--rows", "2"],
            "option of amxfp4 synth energy dequantizer must be one of --format, ",
        ),
        (["synth", "energy", "dequantizer", "--liberty", "no.lib"], "no.lib"),
        (["synth", "check", "dequantizer", "--target", "ice40"], "--target must be one of generic"),
        (["synth", "check", "dequantizer", "--blocks", "0"], "--blocks must be at least 1, not 0"),
    ],
)  # fmt: skip
def test_command_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    """One line that says what must be different, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIBERTY", raising=False)
    assert cli.run([*arguments, "--build", str(tmp_path / "build")]) == 2
    output = capfd.readouterr().err
    assert said in output
    assert output.count("\n") == 1


@pytest.mark.nightly  # by day its parts: simulation of netlists, proofs, the command line
def test_postsynth_command(build: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It says how much was compared and what was proved."""
    # The simulator's runtime is that of all tests: it takes longer than all else here.
    (CACHE / "batch").mkdir(parents=True, exist_ok=True)
    (build / "batch").symlink_to((CACHE / "batch").resolve())
    arguments = ["synth", "check", *UNIT, "--target", "liberty", "--blocks", "500", "--prove"]
    assert cli.run([*arguments, "--build", str(build)]) == 0
    said = capfd.readouterr().out
    assert "blocks of the netlist equal golden's" in said
    assert "proof of equivalence: proven" in said
