"""``amxfp4 accuracy``: on a tiny model with a character for a token, and on the real one."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4 import cli
from amxfp4.accuracy import prepared, tokens
from amxfp4.accuracy.loading import load
from amxfp4.commands.language import measure, report
from amxfp4.util import extras
from amxfp4.verif.tests.accuracy import tiny
from amxfp4.verif.tests.accuracy.tiny import losses

TEXT = "0123456789" * 8


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write a model and a text; a character is the token of its place in the vocabulary."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(extras.EXTRAS, "llm", ())
    monkeypatch.setattr(tokens, "tokenizer", load)
    monkeypatch.setattr(
        tokens, "encode", lambda _, text, __: np.array([ord(c) - ord("0") for c in text])
    )
    tiny.write(tmp_path)
    Path("text.txt").write_text(TEXT)
    return ["--text", "text.txt", "--model", "tiny.gguf", "--window", "20", "--tokens", "40"]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Leave the page to its own tests; return what it was to be made of."""
    pages: list[Any] = []

    def write(*given: Any) -> None:
        pages.append(given)
        given[-1].write_text("page")

    monkeypatch.setattr(report, "write", write)
    return pages


def run(*words: str) -> int:
    return cli.run(["accuracy", *words])


def test_record(given: list[str], here: list[str], undrawn: list[Any]) -> None:
    """Rows of formats with losses and costs, and answers; noise is left out."""
    words = [*given, "--format", "mxfp4", "--format", "amxfp4-ue5m3 second=5", "--record", "r.json"]
    assert run(*words, "--mode", "both", "--build", "none") == 0
    tables = json.loads(Path("r.json").read_text())["tables"]
    found = [dict(zip(tables["losses"]["header"], row, strict=True))
             for row in tables["losses"]["rows"]]  # fmt: skip
    assert [row["format"] for row in found] == ["`amxfp4`", "`mxfp4`", "`amxfp4-ue5m3 second=5`"]
    assert [row["bits"] for row in found] == ["4.5", "4.25", "4.5"]
    assert all(float(row["nats over FP32"]) for row in found)
    (answer,) = tables["answers"]["rows"]
    assert answer[0].startswith("Does amxfp4 lose less than mxfp4 (both)?")


def test_gptq_and_rotation(
    given: list[str], here: list[str], undrawn: list[Any], capsys: Any
) -> None:
    """Options that change a model reach it, and are other rows than the format alone."""
    texts = ["int4-asym", "int4-asym gptq=true", "int4-asym gptq=true rotation=full", "afpq-nf4"]
    words = [word for text in texts for word in ("--format", text)]
    assert run(*given, *words, "--mode", "weights") == 0
    rows = json.loads(Path("build/accuracy/accuracy.json").read_text())
    nats = {row["label"]: row["nats"] for row in rows}
    assert len({nats[text] for text in [*texts, "FP32", "amxfp4"]}) == 6
    assert run(*given, "--format", texts[1], "--mode", "kv") == 2
    assert (
        capsys.readouterr().err
        == "amxfp4: error: mode must be weights for 'int4-asym gptq=true', not kv\n"
    )


