"""``amxfp4 sim`` with the testbenches left out and small tensors: what it finds and writes."""

import functools
import json
import re

import numpy as np
import pytest

from amxfp4.cli.app import run
from amxfp4.commands import sim
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.verif.sim import build
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.cocotb.runner import TestbenchError
from amxfp4.verif.sim.sources import Source, source

LANES = 4
"""Of the quantizers and dequantizers: compiling those of 32 lanes takes the time."""


@pytest.fixture
def small(monkeypatch, rng):
    """One tensor, one product on a small array, no testbenches; builds where tests have theirs.

    Two formats, since compiling the units takes the time: blocks of 32 elements, and of 16.
    """
    monkeypatch.setattr(sim, "FORMATS_COMPARED", ("amxfp4", "nvfp4"))
    x = rng.standard_normal((3, 96)).astype(np.float16)
    # The first block has an exact tie: its scale is 1, and 2.5 stands between 2 and 3.
    x[0, :32] = 0
    x[0, :2] = 6, 2.5
    y = rng.standard_normal((2, 96)).astype(np.float16)
    benches = [{"unit": "quantizer", "tests": 1, "passed": 1, "transactions": 4, "seconds": 0.1}]
    monkeypatch.setattr(sim, "_testbenches", lambda seed, out, progress: iter(benches))
    monkeypatch.setattr(sim, "real_tensors", lambda: {"x": x})
    monkeypatch.setattr(sim, "real_products", lambda: {"x x y": (x, y)})
    array = functools.partial(ArrayConfig, rows=2, cols=2, lanes=2)
    monkeypatch.setattr(sim, "ArrayConfig", array)
    for unit in (QuantizerConfig, DequantizerConfig):
        monkeypatch.setattr(sim, unit.__name__, functools.partial(unit, lanes=LANES))
    monkeypatch.setattr(sim, "BatchDut", lambda unit, *, cache: BatchDut(unit, cache=build.CACHE))
    return x


def report_of(folder):
    """Return the report in JSON, and check that the picture beside it is one."""
    picture = (folder / "reports" / "sim.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    return json.loads((folder / "reports" / "sim.json").read_text())


def test_clean_run(small, tmp_path, capfd):
    """Everything agrees: exit code 0, both reports, a last line that counts."""
    assert sim.run(seed=5, out=tmp_path) == 0
    printed = capfd.readouterr().out
    assert "seed 5" in printed
    # 9 blocks in one format, 18 in the one of half the block; 2 x 1 tiles in each.
    joined = " ".join(printed.split())
    assert "All 27 blocks of 1 tensors and all 4 tiles of 2 products agree, bit for bit." in joined
    report = report_of(tmp_path)
    assert report["seed"] == 5
    assert report["testbenches"][0]["unit"] == "quantizer"
    assert [row["format"] for row in report["tensors"]] == list(sim.FORMATS_COMPARED)
    for row in report["tensors"]:
        assert (row["tensor"], row["mismatches"]) == ("x", 0)
        assert row["blocks"] == (18 if row["format"] == "nvfp4" else 9)
        assert 10 < row["sqnr_db"] < 40
        assert row["cycles_per_block"] >= 1
    for row in report["products"]:
        assert (row["product"], row["tiles"], row["mismatches"]) == ("x x y", 2, 0)
        assert row["shape"] == "3x96x2"
        assert 0 < row["utilization"] <= 1
        assert row["macs_per_second"] > 0


def test_planted_bug_in_the_quantizer(small, tmp_path, monkeypatch, capfd):
    """Hardware that rounds ties to even: the block, what was expected, what came, exit code 1."""

    def dut(unit, *, cache):
        if not isinstance(unit, QuantizerConfig) or unit.format != "amxfp4":
            return BatchDut(unit, cache=build.CACHE)
        claimed = source(unit)
        built = source(
            QuantizerConfig(format=unit.format, input=unit.input, ties="RNE", lanes=LANES)
        )
        return BatchDut(Source(built.text, claimed.manifest), cache=build.CACHE)

    monkeypatch.setattr(sim, "BatchDut", dut)
    assert sim.run(out=tmp_path) == 1
    printed = capfd.readouterr().out
    joined = " ".join(printed.split())
    assert "x in amxfp4:" in joined
    assert "the first is block 0" in joined
    assert "expected" in joined
    assert "got" in joined
    # 2.5: element 1 is 3 (code 5), and came as 2 (code 4).
    assert "element 1 0x4100 2.5 0x5 0x4 <- differs" in joined
    assert "1 of 4 tensors and products FAILED" in joined
    assert "bit for bit" not in joined
    rows = {row["format"]: row for row in report_of(tmp_path)["tensors"]}
    assert rows["amxfp4"]["mismatches"] >= 1
    assert rows["amxfp4"]["sqnr_db"] is None
    assert rows["nvfp4"]["mismatches"] == 0


def test_planted_bug_in_the_array(small, tmp_path, monkeypatch, capfd):
    """A wrong word in a tile: the tile, what was expected, what came, exit code 1."""

    class Spoiled(BatchDut):
        """An array, one bit of whose second tile is wrong."""

        def run(self, *given, **options):
            done = super().run(*given, **options)
            done.outputs[1, 0] ^= 1
            return done

    def dut(unit, *, cache):
        spoiled = unit.unit == "array" and unit.format_a == "nvfp4"
        return (Spoiled if spoiled else BatchDut)(unit, cache=build.CACHE)

    monkeypatch.setattr(sim, "BatchDut", dut)
    assert sim.run(out=tmp_path) == 1
    joined = " ".join(capfd.readouterr().out.split())
    assert "x x y in nvfp4: tile (1, 0), rows from 2, columns from 0" in joined
    assert "expected" in joined
    assert "got" in joined
    assert "1 of 4 tensors and products FAILED" in joined
    rows = {row["format"]: row for row in report_of(tmp_path)["products"]}
    assert rows["nvfp4"]["mismatches"] == 1
    assert rows["amxfp4"]["mismatches"] == 0


def test_failed_testbench(small, tmp_path, monkeypatch, capfd):
    """A testbench that fails ends the run with exit code 1 and its message."""

    def fail(seed, out, progress):
        raise TestbenchError("1 of 24 tests of quantizer failed")
        yield

    monkeypatch.setattr(sim, "_testbenches", fail)
    assert sim.run(out=tmp_path) == 1
    assert "1 of 24 tests of quantizer failed" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["quantiser"],
            "unit must be one of quantizer, dequantizer, weight_dequantizer, dot, array, engine, ",
        ),
        (["engine", "--test", "shape"], "test must be one of reset_values, access, .*not 'shape'"),
        (["engine", "--jobs", "0"], "jobs must be at least 1, not 0"),
        (["--test", "shapes"], "test must come with a unit: one of quantizer, .*engine_uart$"),
        (["--waves"], "waves must come with a unit: one of quantizer, "),
    ],
)
def test_wrong_arguments(arguments, said, capfd):
    """One clear line that names what is allowed, and exit code 2."""
    assert run(["sim", *arguments]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert re.search(said, printed.err.strip())


@pytest.mark.parametrize("manifest", ["{}", "[", '{"unit": "dot", "config": {"lanes": 3}}'])
def test_folder_with_a_wrong_manifest(manifest, tmp_path, capfd):
    """A folder whose manifest is none, or that of no unit, is an error of one line, too."""
    (tmp_path / "dot.v").write_text("module dot(); endmodule")
    (tmp_path / "dot.json").write_text(manifest)
    assert run(["sim", str(tmp_path)]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "unit must be a manifest that `amxfp4 verilog` wrote, not" in said
