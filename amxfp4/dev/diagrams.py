"""Timing diagrams of the documents, recorded from the RTL in Amaranth's simulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["WAVES", "draw"]


@dataclass(frozen=True)
class _Scenario:
    """Steps to offer, and the cycles in which the consumer is not ready."""

    config: Any
    steps: tuple[tuple[str, bool], ...]
    """Label and `last` of every step, offered without a pause."""
    results: tuple[str, ...]
    stalled: range
    cycles: int


def _record(scenario: _Scenario) -> list[dict[str, int]]:
    """Values of the handshake signals and the number of the step and result, cycle by cycle."""
    from amaranth.sim import Simulator

    from amxfp4.gen import verilog

    dut = verilog.component(scenario.config)
    rows: list[dict[str, int]] = []

    async def bench(ctx: Any) -> None:
        step = result = 0
        for cycle in range(scenario.cycles):
            offered = cycle > 0 and step < len(scenario.steps)
            ctx.set(dut.i.valid, offered)
            if offered:
                last = scenario.steps[step][1]
                ctx.set(dut.i.payload, last << (len(dut.i.payload) - 1))
            ctx.set(dut.o.ready, cycle not in scenario.stalled)
            row = {
                "i__valid": int(ctx.get(dut.i.valid)), "i__ready": int(ctx.get(dut.i.ready)),
                "o__valid": int(ctx.get(dut.o.valid)), "o__ready": int(ctx.get(dut.o.ready)),
                "step": step, "result": result,
            }  # fmt: skip
            rows.append(row)
            step += row["i__valid"] & row["i__ready"]
            result += row["o__valid"] & row["o__ready"]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return rows


def _bit(values: list[int]) -> str:
    return "".join("." if n and v == values[n - 1] else str(v) for n, v in enumerate(values))


def _bus(labels: list[str | None]) -> dict[str, Any]:
    """Wave and data of a bus; None is a value that does not matter. Colours alternate."""
    wave, data, colour = "", [], 3
    for n, label in enumerate(labels):
        if n and label == labels[n - 1]:
            wave += "."
        elif label is None:
            wave += "x"
        else:
            wave += str(colour)
            colour = 4 if colour == 3 else 3
            data.append(label)
    return {"wave": wave, "data": data}


def _diagram(scenario: _Scenario) -> dict[str, Any]:
    rows = _record(scenario)
    column = {name: [row[name] for row in rows] for name in rows[0]}
    sent = [
        scenario.steps[r["step"]][0] if r["i__valid"] else None for r in rows
    ]  # fmt: skip
    got = [scenario.results[r["result"]] if r["o__valid"] else None for r in rows]
    if sum(r["o__valid"] & r["o__ready"] for r in rows) != len(scenario.results):
        raise RuntimeError("the scenario of a timing diagram must show all of its results")
    return {
        "signal": [
            {"name": "clk", "wave": "p" + "." * (len(rows) - 1)},
            {"name": "i__valid", "wave": _bit(column["i__valid"])},
            {"name": "i__payload", **_bus(sent)},
            {"name": "i__ready", "wave": _bit(column["i__ready"])},
            {},
            {"name": "o__valid", "wave": _bit(column["o__valid"])},
            {"name": "o__payload", **_bus(got)},
            {"name": "o__ready", "wave": _bit(column["o__ready"])},
        ],
        "config": {"hscale": 1.5},
    }


def _dot() -> _Scenario:
    from amxfp4.params.dot import DotConfig

    steps = tuple((f"{s}{n}" + (" last" if n == 2 else ""), n == 2) for s in "ab" for n in range(3))
    return _Scenario(DotConfig(block=16), steps, ("sum a", "sum b"), range(10, 13), 15)


def _array() -> _Scenario:
    from amxfp4.params.array import ArrayConfig

    config = ArrayConfig(block=16, rows=2, cols=2, lanes=8)
    steps = tuple((f"{t}{n}" + (" last" if n else ""), bool(n)) for t in "abc" for n in range(2))
    return _Scenario(config, steps, ("tile a", "tile b", "tile c"), range(11, 13), 21)


WAVES: dict[str, Callable[[], _Scenario]] = {"dot": _dot, "array": _array}
"""Diagrams by name: ``docs/waves/NAME.svg``."""


def draw(name: str) -> str:
    """Record a scenario and draw it as SVG."""
    import wavedrom

    text: str = wavedrom.render(json.dumps(_diagram(WAVES[name]()))).tostring()
    return text + "\n"
