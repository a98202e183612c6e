"""Items with right and wrong continuations: files, texts, and what a model chooses."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy import runs, tasks
from amxfp4.accuracy.loading import load
from amxfp4.accuracy.model import final
from amxfp4.accuracy.predictions import losses
from amxfp4.accuracy.quantized import FP32, Row
from amxfp4.accuracy.results.store import Store
from amxfp4.accuracy.results.summaries import of_items, of_text
from amxfp4.accuracy.tasks import Item, choices, from_text, read
from amxfp4.verif.tests.accuracy import slowly, tiny


def encode(text: str) -> Any:
    return np.array([ord(c) - ord("0") for c in text])


LINES = [
    {"context": "012", "right": "34", "wrong": ["5", "678"]},
    {"right": "9", "wrong": ["1"]},
]


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("\n\n".join(map(json.dumps, LINES)) + "\n", encoding="utf-8")
    assert read(path, encode, 7) == [
        Item(context=(0, 1, 2), continuations=((3, 4), (5,), (6, 7, 8)), lengths=(2, 1, 3)),
        Item(context=(7,), continuations=((9,), (1,)), lengths=(1, 1)),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "must be an object of JSON, not '{'"),
        ("[1]", "must be an object of JSON"),
        ('{"right": "1"}', "wrong must be a list of one text or more, not None"),
        ('{"right": "1", "wrong": []}', "wrong must be a list of one text or more"),
        ('{"right": "1", "wrong": "2"}', "wrong must be a list of one text or more, not '2'"),
        ('{"right": 1, "wrong": ["2"]}', "right must be a text of one character or more, not 1"),
        ('{"wrong": ["2"]}', "right must be a text of one character or more, not None"),
        ('{"right": "1", "wrong": ["2", ""]}', r"wrong\[1\] must be a text of one character"),
        ('{"right": "1", "wrong": ["2", "1"]}', r"wrong\[1\] must differ from right, not '1'"),
        ('{"context": 5, "right": "1", "wrong": ["2"]}', "context must be a text, not 5"),
        ('{"right": "1", "wrong": ["2"], "x": 1}', "fields must be context, right and wrong, not"),
        ('{"right": "1", "wrong": ["2"]}', "context must be given"),
    ],
)
def test_a_bad_line(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(f"{json.dumps(LINES[0])}\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"line 2 of .*items\.jsonl: {message}"):
        read(path, encode, None)


def test_no_line(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("\n")
    with pytest.raises(ValueError, match="must have a line at least"):
        read(path, encode, None)


def test_items_of_a_text() -> None:
    items = from_text(np.arange(1000), 8)
    assert len(items) == 8
    for i, item in enumerate(items):
        assert item.context == tuple(range(125 * i, 125 * i + 48))
        starts = [way[0] for way in item.continuations]
        assert starts == [125 * ((i + step) % 8) + 48 for step in (0, 2, 4, 6)]
        assert {len(way) for way in item.continuations} == {16}
    assert from_text(np.arange(1000), 8) == items


@pytest.mark.parametrize("count", [3, 16])
def test_too_few_items(count: int) -> None:
    with pytest.raises(ValueError, match=f"items must be from 4 to 15 of this text, not {count}"):
        from_text(np.arange(1000), count)


def _items() -> list[Item]:
    """Items of which the right continuation is now the shortest and now the longest."""
    rng = np.random.default_rng(4)

    def drawn(n: int) -> tuple[int, ...]:
        return tuple(rng.integers(0, tiny.VOCABULARY, n).tolist())

    sizes = [(2, 5, 3), (5, 2, 3)] * 4
    return [Item(context=drawn(4), continuations=tuple(map(drawn, s)), lengths=s) for s in sizes]


ITEMS = _items()


@functools.cache
def _slowly() -> dict[str, list[bool]]:
    right: dict[str, list[bool]] = {"by_sum": [], "by_length": []}
    for item in ITEMS:
        likely = []
        for way in item.continuations:
            told = slowly.losses(tiny.tensors(), tiny.KEYS, [*item.context, *way])
            likely.append(-sum(told[len(item.context) - 1 :]))
        each = [p / n for p, n in zip(likely, item.lengths, strict=True)]
        for name, scores in (("by_sum", likely), ("by_length", each)):
            right[name].append(scores[0] == max(scores))
    return right


def _chosen(path: Path, items: list[Item]) -> dict[str, list[bool]]:
    return {name: found.tolist() for name, found in choices(load(path), items).items()}


def test_choices_are_those_of_another_implementation(tmp_path: Path) -> None:
    wanted = _slowly()
    assert _chosen(tiny.write(tmp_path), ITEMS) == wanted
    for found in wanted.values():
        assert len(set(found)) == 2
    assert wanted["by_sum"] != wanted["by_length"]


@pytest.mark.parametrize("bug", ["a token late", "last token is missing", "no length"])
def test_planted_bug_is_found(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, items = _slowly(), ITEMS
    if bug == "a token late":
        monkeypatch.setattr(
            tasks, "final", lambda *a, **o: [np.roll(x, 1, 0) for x in final(*a, **o)]
        )
    elif bug == "last token is missing":
        monkeypatch.setattr(tasks, "losses", lambda m, x, t: [a[:-1] for a in losses(m, x, t)])
    else:
        items = [
            Item(context=i.context, continuations=i.continuations, lengths=(1, 1, 1)) for i in ITEMS
        ]
    assert _chosen(tiny.write(tmp_path), items) != wanted


def test_rows_of_items_are_kept_and_summarized(tmp_path: Path, here: list[str]) -> None:
    path, store = tiny.write(tmp_path), Store(tmp_path / "out")
    rows = [FP32, Row(label="x", format="mxfp4", mode="both")]
    for _ in range(2):
        results = runs.run(path, ITEMS, rows, store, "drawn")
        figures = of_items(results)
    assert here == ["FP32", "x"]
    assert {a.dtype for r in results for a in r.measured.values.values()} == {np.dtype(bool)}
    share = np.mean(_slowly()["by_sum"])
    assert figures[0]["accuracy_by_sum"] == pytest.approx(share)
    error = (share * (1 - share) / (len(ITEMS) - 1)) ** 0.5
    assert figures[0]["accuracy_by_sum_error"] == pytest.approx(error)
    assert figures[0]["items"] == len(ITEMS)
    assert of_text(results) == []
    assert json.loads((store.folder / "pairs.json").read_text()) == figures
    assert (store.folder / "pairs.csv").read_text().startswith("label,format,")
