"""The page of ``amxfp4 accuracy``, costs of formats, and layers through the hardware."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from amxfp4.accuracy.loading import load
from amxfp4.accuracy.measures import Measured
from amxfp4.accuracy.model import OPERANDS, final
from amxfp4.accuracy.quantized import FP32, Row, described, quantizer
from amxfp4.accuracy.results.summaries import Result
from amxfp4.commands.language import hardware, pictures, report
from amxfp4.commands.language.costs import Cost, Costs
from amxfp4.commands.language.pictures import Mark
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.synth.flow import results
from amxfp4.synth.gates import energy_per_mac
from amxfp4.verif.sim.batch.check import Mismatch
from amxfp4.verif.sim.batch.dut import BatchDut, ContractError
from amxfp4.verif.tests.accuracy import tiny

PLAIN = np.random.default_rng(1).normal(3, 1, 96)
ABOUT = {"model": "tiny", "text": "drawn", "tokens": 96, "window": 48, "version": "0"}
LOSSES = {"amxfp4": 0.2, "mxfp4": 0.9, "mxfp4-e5m2": 0.4, "nvfp4 tensor_scale=auto": 0.1}


def _result(row: Row, over: float) -> Result:
    n = PLAIN.size
    drawn = np.random.default_rng(n).normal(over, 0.1 if row.format else 0, n)
    values = {
        "losses": PLAIN + drawn,
        "divergence": np.full(n, over),
        "agrees": np.arange(n) % 3 > 0,
    }
    more: dict[str, Any] = {"sqnr": dict.fromkeys(OPERANDS, 20.0)}
    if not row.format:
        more = {"groups": {"the median group": np.linspace(-1, 2, 32).tolist()}}
    return Result(row=row, about=ABOUT, measured=Measured(values=values, more=more, seconds=1.0))


@pytest.fixture
def found() -> list[Result]:
    modes = ("activations", "both")
    rows = [(Row(label=t, mode=m, **described(t)), x) for m in modes for t, x in LOSSES.items()]
    return [_result(FP32, 0), *(_result(row, x) for row, x in rows)]


def test_page(found: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file that refers to nothing outside itself, with every row and every picture."""
    monkeypatch.chdir(tmp_path)  # where nothing was synthesized
    path = tmp_path / "accuracy.html"
    values = {name: np.arange(8) < 6 for name in ("by_sum", "by_length")}
    items = Result(
        row=FP32, about={"text": "items", "items": 8}, measured=Measured(values=values, seconds=1.0)
    )
    report.write(found, [[items]], tmp_path, path)
    page = path.read_text()
    assert not re.search(r"""(src|href)=["'](?!#)|https?://|@import|url\((?!#)""", page)
    for title in (
        "Questions fixed in advance",
        "All formats",
        "Losses against costs",
        "Choices: items",
    ):
        assert f"<h2>{title}</h2>" in page
    assert page.count("<svg") == 5
    assert page.count('<section class="cost">') == page.count("<option>") == len(report.AXES)
    for title in ("Loss against the array", "Loss against energy"):
        part = page.split(f"<h3>{title}</h3>")[1].split("</section>")[0]
        assert f"Not measured: {', '.join(LOSSES)}." in part
        assert "<svg" not in part
    for text, over in LOSSES.items():
        rows = re.findall(rf"<tr><td>{re.escape(text)}</td>.*?</tr>", page)
        assert len(rows) == 2
        assert all("not measured" in row for row in rows)
        (told,) = {float(re.findall(r">(-?[\d.]+)</td>", row)[1]) for row in rows}
        assert told == pytest.approx(over, abs=0.05)
    assert "yes</td>" in page
    assert "75.0%" in page


def test_dominated() -> None:
    """As cheap and worse, or dearer and worse; the same loss at the same cost is no better."""
    marks = [
        Mark(name=name, cost=cost, loss=loss, error=0)
        for name, cost, loss in (("a", 1, 5), ("b", 2, 3), ("c", 2, 4), ("d", 3, 3.5), ("e", 3, 1))
    ]
    assert pictures.dominated(marks) == {"c", "d"}


