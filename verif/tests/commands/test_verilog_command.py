"""Units written by ``amxfp4 verilog``: which files, and which bytes."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from amxfp4 import cli
from amxfp4.gen import verilog
from amxfp4.params.units import UNITS

KINDS = ("v", "json", "core", "f", "vlt")
BESIDE = {
    "engine": ("engine.h", "engine_registers.py", "engine_axi.v"),
    "engine_uart": ("engine_uart.h", "engine_uart_registers.py"),
}
"""What else is written for a unit."""


def digests(folder):
    """Return the digest of every file in `folder`, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def small(unit):
    """Options of the smallest unit of its kind; weights have groups of one size."""
    return {"lanes": 1} if unit == "weight_dequantizer" else {"lanes": 1, "block": 16}


# The smallest by day; the generator's own tests have the largest.
@pytest.mark.parametrize(
    "unit",
    [pytest.param(u, marks=[pytest.mark.nightly] if u != "dequantizer" else []) for u in UNITS],
)
def test_verilog_twice_is_the_same_bytes(unit, tmp_path):
    """Two processes, since the order of sets may differ between them."""
    folders = [tmp_path / "first", tmp_path / "second" / "nested"]
    for folder in folders:
        options = [f"--{name}={value}" for name, value in small(unit).items()]
        options += ["-o", str(folder)]
        command = [sys.executable, "-m", "amxfp4", "verilog", unit]
        subprocess.run([*command, *options], check=True, capture_output=True)
    first, second = map(digests, folders)
    assert first == second
    assert set(first) == {*(f"{unit}.{kind}" for kind in KINDS), *BESIDE.get(unit, ())}


def test_verilog_prints_the_effective_configuration(tmp_path, capfd):
    arguments = ["--format", "mxfp4", "--block", "16", "--lanes", "2", "--input", "fp32"]
    assert cli.run(["verilog", "quantizer", *arguments, "--ties", "RNE", "-o", str(tmp_path)]) == 0
    printed = capfd.readouterr().out.splitlines()[0]
    options = "input=fp32 ties=RNE maxima=tree second=0 pipeline=maxima,record"
    assert printed == f"quantizer: format=mxfp4 block=16 lanes=2 {options}"
    manifest = json.loads((tmp_path / "quantizer.json").read_text())
    config = UNITS["quantizer"].from_dict(manifest["config"])
    assert (config.format, config.block, config.lanes, config.input, config.ties) == (
        "mxfp4", 16, 2, "fp32", "RNE"
    )  # fmt: skip
    head = (tmp_path / "quantizer.v").read_text().partition("\n")[0]
    assert head.startswith("//")
    assert config.digest in head


def test_verilog_all_writes_every_unit(tmp_path, monkeypatch, kept_verilog):
    """The defaults are asked for; units of one lane are made in their place."""
    asked = []

    def one_lane(config, name):
        asked.append(config)
        return kept_verilog(replace(config, **small(config.unit)), name)

    monkeypatch.setattr(verilog, "generate", one_lane)
    assert cli.run(["verilog", "all", "--out", str(tmp_path)]) == 0
    wanted = {f"{unit}.{suffix}" for unit in UNITS for suffix in KINDS}
    wanted |= {name for names in BESIDE.values() for name in names}
    assert set(digests(tmp_path)) == wanted
    assert asked == [config_class() for config_class in UNITS.values()]
    for unit, config_class in UNITS.items():
        manifest = json.loads((tmp_path / f"{unit}.json").read_text())
        assert manifest["digest"] == replace(config_class(), **small(unit)).digest
    for unit in ("engine", "engine_uart"):
        digest = replace(UNITS[unit](), **small(unit)).digest
        assert digest in (tmp_path / f"{unit}.h").read_text()
