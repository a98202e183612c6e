"""The gate-level simulation against two others, and what it refuses."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amxfp4.gen import verilog
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.run import run
from amxfp4.synth.gates import activity, cell_models, cells, graph
from amxfp4.synth.gates.simulation import ALL, Simulation
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.sources import Source

TINY = Path(__file__).parents[1] / "tiny.lib"
STREAMS = 128


def random_module(rng: np.random.Generator, gates: int, flops: int) -> dict[str, Any]:
    """Gates and flip-flops at random, without loops, as Yosys would describe them."""
    library = cells.read([TINY])
    kinds = [k for k, cell in library.cells.items() if cell.register is None]
    inputs, states = list(range(3, 9)), list(range(9, 9 + flops))
    known, made = inputs + states, {}
    for number in range(gates):
        kind = str(rng.choice(kinds))
        output = 9 + flops + number
        pins = {p: [int(rng.choice(known))] for p in library.cells[kind].inputs}
        made[f"g{number}"] = {"type": kind, "connections": pins | {"Y": [output]}}
        known.append(output)
    for number, state in enumerate(states):
        pins = {"CLK": [2], "D": [int(rng.choice(known))], "Q": [state]}
        made[f"f{number}"] = {"type": "DFF", "connections": pins}
    # Cells in any order: the simulation finds its own.
    order = rng.permutation(sorted(made))
    return {
        "ports": {
            "clk": {"direction": "input", "bits": [2]},
            "i": {"direction": "input", "bits": inputs},
            "o": {"direction": "output", "bits": known[-4:]},
        },
        "cells": {name: made[name] for name in order},
        "netnames": {f"n{bit}": {"bits": [bit]} for bit in known},
    }


FUNCTIONS: dict[str, Any] = {
    "INV": lambda p: 1 - p["A"],
    "BUF": lambda p: p["A"],
    "NAND2": lambda p: 1 - p["A"] * p["B"],
    "XOR2": lambda p: (p["A"] + p["B"]) % 2,
    "AOI21": lambda p: int(not (p["A"] and p["B"]) and not p["C"]),
}


def one_stream(module: dict[str, Any], inputs: list[list[int]]) -> list[dict[int, int]]:
    """Simulate one stream gate by gate, again and again until nothing changes; all nets."""
    values = dict.fromkeys(range(2, 2000), 0)
    history = []
    pins = {n: {p: b[0] for p, b in c["connections"].items()} for n, c in module["cells"].items()}
    kinds = {n: c["type"] for n, c in module["cells"].items()}
    for cycle in inputs:
        values.update(zip(module["ports"]["i"]["bits"], cycle, strict=True))
        before = None
        while before != values:
            before = dict(values)
            for name, kind in kinds.items():
                if kind != "DFF":
                    got = {p: values[bit] for p, bit in pins[name].items()}
                    values[pins[name]["Y"]] = FUNCTIONS[kind](got)
        history.append(dict(values))
        states = {pins[n]["Q"]: values[pins[n]["D"]] for n, kind in kinds.items() if kind == "DFF"}
        values.update(states)
    return history


def test_changes_are_those_of_a_plain_simulation(rng: np.random.Generator) -> None:
    """Rises and falls of every net, against a simulation of single bits, stream by stream."""
    module = random_module(rng, gates=60, flops=8)
    flat = graph.from_json(module, cells.read([TINY]))
    simulation = Simulation(flat, cells.read([TINY]), STREAMS)
    inputs = rng.integers(0, 2, (12, 6, STREAMS), dtype=np.uint8)
    recorder = None
    for cycle in inputs:
        simulation.set("i", activity.to_words(cycle))
        simulation.settle()
        if recorder is None:
            recorder = activity.Recorder(simulation)
        else:
            recorder.look()
        simulation.clock()
    assert recorder is not None
    counted = recorder.activity()

    rises, falls = np.zeros(len(flat.names), int), np.zeros(len(flat.names), int)
    for stream in range(STREAMS):
        history = one_stream(module, inputs[:, :, stream].tolist())
        for name, entry in module["netnames"].items():
            at, bit = flat.names.index(name), entry["bits"][0]
            for before, now in itertools.pairwise(history):
                rises[at] += now[bit] > before[bit]
                falls[at] += now[bit] < before[bit]
    named = [flat.names.index(name) for name in module["netnames"]]
    assert (counted.rises[named] == rises[named]).all()
    assert (counted.falls[named] == falls[named]).all()
    assert rises.sum() > 5_000
    # And a change that is missed would be seen.
    rises[named[0]] += 1
    assert not (counted.rises[named] == rises[named]).all()


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, str]:
    """Map a small unit to the tiny library."""
    build = tmp_path_factory.mktemp("build")
    config = DequantizerConfig(lanes=8, block=16)
    job = Job(config=config, target="liberty", liberty=(TINY,))
    run(job, build)
    return job, (job.folder(build) / "netlist.v").read_text()


def probed(job: Job, netlist_text: str, nets: list[str], cycles: int) -> Source:
    """Make a unit whose output payload in each of so many cycles is what all `nets` are."""
    manifest = verilog.generate(job.config).manifest
    ports = [dict(port) for port in manifest["ports"]]
    # As an escaped name, any name may be written.
    values = ", ".join(
        "\\" + n.replace("[", " [") if n.endswith("]") else f"\\{n} " for n in reversed(nets)
    )
    text = netlist_text.replace(f"module {job.top}(", "module mapped(all_nets, ", 1)
    text = text.replace(
        "endmodule",
        f"output [{len(nets) - 1}:0] all_nets; assign all_nets = {{{values}}}; endmodule", 1,
    )  # fmt: skip
    width = next(p["width"] for p in ports if p["name"] == "i__payload")
    text += f"""
    module probe(input clk, rst, i__valid, o__ready, input [{width - 1}:0] i__payload,
                 output i__ready, o__valid, output [{len(nets) - 1}:0] o__payload);
      mapped mapped(.clk(clk), .rst(rst), .i__valid(i__valid), .i__ready(i__ready),
                    .i__payload(i__payload), .o__ready(o__ready),
                    .all_nets(o__payload));
      reg [15:0] count;
      assign o__valid = (i__valid || count != 0) && count != {cycles};
      always @(posedge clk) count <= rst ? 0 : count + o__valid;
    endmodule\n"""
    for port in ports:
        if port["name"] == "o__payload":
            port["width"] = len(nets)
    return Source(text, {"unit": "probe", "top": "probe", "ports": ports})


@pytest.mark.nightly  # by day a plain simulation is the third opinion
def test_changes_are_those_of_verilator(
    rng: np.random.Generator, mapped: tuple[Job, str], tmp_path: Path
) -> None:
    """Rises and falls of every net of a mapped unit, against Verilator's, stream by stream."""
    job, text = mapped
    library = cells.read([TINY])
    (tmp_path / "netlist.v").write_text(text)
    flat = graph.load(tmp_path / "netlist.v", job.top, library, [TINY])
    streams, count, skip = 64, 10, 3
    beats = rng.integers(0, 2**32, (streams, count, 3), dtype=np.uint32)
    # Two bytes of scales above the codes are all of the third word.
    beats[..., 2] &= 0xFFFF
    outputs = count * job.config.block // job.config.lanes  # type: ignore[attr-defined]
    counted, _ = activity.drive(Simulation(flat, library, streams), beats, outputs, skip=skip)

    nets = [name for name in flat.names if name not in ("0", "1", "clk") and " " not in name]
    ready, cycles = nets.index("i__ready"), 2 * outputs
    whole = cell_models.complete(text, "liberty", [TINY])
    dut = BatchDut(probed(job, whole, nets, cycles), optimize=False)
    rises, falls = np.zeros(len(nets), int), np.zeros(len(nets), int)
    for stream in beats:
        words = dut.run(stream, cycles).outputs
        raw = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
        seen = np.unpackbits(raw, axis=1, bitorder="little")[:, : len(nets)].astype(int)
        taken = np.flatnonzero(seen[:, ready])
        assert len(taken) >= count
        change = np.diff(seen[taken[skip - 1] : taken[count - 1] + 1], axis=0)
        rises += (change > 0).sum(axis=0)
        falls += (change < 0).sum(axis=0)
    at = [flat.names.index(name) for name in nets]
    assert len(nets) > 300
    assert rises.sum() > 100_000
    assert (counted.rises[at] == rises).all()
    assert (counted.falls[at] == falls).all()


