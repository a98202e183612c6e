"""The test plans are true: what they name exists, and what exists is named."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from amxfp4.verif.sim import benches

VERIF = Path(__file__).parents[2]
ROOT = VERIF.parent
PLANS = sorted((VERIF / "plan").glob("*.toml"))
STAGES = {"V1", "V2", "V3"}
PRODUCTS = {"dot", "array"}
"""Units whose batch suite is one: an array is dot products."""
ON_BUSES = {"engine"}
"""Units without a batch suite: it has one stream on either side."""
ON_A_LINE = {"engine_uart"}
"""Units whose batch suite is tests/serial."""
PLANTED = {
    "quantizer": "harness.test_cocotb_mutants",
    "dequantizer": "harness.test_cocotb_mutants",
    "weight_dequantizer": "harness.test_cocotb_mutants",  # the same testbench
    "dot": "array.test_products_protocol_mutants",
    "array": "array.test_products_protocol_mutants",
    "engine": "engine.test_engine_mutants",
    "engine_uart": "serial.bugs",
}
"""Modules below tests/ whose `CAUGHT` names the tests that planted bugs make fail."""
NOT_OF_THE_UNIT = {"coverage_closed"}
"""Tests that judge the tests before them; test_coverage.py shows that they can fail."""
FIELDS = {"name", "requirement", "desc", "stage", "tests", "mutants"}


def load(plan: Path) -> dict[str, Any]:
    """Read a plan."""
    return tomllib.loads(plan.read_text())


@cache
def functions(file: str) -> dict[str, list[str]]:
    """List the functions of a file below verif/, with the names of their decorators."""
    found = {}
    for node in ast.parse((VERIF / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = [ast.unparse(d).split("(")[0] for d in node.decorator_list]
    return found


def named_tests(plan: dict[str, Any]) -> set[str]:
    """Collect every test that a plan names."""
    return {test for point in plan["testpoint"] for test in point["tests"]}


def anchors(document: Path) -> set[str]:
    """Make the anchors of a document's headings, as GitHub does."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def test_every_unit_has_a_plan() -> None:
    """No unit with a testbench is without a plan."""
    assert set(benches.CONFIGS) == {p.stem for p in PLANS}
    assert all(load(p)["unit"] == p.stem for p in PLANS)


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.stem)
def test_testpoints_are_complete(plan: Path) -> None:
    """Every testpoint has a source, a stage, tests, and a mutant that shows the tests' worth."""
    points = load(plan)["testpoint"]
    assert points
    assert len({p["name"] for p in points}) == len(points)
    for point in points:
        assert set(point) == FIELDS, point["name"]
        assert point["stage"] in STAGES
        assert point["tests"]
        assert point["mutants"]
        assert point["desc"].endswith(".")


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.stem)
def test_named_tests_exist(plan: Path) -> None:
    """Every test and every mutant that a plan names is a test of that file."""
    for point in load(plan)["testpoint"]:
        for test in (*point["tests"], *point["mutants"]):
            file, name = test.split("::")
            assert name in functions(file), test
            assert name.startswith("test_") or "cocotb.test" in functions(file)[name], test


def existing_tests(file: str) -> set[str]:
    """List the tests of a file as plans name them."""
    return {
        f"{file}::{name}"
        for name, decorators in functions(file).items()
        if name.startswith("test_") or "cocotb.test" in decorators
    }


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.stem)
def test_existing_tests_are_named(plan: Path) -> None:
    """Every test of the unit's testbench and of its batch suite belongs to a testpoint."""
    files = [benches.module(plan.stem).removeprefix("amxfp4.verif.").replace(".", "/") + ".py"]
    if plan.stem in ON_A_LINE:
        files += [str(file.relative_to(VERIF)) for file in VERIF.glob("tests/serial/test_[ps]*.py")]
    elif plan.stem not in PRODUCTS | ON_BUSES:
        files.append(f"tests/{plan.stem}/test_{plan.stem}.py")
    for file in files:
        tests = existing_tests(file)
        assert tests
        plants = {m for point in load(plan)["testpoint"] for m in point["mutants"]}
        assert tests - named_tests(load(plan)) - plants == set()


def test_existing_product_tests_are_named() -> None:
    """Every test of the batch suite that dot product and array share belongs to one of them."""
    named = {t for p in PLANS if p.stem in PRODUCTS for t in named_tests(load(p))}
    files = sorted(
        f for f in VERIF.glob("tests/array/test_products_*.py") if "mutants" not in f.stem
    )
    assert files
    for file in files:
        tests = existing_tests(str(file.relative_to(VERIF)))
        assert tests
        assert tests - named == set()


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.stem)
def test_requirements_exist(plan: Path) -> None:
    """Every requirement is a heading of a document."""
    for point in load(plan)["testpoint"]:
        document, anchor = point["requirement"].split("#")
        assert anchor in anchors(ROOT / document), point["requirement"]


@pytest.mark.parametrize("unit", benches.CONFIGS)
def test_every_test_was_seen_to_fail(unit: str) -> None:
    """Each test of a unit's testbench fails with a bug that is planted for it."""
    caught = importlib.import_module(f"amxfp4.verif.tests.{PLANTED[unit]}").CAUGHT
    # A name without parameters stands for all that differ in them only.
    tests = {frozenset((name, name.split("/")[0])) for name in benches.names(unit)}
    assert tests
    assert [sorted(names) for names in tests if not names & (caught | NOT_OF_THE_UNIT)] == []
    assert caught <= frozenset().union(*tests)


def test_every_mutant_is_named() -> None:
    """Every planted bug stands in a plan: a mutant is there for a testpoint."""
    named = {m for p in PLANS for point in load(p)["testpoint"] for m in point["mutants"]}
    # These are about the machinery, not about a unit.
    machinery = ("scoreboard", "wrapper_alone", "no_test", "hung_simulation", "bugs_sleep")
    for file in sorted(f for f in VERIF.glob("tests/*/*mutants.py") if "golden" not in f.stem):
        name = str(file.relative_to(VERIF))
        for test in functions(name):
            if test.startswith("test_") and not any(word in test for word in machinery):
                assert f"{name}::{test}" in named
