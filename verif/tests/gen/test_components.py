"""Every component of every unit: Verilog of its own, which Yosys takes."""

from __future__ import annotations

import dataclasses

import pytest

from amxfp4.gen.components import COMPONENTS, generate
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.params.units import UNITS
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.net_names import ports
from amxfp4.synth.flow.results import macs_per_cycle
from amxfp4.synth.flow.run import run

CONFIGS = [
    QuantizerConfig(lanes=1, block=16),
    DequantizerConfig(lanes=1, block=16),
    WeightDequantizerConfig(lanes=1, format="fpq-fp3"),
    DotConfig(lanes=2, block=16, format_a="mxfp4", format_b="mxfp4"),
    ArrayConfig(lanes=1, block=16, format_a="mxfp4", format_b="mxfp4", rows=1, cols=2),
    DotConfig(lanes=1, block=16),
    DotConfig(lanes=1, block=16, format_a="nvfp4", format_b="nvfp4", acc="fixed"),
    EngineConfig(lanes=4, block=16, rows=2, cols=3, depth_a=2, depth_b=2, acc="fixed"),
    EngineUartConfig(lanes=4, block=16, rows=1, cols=1, depth_a=2, depth_b=2, payload=64),
]
# By day the smallest of every kind.
LATE = CONFIGS[5:]
LARGE = ("block_product", "processing_element")


def _marks(config, name):
    # But for the sequencer an array's are those of a dot product: another test compares them.
    shared = config.unit == "array" and name != "sequencer"
    return [pytest.mark.nightly] if config in LATE or shared or name in LARGE else []


PARTS = [
    pytest.param(
        config, name, id=f"{config.unit}-{config.digest[:4]}-{name}", marks=_marks(config, name)
    )
    for config in CONFIGS
    for name in COMPONENTS[config.unit]
]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """One folder for all of them, so that a circuit shared by units is synthesized once."""
    return tmp_path_factory.mktemp("components")


@pytest.mark.parametrize(("config", "name"), PARTS)
def test_component_generates_and_synthesizes(config, name, build):
    """Whatever unit and mode, a component has its ports, some area and a depth."""
    job = Job(config=config, component=name)
    directions = {port.output for port in ports(job.verilog, name)}
    assert directions == {False, True}
    row = run(job, build)
    assert (row.unit, row.component, row.digest) == (config.unit, name, config.digest)
    # FP32 sums are FP32 results: wires.
    wires = name in ("sum_normaliser", "result_word") and config.acc == "fp32"
    assert (row.transistors == 0) == wires
    assert row.macs_per_cycle == macs_per_cycle(config, name) > 0


def test_every_unit_has_components():
    assert set(COMPONENTS) == set(UNITS)
    assert {config.unit for config in CONFIGS} == set(UNITS)
    assert all(COMPONENTS.values())


def test_generate_is_reproducible():
    config = DotConfig(lanes=2)
    text = generate(config, "class_sums")
    assert text.startswith(f"// amxfp4 dot/class_sums {config.digest}\n")
    assert text == generate(config, "class_sums")


@pytest.mark.nightly  # by day each component is generated alone
def test_array_shares_its_components_with_dot():
    """All but the sequencer, which serves several elements; the digest on top differs."""
    array = ArrayConfig(lanes=1, block=16, format_a="mxfp4", format_b="mxfp4", rows=2, cols=3)
    for name in COMPONENTS["dot"]:
        jobs = [Job(config=config, component=name) for config in (array, array.element)]
        assert (jobs[0].verilog == jobs[1].verilog) == (name != "sequencer")
        assert jobs[0].key != jobs[1].key


def test_block_product_takes_all_lanes():
    """However many lanes a unit has, its block product has them all."""
    few, all_ = (
        DotConfig(lanes=lanes, block=16, format_a="mxfp4", format_b="mxfp4") for lanes in (1, 16)
    )
    texts = {Job(config=config, component="block_product").verilog for config in (few, all_)}
    assert len(texts) == 1
    assert macs_per_cycle(few, "block_product") == 16


@pytest.mark.parametrize(
    ("component", "macs"),
    [(None, 24), ("sequencer", 24), ("class_sums", 4), ("element_product", 1), ("adder", 4)],
)
def test_macs_per_cycle(component, macs):
    config = ArrayConfig(lanes=4, rows=2, cols=3)
    assert macs_per_cycle(config, component) == macs


def test_init_wrong_component():
    with pytest.raises(ValueError, match=r"^component must be one of key_decoder.*, not 'median'$"):
        generate(QuantizerConfig(), "median")


def test_init_wrong_config():
    with pytest.raises(TypeError, match=r"^config must be the configuration of a unit, not 'dot'$"):
        generate("dot", "adder")


def test_changed_parameter_changes_the_text():
    """That the comparisons above can fail."""
    config = DotConfig(lanes=2)
    other = dataclasses.replace(config, class_sums="masked")
    assert generate(config, "class_sums") != generate(other, "class_sums")