@pytest.mark.parametrize(
    ("cell", "pins", "said"),
    [
        ("g0", {"type": "NAND3"}, "cells must be of the library, not NAND3"),
        ("g0", {"connections": {"A": [3], "Y": [5]}}, "input B of NAND2 must be connected"),
        ("g0", {"connections": {"A": [3], "B": [6], "Y": [5]}}, "gates must not form a loop"),
        ("f0", {"connections": {"CLK": [5], "D": [5], "Q": [7]}}, "must see the rising edge"),
    ],
)
def test_wrong_netlist_is_refused(cell: str, pins: dict[str, Any], said: str) -> None:
    """What cannot be simulated gives one line that says why."""
    made: dict[str, Any] = {
        "g0": {"type": "NAND2", "connections": {"A": [3], "B": [4], "Y": [5]}},
        "g1": {"type": "INV", "connections": {"A": [5], "Y": [6]}},
        "f0": {"type": "DFF", "connections": {"CLK": [2], "D": [5], "Q": [7]}},
    }
    made[cell] |= pins
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "i": {"direction": "input", "bits": [3, 4]},
    }
    module = {"ports": ports, "cells": made, "netnames": {}}
    library = cells.read([TINY])
    with pytest.raises(ValueError, match=said):
        Simulation(graph.from_json(module, library), library, 64)


def test_streams_must_fill_words() -> None:
    """Copies come in words of 64."""
    library = cells.read([TINY])
    module: dict[str, Any] = {"ports": {}, "cells": {}, "netnames": {}}
    for streams in (0, 63, 96):
        with pytest.raises(ValueError, match="streams must be a positive multiple of 64"):
            Simulation(graph.from_json(module, library), library, streams)


def test_words_and_bits_are_inverse(rng: np.random.Generator) -> None:
    """Stream s is bit s % 64 of word s // 64."""
    bits = rng.integers(0, 2, (5, STREAMS), dtype=np.uint8)
    words = activity.to_words(bits)
    assert (activity.to_bits(words) == bits).all()
    assert int(words[2, 1]) >> 3 & 1 == bits[2, 67]
    assert activity.to_words(np.ones((1, 64), np.uint8))[0, 0] == ALL