def test_calibration_on_the_end_of_the_text(
    given: list[str],
    here: list[str],
    undrawn: list[Any],
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not what is measured, and another row than calibration on our own texts."""
    monkeypatch.setattr(prepared, "CALIBRATION", (2, 20))
    monkeypatch.setattr(tokens, "encode", lambda _, t, *most: np.array([ord(c) - 48 for c in t]))
    made: list[Any] = []

    def ends(*given: Any) -> Any:
        made.append(prepared.ends(*given))
        return made[-1]

    monkeypatch.setattr(measure, "ends", ends)
    Path("text.txt").write_text(TEXT + "".join(chr(48 + 7 * n % 40) for n in range(44)))
    words = [w for o in ("", " calibration=text") for w in ("--format", f"int4 gptq=true{o}")]
    assert run(*given, *words, "--mode", "weights") == 0
    rows = json.loads(Path("build/accuracy/accuracy.json").read_text())
    assert len({row["nats"] for row in rows if "gptq" in row["label"]}) == 2
    assert made[0].reshape(-1)[-1] == 7 * 43 % 40
    Path("text.txt").write_text(TEXT)
    assert run(*given, *words, "--mode", "weights") == 2
    assert "at most 39 of 'text' with calibration=text, not 41" in capsys.readouterr().err


def test_table_and_files(
    given: list[str], here: list[str], undrawn: list[Any], capsys: Any
) -> None:
    words = [*given, "--format", "mxfp4", "--format", "nvfp4 tensor_scale=auto", "--mode", "kv"]
    assert run(*words) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:7]] == ["none"] * 2 + ["kv"] * 4
    assert "nvfp4 tensor_scale=auto" in lines[5]
    assert "40 tokens in contexts of 20" in out
    assert "not asked, for want of rows" not in out  # of mode kv nothing is asked
    assert Path("build/reports/accuracy.html").read_text() == "page"
    assert out.endswith("wrote build/reports/accuracy.html\n")
    rows = json.loads(Path("build/accuracy/accuracy.json").read_text())
    assert len(rows) == len(here) == 6
    plain = next(row for row in rows if row["label"] == "FP32")
    ids = np.array([ord(c) - ord("0") for c in TEXT])
    wanted = losses(load(Path("tiny.gguf")), tokens.windows([("", ids)], 40, 20)).mean()
    assert plain["nats"] == pytest.approx(wanted)
    assert f"{math.exp(wanted):.3f}" in lines[1]
    here.clear()
    assert run(*words, "--mode", "weights") == 0
    assert len(here) == 4
    assert {row["mode"] for row in rows} == {"none", "kv"}


def test_answers_and_choices(
    given: list[str], here: list[str], undrawn: list[Any], capsys: Any
) -> None:
    """Whole windows of what is asked for; a file of items beside the text."""
    lines = [{"context": "012", "right": "3", "wrong": ["4", "5"]}, {"context": "9", "right": "0",
              "wrong": ["12"]}]  # fmt: skip
    Path("items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = [*given, "--tokens", "59", "--pairs", "items.jsonl", "--mode", "both"]
    words += ["--format", "mxfp4", "--format", "amxfp4 acc=fp32", "--report", "page.html"]
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert "40 tokens in contexts of 20" in out
    assert "Does amxfp4 lose less than mxfp4 (both)? " in out
    assert "Does amxfp4 acc=fp32 differ from FP32 sums (both)? " in out
    assert "not asked, for want of rows: mxfp4-e4m3; mxfp4-e5m2; " in out
    assert len(here) == 12  # six rows, twice
    chosen = json.loads(Path("build/accuracy/pairs.json").read_text())
    assert [row["items"] for row in chosen] == [2] * 6
    ((results, (items,), build, page),) = undrawn
    assert len(results) == len(items) == 6
    assert (build, page) == (Path("build"), Path("page.html"))


def test_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are read do not count: two rows of a minute each say what four more take."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    left = measure._Forecast()
    told = []
    for done, seconds in enumerate((0.0, 0.01, 60.0, 60.0, 60.0), 1):
        now[0] += seconds
        told.append(left(done, 8 if done < 5 else 5))
    assert told == [
        "measured 1 of 8 rows", "measured 2 of 8 rows", "measured 3 of 8 rows, about 5 min left",
        "measured 4 of 8 rows, about 4 min left", "measured 5 of 5 rows",
    ]  # fmt: skip


def test_items_of_the_text(
    given: list[str], here: list[str], undrawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "ITEMS", 4)
    Path("text.txt").write_text(TEXT * 4)
    assert run(*given, "--pairs", "text", "--format", "amxfp4", "--mode", "kv") == 0
    (row, *_) = json.loads(Path("build/accuracy/pairs.json").read_text())
    assert row["items"] == 4
    assert row["text"].startswith("continuations of text ")


def test_without_what_draws(
    given: list[str], here: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table does without the page; who asks for the page hears what is missing first."""
    monkeypatch.setitem(extras.EXTRAS, "synth", ("no_such_module",))
    words = [*given, "--format", "amxfp4", "--mode", "kv"]
    assert run(*words, "--report", "page.html") == 2
    assert "no_such_module must be installed" in capsys.readouterr().err
    assert not Path("build").exists()
    assert run(*words) == 0
    assert "no report: no_such_module must be installed: pip " in capsys.readouterr().out
    assert not Path("build/reports").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "fp5"], "format must be one of amxfp4, "),
        (["--format", "mxfp4 sides=2"], "sides"),
        (["--mode", "all"], "mode must be one of activations, weights, both, kv, not 'all'"),
        (["--tokens", "10"], "tokens must be a multiple of the window, of 20 tokens, not 10"),
        (["--tokens", "119"], "tokens must be at most 60 of 'text', not 100"),
        (["--text", "none.txt"], "--text must be a text in UTF-8, not 'none.txt' (No such file"),
        (["--text", "tiny.gguf"], "--text must be a text in UTF-8, not 'tiny.gguf' ("),
        (["--model", "text.txt"], "--model must be a GGUF file of a model of the Llama or Gemma"),
        (["--jobs", "0"], "--jobs must be at least 1, not 0"),
        (["--pairs", "none"], "--pairs must be a file of items, a line of JSON each, not 'none' ("),
        (["--pairs", "text.txt"], "line 1 of text.txt: must be an object of JSON, not '0123"),
        (["--pairs", "text"], "items must be from 4 to 1 of this text, not 64"),
        (["--format", "amxfp4 acc=fp32", "--mode", "kv"], "mode must be both for 'amxfp4 acc=fp"),
        (["--hardware", "2"], "--hardware must be layers from 0 to 1, separated by commas, not"),
        (["--hardware", "0", "--format", "fp5"], "format must be one of amxfp4"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, given: list[str], capsys: Any
) -> None:
    assert run(*given, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("build").exists()


def _real() -> tuple[Path, Any]:
    for name in extras.EXTRAS["llm"]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(extras.install("llm"))
    path = tokens.installed_model()
    return path, tokens.tokenizer(path)


@pytest.mark.nightly
def test_real_model_has_learnt_english() -> None:
    """Guesses among 49,152 tokens; a model of which a part is read wrongly is far off."""
    path, made = _real()
    text = tokens.own_texts()[1][1]
    cut = tokens.windows([("", tokens.encode(made, text, 257))], 256, 256)
    assert math.exp(losses(load(path), cut).mean()) < 100


@pytest.mark.nightly
def test_perplexity_on_wikitext() -> None:
    """The figure of another implementation: 30.51 on 3,066 tokens of WikiText-2's test part."""
    file = os.environ.get("AMXFP4_WIKITEXT")
    if not file:
        pytest.skip("AMXFP4_WIKITEXT must name WikiText-2's test part")
    path, made = _real()
    ids = tokens.encode(made, Path(file).read_text(encoding="utf-8"), 4097)
    cut = tokens.windows([("", ids[1024:])], 3072, 512)
    assert math.exp(losses(load(path), cut)[:, :-1].mean()) == pytest.approx(30.51, abs=0.01)
