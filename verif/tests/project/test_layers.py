"""The layers hold: an import planted against each contract is refused by ``amxfp4 dev lint``."""

import ast
import re
import shutil
import sys
import tomllib

import pytest

from amxfp4 import cli
from amxfp4.dev import checks

pytest.importorskip("importlinter", reason="import-linter comes with the dev extra: make lint")
pytest.importorskip("ruff", reason="ruff comes with the dev extra: make lint")

ROOT = checks.checkout(None)
CONTRACTS = {
    contract["name"]: contract["id"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
}
"""Contracts by the name that the report shows."""
# Contract, the folder or file where it is broken, the import there, and what the report says of it.
PLANTED = [
    ("layers", "util", "from amxfp4.params import formats", "util.planted_0 -> amxfp4.params"),
    ("layers", "params", "from amxfp4 import golden", "params.planted_1 -> amxfp4.golden"),
    ("layers", "golden", "from amxfp4.gen import components", "golden.planted_2 -> amxfp4.gen"),
    ("layers", "golden", "from amxfp4.rtl.lib import arith", "golden.planted_3 -> amxfp4.rtl"),
    ("layers", "rtl", "from amxfp4.golden.formats import decode", "rtl.planted_4 -> amxfp4.golden"),
    ("layers", "rtl", "from amxfp4.gen import components", "rtl.planted_5 -> amxfp4.gen"),
    ("layers", "rtl", "from amxfp4.dev import documents", "rtl.planted_6 -> amxfp4.dev"),
    ("layers", "gen", "import amxfp4.verif.sim.build", "gen.planted_7 -> amxfp4.verif"),
    ("layers", "synth", "from amxfp4 import host", "synth.planted_8 -> amxfp4.host"),
    ("layers", "host", "from amxfp4.verif.sim import build", "host.planted_9 -> amxfp4.verif"),
    ("layers", "verif/sim", "from amxfp4.verif.check import prove", "planted_10 -> amxfp4.verif"),
    ("layers", "verif/sim", "from amxfp4.commands import sim", "planted_11 -> amxfp4.commands"),
    ("layers", "commands", "from amxfp4.dev import bench", "commands.planted_12 -> amxfp4.dev"),
    ("layers", "dev", "from amxfp4.commands import cost", "dev.planted_13 -> amxfp4.commands"),
    ("layers", "commands", "from amxfp4 import cli", "commands.planted_14 -> amxfp4.cli"),
    ("layers", "cli", "from amxfp4.verif.tests import simulate", "cli.planted_15 -> amxfp4.verif"),
    ("generation", "gen", "from amxfp4.golden import dot", "gen.planted_16 -> amxfp4.golden"),
    ("host", "host", "from amxfp4.gen import netlist", "host.planted_17 -> amxfp4.gen.netlist"),
    ("synthesis", "synth", "from amxfp4.rtl import dot", "synth.planted_18 -> amxfp4.rtl"),
    ("synthesis", "synth", "from amxfp4 import golden", "synth.planted_19 -> amxfp4.golden"),
    ("simulation", "verif/sim", "from amxfp4.rtl import dot", "planted_20 -> amxfp4.rtl"),
    ("models", "verif/sim/line", "from amxfp4.host import pieces", "planted_21 -> amxfp4.host"),
    ("parameters", "params", "import numpy", "params.planted_22 -> numpy"),
    ("golden-libraries", "golden", "import amaranth", "golden.planted_23 -> amaranth"),
    ("golden-libraries", "golden", "import ml_dtypes", "golden.planted_24 -> ml_dtypes"),
    ("rtl-libraries", "rtl", "import numpy", "rtl.planted_25 -> numpy"),
    (
        "reference",
        "golden/reference/sums.py",
        "from amxfp4.golden import rounding",
        "-> amxfp4.golden",
    ),
    ("golden-libraries", "golden", "import safetensors", "golden.planted_27 -> safetensors"),
    ("torch", "golden", "import torch", "golden.planted_28 -> torch"),
    ("torch", "commands", "from amxfp4 import torch", "commands.planted_29 -> amxfp4.torch"),
    ("layers", "gen", "from amxfp4.torch import fake_quantize", "gen.planted_30 -> amxfp4.torch"),
    ("layers", "accuracy", "from amxfp4 import host", "accuracy.planted_31 -> amxfp4.host"),
    ("accuracy", "accuracy", "from amxfp4.gen import netlist", "planted_32 -> amxfp4.gen.netlist"),
    ("accuracy-users", "dev", "from amxfp4.accuracy import model", "planted_33 -> amxfp4.accuracy"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Copy all sources; only plants can fail."""
    copied = tmp_path_factory.mktemp("layers") / "copy"
    for name in ("amxfp4", *checks.FOLDERS):
        ignored = shutil.ignore_patterns("__pycache__", "*.npz")
        shutil.copytree(ROOT / name, copied / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copied)
    return copied


@pytest.fixture(scope="module")
def reports(copy):
    """Return what lint says of every contract once all plants are there."""
    for number, (_, folder, planted, _) in enumerate(PLANTED):
        room = copy / folder
        if not room.exists():
            room = copy / "amxfp4" / folder
        path = room if room.suffix else room / f"planted_{number}.py"
        with path.open("a") as file:
            file.write(f'"""Planted."""\n\n{planted}\n')
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda *words: printed.append(" ".join(words)))
        assert checks._layers(copy) == 1
    text = "\n".join(printed)
    _, _, broken = text.partition("Broken contracts")
    names = "|".join(map(re.escape, CONTRACTS))
    parts = re.split(rf"^({names})\n-+$", broken, flags=re.M)[1:]
    return {CONTRACTS[name]: part for name, part in zip(parts[::2], parts[1::2], strict=True)}


def test_every_contract_has_a_plant():
    assert {contract for contract, *_ in PLANTED} == set(CONTRACTS.values())


@pytest.mark.parametrize(
    ("contract", "said"),
    [(contract, said) for contract, _, _, said in PLANTED],
    ids=[f"{folder}:{planted}" for _, folder, planted, _ in PLANTED],
)
def test_planted_import_is_refused(reports, contract, said):
    assert said in " ".join(reports[contract].split())


def test_clean_checkout_passes(capfd):
    """Without a plant there is nothing to refuse, so that the plants are what fails above."""
    assert cli.run(["lint"]) == 0, capfd.readouterr().out


def test_parameters_need_the_standard_library_only():
    """Also beyond the libraries that the contract names."""
    names = set()
    for path in (ROOT / "params").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names.add((node.module or "").partition(".")[0])
    assert names - {"amxfp4"}
    assert names - {"amxfp4"} <= sys.stdlib_module_names


def test_folder_that_is_no_checkout(tmp_path, capfd):
    assert cli.run(["lint", str(tmp_path)]) == 2
    assert "FOLDER must be a checkout" in capfd.readouterr().err
