"""Which planted bugs the tests of a day catch, and which only those of a night: a list, checked.

python -m amxfp4.verif.tests.project.test_bug_list    writes it anew
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from amxfp4.util import process

VERIF = Path(__file__).parents[2]
LIST = VERIF / "plan" / "bugs.txt"
HEAD = """\
# Planted bugs, one test each, and when `make test` (day) or only `make nightly` (night) runs it.
# Made by: python -m amxfp4.verif.tests.project.test_bug_list
"""


def mutants() -> set[str]:
    """Collect the tests that plans name as showing that others can fail."""
    plans = [tomllib.loads(plan.read_text()) for plan in sorted(VERIF.glob("plan/*.toml"))]
    return {mutant for plan in plans for point in plan["testpoint"] for mutant in point["mutants"]}


def collected(mark: str) -> list[str]:
    """List the cases of those tests that have a mark, or have not."""
    tests = [f"{VERIF}/{test}" for test in sorted(mutants()) if test.startswith("tests/")]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    said = process.run([*command, "-m", mark, *tests], cwd=VERIF.parent, timeout=300)
    prefix = f"{VERIF.name}/"
    return [line.removeprefix(prefix) for line in said.splitlines() if line.startswith(prefix)]


def listing() -> str:
    """Make the list from the tests themselves."""
    cases = dict.fromkeys(collected("not nightly"), "day")
    cases |= dict.fromkeys(collected("nightly"), "night")
    return HEAD + "".join(f"{when:5} {case}\n" for case, when in sorted(cases.items()))


def test_list_of_planted_bugs_is_true() -> None:
    """Every planted bug is in the list with its time, and no other is; all are met at night."""
    assert LIST.read_text() == listing(), f"write it anew: python -m {__spec__.name}"


def test_most_bugs_are_caught_by_day() -> None:
    """The night has more of a kind, not kinds of its own: every test has a case by day."""
    cases = [line.split(maxsplit=1) for line in LIST.read_text().splitlines()[2:]]
    by_day = {case.split("[")[0] for when, case in cases if when == "day"}
    only_at_night = {case.split("[")[0] for when, case in cases} - by_day
    assert len(by_day) > 50
    assert only_at_night <= ONLY_AT_NIGHT


ONLY_AT_NIGHT: set[str] = set()
"""Tests of which no case runs by day."""


if __name__ == "__main__":
    LIST.write_text(listing())