def test_a_mark_for_each_format(found: list[Result]) -> None:
    marks = [Mark(name=n, cost=4.25, loss=x, error=0.1) for n, x in LOSSES.items()]
    places = pictures._beside(marks)
    assert len(set(places)) == len(marks)
    assert np.mean(places) == pytest.approx(4.25)
    assert pictures.losses("x", "y", {"both": []}, []) is None
    assert (
        pictures.shares({}) is pictures.groups({}) is pictures.fidelity("kv", {}, OPERANDS) is None
    )


def test_steps_of_the_gain(found: list[Result]) -> None:
    steps = report._steps(found)
    assert list(steps) == ["activations", "both"]
    gains = [gain for _, gain, _ in steps["both"]]
    assert gains == pytest.approx([0.5, 0.2], abs=1e-9)
    assert report._steps([r for r in found if r.row.format != "mxfp4-e5m2"]) == {}


def _row(text: str) -> Row:
    return Row(label=text, mode="both", **described(text))


def test_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured, of formats that share a datapath as well; and nothing else."""
    dot = DotConfig(format_a="mxfp4", format_b="mxfp4")
    other = DotConfig(format_a="amxfp4", format_b="amxfp4", lanes=4)
    quantize = QuantizerConfig(format="nvfp4")

    def row(config: Any, transistors: int, **changes: Any) -> results.Row:
        fields: dict[str, Any] = {
            "key": config.digest, "unit": config.unit, "digest": config.digest, "script": "area",
            "target": "generic", "transistors": transistors,
            "macs_per_cycle": results.macs_per_cycle(config),
        }  # fmt: skip
        return results.Row(**fields | changes)

    rows = [
        row(dot, 3200), row(quantize, 1600), row(other, 99),
        row(DotConfig(), 99, component="adder"), row(DotConfig(), 99, script="fast"),
        row(DotConfig(), 99, target="ecp5"),
    ]  # fmt: skip
    monkeypatch.setattr(results, "read", lambda _: rows)
    costs = Costs(tmp_path, record=tmp_path / "none.json")
    for text in ("mxfp4", "mxfp4-roundup", "mxfp4-rceil"):
        assert costs.of(_row(text)) == Cost(bits=4.25, dot=100, quantizer=None)
    assert costs.of(_row("nvfp4")) == Cost(bits=4.5, dot=None, quantizer=100)
    for text in ("nvfp4 tensor_scale=auto", "nvfp4 search=[0,3]", "nvfp4-46", "nvfp4 block=32"):
        assert costs.of(_row(text)).quantizer is None
    assert costs.of(_row("amxfp4")) == Cost(bits=4.5, dot=None, quantizer=None)
    array = ArrayConfig(format_a="mxfp4", format_b="mxfp4", rows=8, cols=8)
    rows += [
        row(dot, 64, component="processing_element", macs_per_cycle=32),
        row(array, 2048, component="sequencer", macs_per_cycle=2048),
    ]
    costs = Costs(tmp_path, record=tmp_path / "none.json")
    assert costs.of(_row("mxfp4-rceil")).array == 2 + 1
    assert costs.of(_row("mxfp4 block=64")).array is None
    turned = Row(label="x", format="mxfp4", options={"rotation": "full"}, mode="both")
    assert costs.of(turned) == Cost(bits=4.25, dot=None, quantizer=None)
    assert costs.of(_row("mxfp4 block=64")) == Cost(bits=4.125, dot=None, quantizer=None)


def test_recorded_costs(tmp_path: Path) -> None:
    """Every figure of the record is found under its format."""
    record = Path(__file__).parents[3] / "docs" / "figures" / "formats.json"
    costs = Costs(tmp_path, record)
    told = {
        cells[0]: float(cells[2].replace(",", ""))
        for table in json.loads(record.read_text())["tables"].values()
        for cells in table["rows"]
    }
    for name in ("amxfp4", "mxfp4", "nvfp4"):
        cost = costs.of(_row(name))
        assert cost.dot == told[f"dot [format_a=format_b={name}]"]
        assert cost.quantizer == told[f"quantizer [format={name}]"]
    assert costs.of(_row("mxfp4")).array == pytest.approx(955 + 27.7)
    assert costs.of(_row("amxfp4")).energy is None


def test_energy_is_of_one_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over workloads of the whole dot product, in the first library that was used."""
    digest = DotConfig(format_a="mxfp4", format_b="mxfp4").digest
    rows = [
        SimpleNamespace(digest=digest, component=part, liberty=library, total_fj=fj)
        for part, library, fj in (("", "a", 10), ("", "a", 30), ("sums", "a", 99), ("", "b", 99))
    ]
    monkeypatch.setattr(energy_per_mac, "read", lambda _: rows)
    costs = Costs(tmp_path, record=tmp_path / "none.json")
    assert costs.of(_row("mxfp4")).energy == 20
    assert costs.of(_row("nvfp4")).energy is None


