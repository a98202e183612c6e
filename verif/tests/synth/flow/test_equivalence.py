"""Proofs that netlists do what the generated Verilog does, and simulation of the same netlists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.params.config import UnitConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.synth.flow import equivalence
from amxfp4.synth.flow.equivalence import ProofError, Verdict
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.run import run
from amxfp4.synth.gates.cell_models import complete
from amxfp4.verif.check.netlists import flipped, swapped
from amxfp4.verif.sim import postsynthesis
from amxfp4.verif.sim.batch.check import Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.sim.sources import Source

TINY = Path(__file__).parents[1] / "tiny.lib"
TARGETS = ("generic", "liberty", "ecp5")

DEQUANTIZER = DequantizerConfig(block=16, lanes=2)
WEIGHTS = WeightDequantizerConfig(format="afpq-fp3", lanes=2)
QUANTIZER = QuantizerConfig(block=16, lanes=1)
FEW_BITS: dict[str, Any] = {"block": 16, "lanes": 1, "acc": "fixed", "frac_bits": 8, "int_bits": 6}
SYMMETRIC = DotConfig(format_a="mxfp4-e5m2", format_b="mxfp4-e5m2", **FEW_BITS)
ASYMMETRIC = DotConfig(**FEW_BITS)
FP32 = DotConfig(block=16, lanes=1, format_a="mxfp4", format_b="mxfp4")


def job_of(config: UnitConfig, target: str, component: str | None = None) -> Job:
    """Make the job of a circuit for one of the targets."""
    liberty = (TINY,) if target == "liberty" else ()
    return Job(config=config, component=component, target=target, liberty=liberty)


def mapped(job: Job) -> str:
    """Give the netlist of a job, with models of its cells."""
    run(job)
    text = (job.folder(Path("build")) / "netlist.v").read_text()
    return complete(text, job.target, job.liberty)


PARTS = [
    (ASYMMETRIC, "element_product"), (ASYMMETRIC, "class_sums"),
    (QUANTIZER, "element_quantizer"), (QUANTIZER, "key_decoder"),
]  # fmt: skip
# By day one component and a whole unit stand for ECP5, for which synthesis takes longest.
BY_NIGHT = [part for part in PARTS if part[1] != "element_product"]


@pytest.mark.parametrize(
    ("config", "component", "target"),
    [
        pytest.param(
            *part, target,
            marks=[pytest.mark.nightly] if target == "ecp5" and part in BY_NIGHT else [],
        )
        for part in PARTS
        for target in TARGETS
    ],
    ids=lambda value: value if isinstance(value, str) else value.unit,
)  # fmt: skip
def test_component_is_proved(config: UnitConfig, component: str, target: str) -> None:
    """Combinational components, for all inputs."""
    job = job_of(config, target, component)
    assert equivalence.prove(job.verilog, mapped(job), job.top) is Verdict.PROVEN


@pytest.mark.by_day(3)  # components of every target are proved by day
@pytest.mark.parametrize("target", TARGETS)
def test_unit_is_proved(target: str) -> None:
    """A unit with all its registers, in every state after a reset."""
    job = job_of(DEQUANTIZER, target)
    assert equivalence.prove(job.verilog, mapped(job), job.top) is Verdict.PROVEN


@pytest.mark.nightly
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("config", [QUANTIZER, ASYMMETRIC, FP32], ids=["quantizer", "dot", "fp32"])
def test_larger_unit_is_proved(config: UnitConfig, target: str) -> None:
    """Units whose proofs take a minute each."""
    job = job_of(config, target)
    assert equivalence.prove(job.verilog, mapped(job), job.top, timeout=900) is Verdict.PROVEN


@pytest.mark.parametrize(
    ("config", "target"),
    [
        (DEQUANTIZER, "generic"),
        *(
            pytest.param(*late, marks=pytest.mark.nightly)
            for late in (
                (DEQUANTIZER, "liberty"),
                (DEQUANTIZER, "ecp5"),
                (WEIGHTS, "generic"),
                (WEIGHTS, "ecp5"),
                (QUANTIZER, "ecp5"),  # with a memory in LUTs
                (SYMMETRIC, "generic"),
                (SYMMETRIC, "liberty"),
                (SYMMETRIC, "ecp5"),
            )
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.unit,
)
def test_netlist_passes(
    rng: np.random.Generator, seed: int, blocks: int, config: UnitConfig, target: str
) -> None:
    """Netlists of the smallest units under the tests of their RTL."""
    dut = BatchDut(postsynthesis.netlist(job_of(config, target)), optimize=False)
    # A result is a sum of several blocks.
    assert postsynthesis.check(dut, rng, seed, blocks // 25) > blocks // 100


@pytest.mark.nightly
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "config",
    [
        QUANTIZER,
        QuantizerConfig(lanes=4),
        DequantizerConfig(lanes=4),
        WeightDequantizerConfig(lanes=4),
        DotConfig(lanes=2),
        FP32,
    ],
    ids=["narrow", "quantizer", "dequantizer", "weights", "dot", "fp32"],
)
def test_larger_netlist_passes(
    rng: np.random.Generator, seed: int, blocks: int, config: UnitConfig, target: str
) -> None:
    """Netlists of units as they are used."""
    dut = BatchDut(postsynthesis.netlist(job_of(config, target)), optimize=False)
    assert postsynthesis.check(dut, rng, seed, blocks // 25) > blocks // 100


# By day each fault, by night with every target.
@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("generic", flipped), ("liberty", swapped),
        pytest.param("ecp5", flipped, marks=pytest.mark.nightly),
        pytest.param("generic", swapped, marks=pytest.mark.nightly),
        pytest.param("liberty", flipped, marks=pytest.mark.nightly),
        pytest.param("ecp5", swapped, marks=pytest.mark.nightly),
    ],
)  # fmt: skip
def test_fault_is_caught(
    rng: np.random.Generator,
    seed: int,
    target: str,
    fault: Callable[[str, str, np.random.Generator], str],
) -> None:
    """A wrong gate and two swapped wires are refuted, and found by simulation."""
    job = job_of(DEQUANTIZER, target)
    source = postsynthesis.netlist(job)
    for _ in range(5):
        wrong = fault(source.text, target, rng)
        assert wrong != source.text
        # A gate may be redundant: then the netlist is as right as before, and that is proved.
        if equivalence.prove(job.verilog, wrong, job.top) is Verdict.REFUTED:
            break
    else:
        pytest.fail("none of five faults was refuted")
    with pytest.raises((Mismatch, ContractError)):
        postsynthesis.check(
            BatchDut(Source(wrong, source.manifest), optimize=False), rng, seed, 2_000
        )


def test_fault_in_a_component_is_refuted(rng: np.random.Generator) -> None:
    """Without registers, too."""
    job = job_of(ASYMMETRIC, "generic", "element_product")
    right = mapped(job)
    verdicts = [
        equivalence.prove(job.verilog, flipped(right, "generic", rng), job.top) for _ in range(3)
    ]
    assert Verdict.REFUTED in verdicts


def test_other_ports_are_no_proof() -> None:
    """Circuits that cannot be compared are an error, neither proved nor refuted."""
    job = job_of(ASYMMETRIC, "generic", "element_product")
    wider = mapped(job).replace("output [7:0] product", "output [8:0] product")
    with pytest.raises(ProofError, match="same ports"):
        equivalence.prove(job.verilog, wider, job.top)
    with pytest.raises(ProofError, match="must have a module 'other'"):
        equivalence.prove(job.verilog, wider, "other")
    empty = "module top(i);\n  input i;\nendmodule\n"
    with pytest.raises(ProofError, match="must have outputs"):
        equivalence.prove(empty, empty, "top")


def test_broken_netlist_is_no_proof() -> None:
    """What Yosys cannot read is an error with its reason."""
    job = job_of(ASYMMETRIC, "generic", "element_product")
    broken = mapped(job).replace("assign", "nonsense", 1)
    with pytest.raises(ProofError, match=r"Yosys stopped: .*syntax error"):
        equivalence.prove(job.verilog, broken, job.top)


def test_time_is_limited() -> None:
    """A proof that takes too long is no proof."""
    head = "module top(a, b, c, y);\n  input [11:0] a;\n  input [11:0] b;\n  input [11:0] c;\n"
    head += "  output [35:0] y;\n  assign y = 36'd0 + "
    left, right = ("a * b * c", "a * (24'd0 + b * c)")
    with pytest.raises(ProofError, match=r"no answer: .* did not end within 1 s"):
        equivalence.prove(
            f"{head}{left};\nendmodule\n", f"{head}{right};\nendmodule\n", "top", timeout=1
        )


def test_targets_without_models_are_refused() -> None:
    """Cells that nothing is known of are no netlist that can be run."""
    with pytest.raises(ValueError, match="target must be one of generic, liberty, ecp5"):
        postsynthesis.netlist(job_of(DEQUANTIZER, "ice40"))
    with pytest.raises(ValueError, match=r"cells for ecp5 must be of .*, not PDPW16KD"):
        complete("module m();\n  PDPW16KD #(\n  ) ram (\n  );\nendmodule\n", "ecp5")
    with pytest.raises(ValueError, match="component must be left out"):
        postsynthesis.netlist(job_of(ASYMMETRIC, "generic", "class_sums"))
