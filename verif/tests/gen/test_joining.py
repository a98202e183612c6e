"""Units stand beside each other in one design: no two have a module of one name."""

from __future__ import annotations

import functools
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.gen.export.fusesoc import WAIVERS
from amxfp4.gen.verilog import generate
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.util import pyosys
from amxfp4.verif.sim import toolchain
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.sources import Source, source
from amxfp4.verif.tests.gen.small import UNITS

TIES = [
    QuantizerConfig(format="nvfp4", lanes=16, pipeline="", ties=ties) for ties in ("RNA", "RNE")
]


@pytest.fixture(scope="module")
def designs(tmp_path_factory) -> list[tuple[Source, Path]]:
    """Every unit under its own name, and a quantizer of each tie rule under another."""
    folder = tmp_path_factory.mktemp("designs")
    made = [source(config) for config in UNITS]
    for config in TIES:
        name = f"quantizer_{config.ties.lower()}"
        made.append(source(config, make=functools.partial(generate, name=name), changes=name))
    paths = []
    for one in made:
        paths.append(folder / f"{one.manifest['top']}.v")
        paths[-1].write_text(one.text)
    return list(zip(made, paths, strict=True))


def _modules(text: str) -> set[str]:
    return set(re.findall(r"^module (\w+)", text, re.M))


def _whole(designs: list[tuple[Source, Path]]) -> str:
    """Write a module that holds one of each, every port its own."""
    heads, bodies = [], []
    for made, _ in designs:
        top = made.manifest["top"]
        wires = []
        for port in made.manifest["ports"]:
            name = f"{top}__{port['name']}"
            heads.append(f"{port['direction']}put [{port['width'] - 1}:0] {name}")
            wires.append(f".{port['name']}({name})")
        bodies.append(f"  {top} the_{top} ({', '.join(wires)});\n")
    return f"module whole ({', '.join(heads)});\n{''.join(bodies)}endmodule\n"


def test_all_pairs_have_different_modules(designs):
    """Of any two units, and of two configurations of one, none has a module of the other."""
    pairs = list(itertools.combinations(designs, 2))
    assert len(pairs) == 36
    for (first, _), (second, _) in pairs:
        assert not _modules(first.text) & _modules(second.text)


def test_one_run_of_verilator(designs, tmp_path):
    """All of them in one design pass Verilator's lint."""
    top = tmp_path / "whole.v"
    top.write_text(_whole(designs))
    tools = toolchain.find()
    done = subprocess.run(
        [tools.verilator, "--lint-only", "-Wall", WAIVERS, *(path for _, path in designs), top,
         "--top-module", "whole"],
        env=tools.environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_one_run_of_icarus(designs, tmp_path):
    """Icarus Verilog elaborates them together."""
    icarus = shutil.which("iverilog")
    if icarus is None:
        pytest.skip("iverilog is not installed")
    top = tmp_path / "whole.v"
    top.write_text(_whole(designs))
    done = subprocess.run(
        [icarus, "-g2005", "-o", tmp_path / "whole.out", "-s", "whole",
         *(path for _, path in designs), top],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_one_run_of_yosys(designs, tmp_path):
    """Yosys takes them together, and finds every module."""
    (tmp_path / "whole.v").write_text(_whole(designs))
    reads = [f'read_verilog "{path}"' for _, path in designs]
    pyosys.run([*reads, "read_verilog whole.v", "hierarchy -check -top whole"], tmp_path)


def test_two_tie_rules_in_one_design(designs):
    """Two quantizers side by side each round by their own rule, and not always alike."""
    pair = [made for made, _ in designs[-2:]]
    instances = "".join(
        f"  {made.manifest['top']} one_{n} (.clk(clk), .rst(rst), .i__payload(i__payload),"
        f" .i__valid(i__valid), .i__ready(ready[{n}]), .o__payload(o__payload[{n * 72} +: 72]),"
        f" .o__valid(valid[{n}]), .o__ready(o__ready));\n"
        for n, made in enumerate(pair)
    )
    widths = {
        "input": {"clk": 1, "rst": 1, "i__payload": 256, "i__valid": 1, "o__ready": 1},
        "output": {"i__ready": 1, "o__payload": 144, "o__valid": 1},
    }
    ports = [(way, name, width) for way, found in widths.items() for name, width in found.items()]
    heads = ", ".join(f"{way} [{width - 1}:0] {name}" for way, name, width in ports)
    text = (
        f"module pair({heads});\n  wire [1:0] ready, valid;\n{instances}"
        "  assign i__ready = &ready;\n  assign o__valid = &valid;\nendmodule\n"
    )
    manifest = {
        "unit": "pair", "top": "pair",
        "ports": [{"name": name, "width": width} for _, name, width in ports],
    }  # fmt: skip
    dut = BatchDut(Source(text + "".join(made.text for made in pair), manifest))
    # Multiples of 1/4 below 6, among them many ties, with a scale of 1.
    x = (np.random.default_rng(5).integers(-24, 25, (64, 16)) / 4).astype(np.float32)
    x[:, 0] = 6
    beats = (x.view(np.uint32) >> 16).astype("<u2").view("<u4")
    out = dut.run(beats, len(x)).outputs.astype("<u4").view(np.uint8)
    away, even = (
        golden.pack(golden.quantize(x, "nvfp4", ties=made.manifest["config"]["ties"]))[:, 0]
        for made in pair
    )
    assert away.shape == even.shape == (64, 9)
    np.testing.assert_array_equal(out[:, :9], away)
    np.testing.assert_array_equal(out[:, 9:18], even)
    assert (away != even).any()


def test_a_shared_name_is_found(designs, tmp_path):
    """Two configurations under one name are what the checks above refuse."""
    first, second = map(source, TIES)
    assert _modules(first.text) & _modules(second.text)