@pytest.mark.parametrize("text", ["", "x", "0,2", "-1", "1,"])
def test_wrong_layers(text: str) -> None:
    message = "--hardware must be layers from 0 to 1, separated by commas, not"
    with pytest.raises(ValueError, match=f"{message} {text!r}"):
        hardware.layers_of(text, 2)


def test_layers_and_their_inputs(tmp_path: Path) -> None:
    """Products of what was noted are those of the forward pass."""
    model, ids = load(tiny.write(tmp_path)), tiny.windows(1, 8)[0, :8]
    assert hardware.layers_of("1,0,1", 2) == [0, 1]
    found = hardware.captured(model, ids, "amxfp4", [1])
    assert list(found) == [(1, name) for name in hardware.LINEAR]
    quantize = quantizer(Row(label="", format="amxfp4", mode="both"))
    made = {
        name: quantize("input", x, -1) @ quantize("weight", w, -1).T
        for (_, name), (x, w) in found.items()
    }
    gate, up = made["gate"], made["up"]
    x, w = found[1, "down"]
    np.testing.assert_allclose(x, gate / (1 + np.exp(-gate)) * up, rtol=1e-5, atol=1e-6)
    assert w is model.layers[1].down
    inputs: list[Any] = []

    def note(operand: str, x: Any, axis: int) -> Any:
        if operand == "input":
            inputs.append(x)
        return quantize(operand, x, axis)

    final(model, [ids], note)
    for name, at in (("key", 4), ("output", 5), ("up", 6), ("down", 7)):
        assert np.array_equal(found[1, name][0], inputs[at])


def test_nothing_compared_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        config = ArrayConfig()
        count = 0
        words = np.empty((0, 0))

    monkeypatch.setattr(hardware, "check_quantizer", lambda *_: Nothing)
    monkeypatch.setattr(hardware, "through_rtl", lambda *_: Nothing)
    x: Any = np.ones((1, 32), np.float32)
    dut: Any = Nothing
    with pytest.raises(ContractError, match="must be compared, not none"):
        hardware.check(dut, dut, x, x)


# Two builds of Verilator.
@pytest.mark.nightly
def test_a_layer_through_the_rtl(tmp_path: Path) -> None:
    model, ids = load(tiny.write(tmp_path)), tiny.windows(1, 8)[0, :8]
    quantize = BatchDut(QuantizerConfig(format="mxfp4", input="fp32"))
    array = BatchDut(ArrayConfig(format_a="mxfp4", format_b="mxfp4", rows=2, cols=2))
    for x, w in hardware.captured(model, ids, "mxfp4", [0]).values():
        blocks = -(-x.shape[1] // 32)
        assert hardware.check(quantize, array, x, w) == ((8 + len(w)) * blocks, 8 * len(w))
    # Circuits of one format, taken for those of another with records as wide.
    quantize.config = QuantizerConfig(format="mxfp4-e5m2", input="fp32")
    with pytest.raises(Mismatch):
        hardware.check(quantize, array, x, w)
    quantize = BatchDut(quantize.config)
    array.config = ArrayConfig(format_a="mxfp4-e5m2", format_b="mxfp4-e5m2", rows=2, cols=2)
    with pytest.raises(Mismatch, match="tile"):
        hardware.check(quantize, array, x, w)
