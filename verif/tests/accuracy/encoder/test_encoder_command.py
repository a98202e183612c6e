"""``amxfp4 accuracy`` of a tiny encoder: rows, answers, files, and what is refused."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from amxfp4 import cli
from amxfp4.accuracy import runs
from amxfp4.accuracy.encoder import bert, sentences, similarity
from amxfp4.accuracy.quantized import FORMATS_MEASURED, Row, quantizer
from amxfp4.commands.language import encoders, models
from amxfp4.util import extras
from amxfp4.verif.tests.accuracy.encoder import tiny_bert

LINES = [f"Number {'abcdefghijkl'[n]} is a sentence of more than seven words." for n in range(8)]


class _Tokenizer:
    """A sentence is a few tokens that its second word decides."""

    def encode_batch(self, texts: list[str]) -> list[Any]:
        return [SimpleNamespace(ids=self.ids(text)) for text in texts]

    def ids(self, text: str) -> list[int]:
        letter = ord(text.split()[1]) - ord("a")
        return [1, *(3 + (letter * k) % 37 for k in range(1, 4 + letter % 5)), 2]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: list[str]) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(extras.EXTRAS, "encoder", ())
    monkeypatch.setattr(sentences, "tokenizer", lambda _: _Tokenizer())
    monkeypatch.setattr(runs, "_loaded", bert.load)
    tiny_bert.write(tmp_path / "tiny")
    Path("text.txt").write_text("\n\n".join(LINES))
    return ["--text", "text.txt", "--model", "tiny", "--sentences", "8"]


def run(*words: str) -> int:
    return cli.run(["accuracy", *words])


def test_table_files_and_record(given: list[str], here: list[str], capsys: Any) -> None:
    """Rows are kept and found again; figures are those of the embeddings."""
    words = [*given, "--format", "mxfp4", "--mode", "both", "--mode", "weights"]
    assert run(*words, "--record", "r.json", "--build", "none") == 0
    out = capsys.readouterr().out
    assert len(here) == 2 + 2 * 3
    assert "8 sentences" in out
    assert "Does amxfp4 lose less than mxfp4 (both)? " in out
    assert " of 1 - cosine: " in out
    rows = json.loads(Path("build/accuracy/sentences.json").read_text())
    with Path("build/accuracy/sentences.csv").open() as stream:
        assert [row["label"] for row in csv.DictReader(stream)] == [row["label"] for row in rows]
    assert json.loads(Path("build/accuracy/accuracy.json").read_text()) == []
    found = {(row["mode"], row["label"]): row for row in rows}
    model = bert.load(Path("tiny/model.safetensors"))
    sequences = [np.array(_Tokenizer().ids(line)) for line in LINES]
    plain = bert.embeddings(model, sequences)
    means = {}
    for format in ("mxfp4", "amxfp4"):
        hook = quantizer(Row(label="", format=format, mode="weights"))
        values = similarity.compared(bert.embeddings(model, sequences, hook), plain)
        row = found["weights", format]
        assert row["distance"] == pytest.approx(values["distance"].mean())
        assert row["agreement"] == pytest.approx(values["agrees"].mean())
        means[format] = values
    apart = means["mxfp4"]["distance"].mean() - means["amxfp4"]["distance"].mean()
    row = found["weights", "mxfp4"]
    assert row["over_amxfp4"] == pytest.approx(apart)
    kept = means["mxfp4"]["agrees"] * 1.0 - means["amxfp4"]["agrees"]
    assert row["agreement_over_amxfp4"] == pytest.approx(kept.mean())
    assert row["over_amxfp4_error_by_token"] > 0
    assert found["none", "FP32"]["distance"] == 0
    assert found["none", "FP32"]["agreement_over_amxfp4"] is None
    tables = json.loads(Path("r.json").read_text())["tables"]
    assert len(tables["similarities"]["rows"]) == 2 * 2
    assert len(tables["answers"]["rows"]) == 1
    here.clear()
    assert run(*words) == 0
    assert here == []


def test_default_rows() -> None:
    """Every format of a language model but those that change a model, in three modes."""
    found = encoders.rows((), ())
    wanted = {text for text in FORMATS_MEASURED if "rotation" not in text}
    assert {row.label for row in found if row.mode and not row.perturbation} == wanted
    assert {row.mode for row in found if row.mode} == {"activations", "weights", "both"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "int4 gptq=true"], "gptq must not be given with an encoder, as in 'int4 gp"),
        (["--format", "int4 rotation=full"], "rotation must not be given with an encoder"),
        (["--format", "fp5"], "format must be one of amxfp4, "),
        (["--sentences", "13"], "sentences must be at most 8 of 'text', not 13"),
        (["--sentences", "10001"], "--sentences must be from 2 to 10000, not 10001"),
        (["--pairs", "text"], "--pairs must not be given with an encoder, not 'text'"),
        (["--hardware", "0"], "--hardware must not be given with an encoder, not '0'"),
        (["--report", "x"], "--report must not be given with an encoder, not 'x'"),
        (["--text", "none"], "--text must be a text in UTF-8, not 'none'"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, given: list[str], capsys: Any
) -> None:
    assert run(*given, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("build").exists()


def test_folder_without_a_tokenizer(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(extras.EXTRAS, "encoder", ())
    monkeypatch.setitem(sys.modules, "tokenizers", SimpleNamespace(Tokenizer=None))
    tiny_bert.write(tmp_path / "tiny")
    assert run("--model", str(tmp_path / "tiny")) == 2
    assert "--model must be a folder of a BERT model, with tok" in capsys.readouterr().err


def test_what_must_be_installed() -> None:
    assert models.extra(None) == models.extra(Path("x.gguf")) == "llm"
    assert models.extra(Path("minilm")) == "encoder"
    assert models.extra(Path("./x/model.safetensors")) == "encoder"
