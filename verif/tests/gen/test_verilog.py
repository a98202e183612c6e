# amaranth: UnusedElaboratable=no
"""Generation: the same bytes again, a manifest that is true, whole files or none."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import amxfp4
from amxfp4.gen import verilog
from amxfp4.gen.verilog import generate, write
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.engine import EngineConfig
from amxfp4.params.formats import FORMATS
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.params.serial import EngineUartConfig
from amxfp4.params.units import UNITS
from amxfp4.params.weight_dequantizer import WeightDequantizerConfig
from amxfp4.rtl.array import MacArray
from amxfp4.rtl.dequantizer import Dequantizer
from amxfp4.rtl.dot.dot import Dot
from amxfp4.rtl.engine.engine import Engine
from amxfp4.rtl.quantizer.quantizer import Quantizer
from amxfp4.rtl.serial.engine_uart import EngineUart
from amxfp4.rtl.weights.dequantizer import WeightDequantizer
from amxfp4.verif.sim.sources import source

COMPONENTS = {
    "quantizer": Quantizer,
    "dequantizer": Dequantizer,
    "weight_dequantizer": WeightDequantizer,
    "dot": Dot,
    "array": MacArray,
    "engine": Engine,
    "engine_uart": EngineUart,
}

CONFIGS = [
    QuantizerConfig(lanes=8),
    QuantizerConfig(format="mxfp4-e5m2", lanes=1, input="fp32", block=16),
    QuantizerConfig(format="nvfp4", input="fp16", ties="RNE"),
    QuantizerConfig(block=16, maxima="scan", pipeline=""),
    DequantizerConfig(lanes=8),
    DequantizerConfig(format="mxfp4-roundup", output="fp32", block=64, lanes=4),
    WeightDequantizerConfig(lanes=8, format="fpq-nf3"),
    DotConfig(lanes=2),
    DotConfig(format_b="mxfp4", output="bf16", block=16, lanes=16, pipeline=""),
    ArrayConfig(format_b="mxfp4-e4m3", acc="fixed", lanes=2, rows=2, cols=3),
    EngineConfig(lanes=2, rows=2, cols=3, depth_a=2, depth_b=4, input="fp16", requantize="none"),
    EngineUartConfig(lanes=2, rows=1, cols=1, depth_a=2, depth_b=2, payload=64, clock=4_000_000),
]
configs = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.unit}-{c.digest}")

_PROGRAM = """
import hashlib, json, sys
from amxfp4.params.units import UNITS
from amxfp4.gen.verilog import generate
for fields in json.loads(sys.argv[1]):
    made = generate(UNITS[fields["unit"]].from_dict(fields))
    whole = json.dumps([made.text, made.manifest, made.beside])
    print(hashlib.sha256(whole.encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def generated():
    """Read once what the generator wrote of a configuration, now or in an earlier run."""
    return functools.cache(source)


def _hash(made) -> str:
    """Hash all that was generated of a unit."""
    whole = json.dumps([made.text, made.manifest, made.beside])
    return hashlib.sha256(whole.encode()).hexdigest()


def _hashes(fields: list[dict], hash_seed: str, folder: Path) -> list[str]:
    """Hash what a fresh process generates, in `folder` and in that order of sets."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", _PROGRAM, json.dumps(fields)]
    result = subprocess.run(
        command, env=environment, cwd=folder, check=True, capture_output=True, text=True
    )
    return result.stdout.split()


def test_same_bytes_in_fresh_processes(generated, tmp_path, at_night):
    """Another process writes the same, again and again, whatever it generated before.

    Neither the order of sets matters, nor the name of the folder for temporary files.
    """
    folder = tmp_path / "with a space"
    folder.mkdir()
    small, other, large = (CONFIGS[n] for n in (4, 3, -1 if at_night else 0))
    asked = [small, other, large, small, other]
    wanted = [_hash(generated(config)) for config in asked]
    assert len(set(wanted)) == 3
    assert _hashes([config.to_dict() for config in asked], "1", folder) == wanted
    assert _hashes([other.to_dict(), small.to_dict()], "2", folder) == [wanted[1], wanted[0]]


@configs
def test_digest_and_settings_head_the_text(generated, config):
    """The first line has the digest, the second the settings; the top module is the unit."""
    text = generated(config).text
    first, second = text.splitlines()[:2]
    assert first == f"// amxfp4 {config.unit} {config.digest}"
    assert second == "// " + ", ".join(
        f"{name}={value}" for name, value in config.to_dict().items() if name != "unit"
    )
    assert len(re.findall(rf"^module {config.unit}\(", text, re.M)) == 1


@configs
def test_modules_have_plain_unique_names(generated, config):
    """Every module has its own name, without escapes; every shared kind is there once."""
    names = re.findall(r"^module (\S+?)\(", generated(config).text, re.M)
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(rf"{config.unit}(_[a-z0-9_]+)?", name) for name in names)
    datapath = ("datapath", "datapath_array_processing_element", "datapath_quantizer_key_decoder")
    kinds = {
        "quantizer": ("key_decoder", "scale_chooser", "element_quantizer"),
        "dequantizer": ("scale_decoder", "element_dequantizer"),
        "weight_dequantizer": ("weight_scale", "weight_table"),
        "dot": ("processing_element", "processing_element_class_sums_element_product"),
        "array": ("processing_element", "processing_element_class_sums_element_product"),
        "engine": datapath,
        "engine_uart": ("bridge", *(f"engine_{name}" for name in datapath)),
    }
    assert {f"{config.unit}_{kind}" for kind in kinds[config.unit]} <= set(names)


@configs
def test_nothing_is_escaped_or_numbered(generated, config):
    """No name has a dollar or a backslash, nothing is cast, and no temporary is just a number."""
    made = generated(config)
    for text in (made.text, *made.beside.values()):
        assert not re.search(r"[$\\]", text)
    assert not re.search(r"\b_\d+_\b|\bunused\b *<=|\[-1:0\]", made.text)
    assert not re.search(r"^  (?:wire|reg|input|output) signed (?!\[\d+:0\] \w+__signed\w* =)",
                         made.text, re.M)  # fmt: skip


@configs
def test_manifest_ports_are_the_text_s(generated, config):
    """Names, directions and widths of the ports are those of the top module."""
    made = generated(config)
    body = re.search(rf"^module {config.unit}\(.*?^endmodule", made.text, re.M | re.S)[0]
    ports = re.findall(r"^  (in|out)put (?:\[(\d+):0\] )?(\w+);", body, re.M)
    found = {(name, direction, int(high or 0) + 1) for direction, high, name in ports}
    assert {(p["name"], p["direction"], p["width"]) for p in made.manifest["ports"]} == found
    # Clock, reset, and three ports a stream; an engine has AXI's, and an interrupt; a line's two
    # wires have four LEDs.
    wanted = {"engine": 2 + 19 + 3 * 5 + 1}.get(config.unit, 8)
    assert len(made.manifest["ports"]) == len(ports) == wanted


@configs
def test_manifest(generated, config):
    """The manifest gives back the configuration, latency, cycles per block, and the tools."""
    manifest = json.loads(json.dumps(generated(config).manifest))
    assert UNITS[manifest["unit"]].from_dict(manifest["config"]) == config
    assert manifest["digest"] == config.digest
    component = COMPONENTS[config.unit](config)
    assert manifest["latency"] == component.latency
    assert manifest["cycles_per_block"] == getattr(config, "block", 128) // config.lanes
    assert manifest["tools"]["amxfp4"] == amxfp4.__version__
    assert manifest["top"] == config.unit
    assert set(manifest["tools"]) == {"amxfp4", "amaranth", "pyosys"}


@configs
def test_text_names_no_machine(generated, config, tmp_path):
    """No path, no user and no date of the machine that generated it."""
    text = generated(config).text
    for place in (Path.home(), Path.cwd(), Path(sys.prefix), tmp_path.parent):
        if str(place) != "/":
            assert str(place) not in text
    assert not re.search(r"\.py\b|/tmp|/work|/home|/usr|Yosys|20\d\d-\d\d", text)


@pytest.mark.by_day(3)
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_generated(generated, format):
    """Every row of the format table has every unit, bar a quantizer that takes seconds."""
    quick = not FORMATS[format].power_of_two
    for kind in (QuantizerConfig, DequantizerConfig) if quick else (DequantizerConfig,):
        assert f"format={format}" in generated(kind(format=format, lanes=1, block=16)).text
    for kind, options in ((DotConfig, {}), (ArrayConfig, {"rows": 1, "cols": 2})):
        config = kind(format_a=format, format_b=format, lanes=1, block=16, **options)
        assert f"format_b={format}" in generated(config).text


def test_array_grows_by_instances_only(generated):
    """A larger array has the same modules, and one more instance for each more element."""
    texts = [
        generated(ArrayConfig(lanes=1, block=16, rows=rows, cols=cols)).text
        for rows, cols in ((1, 2), (3, 5))
    ]
    kinds = [sorted(re.findall(r"^module (\S+?)\(", text, re.M)) for text in texts]
    assert kinds[0] == kinds[1]
    counts = [len(re.findall(r"^  array_processing_element ", text, re.M)) for text in texts]
    assert counts == [2, 15]


def test_generate_under_another_name(kept_verilog, tmp_path):
    """A name is that of the top, of all files and of the core; the digest is the unit's."""
    made = kept_verilog(CONFIGS[10], "first")
    paths = write(made, tmp_path)
    assert made.manifest["top"] == "first"
    assert made.manifest["digest"] == CONFIGS[10].digest
    assert {path.name for path in paths} == {
        *(f"first.{kind}" for kind in ("v", "json", "core", "f", "vlt", "h")),
        "first_registers.py", "first_axi.v",
    }  # fmt: skip
    modules = re.findall(r"^module (\w+)", made.text + made.beside["first_axi.v"], re.M)
    assert {"first", "first_axi"} < set(modules)
    assert all(name.startswith("first") for name in modules)
    core = made.beside["first.core"]
    assert f"name: amxfp4:unit_{CONFIGS[10].digest}:first:{amxfp4.__version__}\n" in core


@pytest.mark.parametrize("name", ["", "2nd", "a b", "a.b", "_a", "\u00e4", "begin", "logic"])
def test_generate_wrong_name(name):
    """What Verilog would have to escape is no name."""
    with pytest.raises(ValueError, match=rf"^name must be a Verilog identifier .*not '{name}'$"):
        generate(CONFIGS[4], name)


def test_generate_wrong_config():
    """What is no configuration is a type error."""
    with pytest.raises(TypeError, match=r"^config must be the configuration of a unit, not 'dot'$"):
        generate("dot")


def test_write(generated, tmp_path):
    """Its files, whole, in a folder made for them, over what was there before."""
    made = generated(CONFIGS[0])
    folder = tmp_path / "new folder" / "verilog"
    for _ in range(2):
        paths = write(made, folder)
        kinds = ("v", "json", "core", "f", "vlt")
        assert paths == [folder / f"quantizer.{kind}" for kind in kinds]
        assert sorted(folder.iterdir()) == sorted(paths)
        assert paths[0].read_text() == made.text
        assert json.loads(paths[1].read_text()) == made.manifest


@pytest.mark.parametrize("name", ["write_text", "replace"])
def test_write_leaves_nothing_behind(generated, tmp_path, monkeypatch, name):
    """A failure while writing or moving leaves the folder as it was."""
    made = generated(CONFIGS[0])
    write(made, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*arguments, **options):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, name, fail)
        with pytest.raises(OSError, match="disk full"):
            write(verilog.Generated("other", made.manifest), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_write_wrong_directory(generated, tmp_path):
    """A directory that is a file is an error, and nothing is written."""
    occupied = tmp_path / "occupied"
    occupied.write_text("mine")
    with pytest.raises(OSError, match="occupied"):
        write(generated(CONFIGS[0]), occupied)
    assert occupied.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [occupied]
