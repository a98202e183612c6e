"""What runs by day is a sample of what runs at night, and one list names the rest."""

from types import SimpleNamespace

import pytest

from amxfp4.verif.tests.conftest import BLOCKS, NIGHTLY, pytest_collection_modifyitems

LATE = pytest.mark.nightly
THIRD = pytest.mark.by_day(3)
CASES = {
    "thinned": [[THIRD]] * 7,
    "both": [[THIRD], [THIRD, LATE], [THIRD], [THIRD], [THIRD]],
    "late": [[LATE]],
    "always": [[]],
}
BY_DAY = ["thinned[0]", "thinned[3]", "thinned[6]", "both[0]", "both[4]", "always[0]"]


class Item:
    """A case of a test, as far as the rule looks at it."""

    def __init__(self, nodeid, marks):
        self.nodeid, self.marks = nodeid, list(marks)

    def get_closest_marker(self, name):
        return next((mark for mark in self.marks if mark.name == name), None)

    def add_marker(self, mark):
        self.marks.append(mark.mark)


def having(mark, blocks, cases=None):
    """List the cases that have a mark once a run of so many blocks is collected."""
    items = [
        Item(f"test.py::{test}[{n}]", [mark.mark for mark in marks])
        for test, them in CASES.items()
        for n, marks in enumerate(them)
    ]
    if cases is not None:
        items = [item for item in items if item.nodeid.endswith(cases)]
    pytest_collection_modifyitems(SimpleNamespace(getoption=lambda name: blocks), items)
    return [item.nodeid[9:] for item in items if item.get_closest_marker(mark)]


def test_sample_by_day():
    skipped = having("skip", BLOCKS)
    assert len(skipped) == 8
    assert set(skipped).isdisjoint(BY_DAY)


def test_all_at_night():
    assert having("skip", NIGHTLY) == []


def test_one_that_is_asked_for_runs():
    """The command that repeats a failure of the night runs by day, too."""
    assert having("skip", BLOCKS, ("thinned[4]",)) == []


@pytest.mark.parametrize("blocks", [BLOCKS, NIGHTLY])
def test_list_of_the_night(blocks):
    """`-m nightly` selects the same in a run of either kind."""
    assert having("nightly", blocks) == having("skip", BLOCKS)
