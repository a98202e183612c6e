"""The model of ECP5's block RAM, which no simulation library has, against an array of bits."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from amxfp4.synth.gates import cell_models
from amxfp4.verif.sim import build, toolchain

BENCH = Path(__file__).with_name("block_ram.v")
WIDTHS = ["36/36", "36/9", "18/18", "9/9", "4/4", "1/1", "9/36"]
"""Of the port that writes, and of the one that reads."""

POISONED = ["36/36", "18/18", "9/9"]
"""Where the bench looks at what is read while it is written."""


def simulate(folder: Path, models: str) -> subprocess.CompletedProcess[str]:
    """Compile the bench with models, and run it."""
    tools = toolchain.find()
    (folder / "models.v").write_text(models)
    command = [
        str(tools.verilator), "--binary", "--timing", "-Wno-fatal", "-Wno-WIDTH", "--top-module",
        "top", "-CFLAGS", "-O0 -std=gnu++20", "--Mdir", str(folder / "obj"), str(BENCH),
        str(folder / "models.v"),
    ]  # fmt: skip
    environment = tools.environment(build.CACHE / "ccache")
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return subprocess.run([folder / "obj" / "Vtop"], capture_output=True, text=True)


MODELS = (Path(cell_models.__file__).parents[1] / "models" / "ecp5.v").read_text()


@pytest.mark.nightly
def test_block_ram(tmp_path):
    """What is read is what was written, and what is being written is not."""
    done = simulate(tmp_path, MODELS)
    assert done.returncode == 0, done.stdout
    found = re.findall(r"^(\S+) compared (\d+) poisoned (\d+)$", done.stdout, re.M)
    assert [widths for widths, *_ in found] == WIDTHS
    assert all(int(compared) > 1000 for _, compared, _ in found)
    assert all(int(poisoned) > 50 for widths, _, poisoned in found if widths in POISONED)


@pytest.mark.nightly  # two more builds, of a bench that has not changed
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("20 * (n / 2) + 9 * (n % 2)", "9 * n", "wrong at"),
        ("found[9 * i +: 9] ^ mask[9 * j +: 9]", "found[9 * i +: 9]", "is being written"),
    ],
)
def test_wrong_model_is_caught(right, wrong, said, tmp_path):
    """The bench fails on a model with an error planted in it."""
    assert right in MODELS
    done = simulate(tmp_path, MODELS.replace(right, wrong))
    assert done.returncode != 0
    assert said in done.stdout
