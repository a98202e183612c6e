"""Tables and timing diagrams of the documents, made from the project itself.

A document marks where a table goes::

    <!-- generated: formats -->
    <!-- end -->

`update` writes what belongs between the marks; `stale` says where it no longer fits.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

__all__ = ["SECTIONS", "documents", "stale", "update"]

Sections = dict[str, Callable[[], str]]
"""What can stand between marks, by name."""

_SECTION = re.compile(r"(<!-- generated: (\S+) -->\n)(.*?)(<!-- end -->)", re.S)


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def _formats() -> str:
    """Write the format table."""
    from amxfp4.params.formats import FORMATS

    rows = [
        (
            f"`{row.name}`", row.block, row.element.name.upper(),
            "2: positive, negative" if row.asymmetric else f"1{', zero point' * row.zero_point}",
            row.scale.name.upper(), row.scale_rule, f"{row.bits_per_element:g}",
        )
        for row in FORMATS.values()
    ]  # fmt: skip
    header = ("format", "K", "element", "scales", "scale code", "scale rule", "bits per element")
    return _table(header, rows)


def _weight_formats() -> str:
    """Write the table of weight formats."""
    from amxfp4.params.weights import WEIGHT_FORMATS, weight_format

    header = ("format", "table", "scales", "bits per element, FP32 scales", "FP16 scales")
    rows = []
    for name, row in WEIGHT_FORMATS.items():
        bits = (r.bits_per_element for r in (row, weight_format(name, packed=True)))
        rows.append((f"`{name}`", name[-3:].upper(), row.sides, *(f"{n:g}" for n in bits)))
    return _table(header, rows)


_UNITS = {
    "quantizer": "finds the scales of a block and rounds its words to codes, without a divider",
    "dequantizer": "turns a block record back into BF16 or FP32 words",
    "weight_dequantizer": "turns a record of AFPQ's weights into FP16 or BF16 words",
    "dot": "multiplies two blocks, adds over blocks, and rounds each sum once",
    "array": "`rows` x `cols` dot products on shared blocks: a tile of a matrix product",
    "engine": (
        "a matrix product of any M, N, K behind AXI4-Lite and AXI4-Stream: quantizes A as it "
        "streams in, keeps B on chip, names every error"
    ),
    "engine_uart": "the engine behind a serial line of two wires, for boards with open tools",
}
"""What each unit does, in a sentence."""


def _units() -> str:
    """Describe every unit, with its figures in the default configuration, from its manifest."""
    from amxfp4.gen import verilog
    from amxfp4.params.units import UNITS

    def bits(ports: list[dict[str, Any]], direction: str) -> str:
        data = ("i__payload", "o__payload", "rx", "tx")
        widths = [
            port["width"] for port in ports
            if port["direction"] == direction and (port["name"] in data or "tdata" in port["name"])
        ]  # fmt: skip
        return " + ".join(map(str, widths))

    rows, pages = [], {"engine_uart": "bridge"}
    for unit, configuration in UNITS.items():
        manifest = verilog.describe(configuration())
        ports = manifest["ports"]
        rows.append(
            (
                f"[`{unit}`](docs/units/{pages.get(unit, unit)}.md)", _UNITS[unit],
                bits(ports, "in"), bits(ports, "out"),
                manifest["latency"], manifest["cycles_per_block"],
            )
        )  # fmt: skip
    header = ("unit", "what it does", "bits in", "bits out", "latency", "cycles per block")
    return _table(header, rows)


def _sqnr() -> str:
    """Quantize the shipped tensors and state signal over quantization noise in dB."""
    from amxfp4 import golden
    from amxfp4.golden.quality import sqnr
    from amxfp4.verif.sim.tensors import real_tensors

    names = ("amxfp4", "amxfp4-e4m3", "amxfp4-pot", "nvfp4", "mxfp4")
    rows = []
    for tensor, x in real_tensors().items():
        figures = [sqnr(x, golden.dequantize(golden.quantize(x, name))) for name in names]
        best = max(figures)
        rows.append(
            [f"`{tensor}`", *(f"**{f:.1f}**" if f == best else f"{f:.1f}" for f in figures)]
        )
    return _table(("tensor", *(f"`{name}`" for name in names)), rows)


def _widths() -> str:
    """List the widths of the dot product's steps for some pairs of formats."""
    from amxfp4.params.dot import DotConfig
    from amxfp4.rtl.dot.widths import DotWidths

    configs = [
        DotConfig(),
        DotConfig(format_a="amxfp4-e4m3", format_b="amxfp4-e4m3"),
        DotConfig(format_a="nvfp4", format_b="nvfp4", block=32),
        DotConfig(acc="fixed"),
        DotConfig(format_a="amxfp4-pot", format_b="amxfp4-pot"),
        DotConfig(format_a="mxfp4", format_b="mxfp4"),
    ]
    tables = [DotWidths(config).table() for config in configs]
    steps = list(tables[0])
    rows = [
        (f"`{c.format_a}` x `{c.format_b}`", f"`{c.acc}`", *(t.get(s, "-") for s in steps))
        for c, t in zip(configs, tables, strict=True)
    ]
    return _table(("operands", "acc", *steps), rows)


def _flags() -> str:
    """Count flagged results of fixed accumulation on the shipped tensors, F and I varied."""
    from amxfp4 import golden
    from amxfp4.params.dot import DotConfig
    from amxfp4.verif.sim.tensors import real_tensors

    config = DotConfig(acc="fixed")
    frac_bits, int_bits = config.frac_bits or 0, config.int_bits or 0
    fractions = [frac_bits - n for n in (16, 12, 8, 4, 0)]
    integers = [int_bits - n for n in (12, 8, 4, 0)]
    rows = []
    for name, x in real_tensors().items():
        # Every row of the tensor with every other, and with itself.
        q = golden.quantize(x.reshape(-1, x.shape[-1]))
        shares = []
        for f, i in [(f, int_bits) for f in fractions] + [(frac_bits, i) for i in integers[:-1]]:
            _, flags = golden.matmul(q, q, acc="fixed", frac_bits=f, int_bits=i)
            inexact, overflow = flags.mean(axis=(0, 1))
            share = inexact if i == int_bits else overflow
            shares.append(f"{share:.2%}" if share else "0")
        rows.append((f"`{name}`", *shares))
    header = ("tensor", *(f"F={f}" for f in fractions), *(f"I={i}" for i in integers[:-1]))
    return _table(header, rows)


def _engine_registers() -> str:
    """List the fields of the engine's registers."""
    from amxfp4.params.registers import REGISTERS

    rows = []
    for register in REGISTERS:
        for n, f in enumerate(register.fields):
            bits = str(f.bit) if f.width == 1 else f"{f.bit + f.width - 1}:{f.bit}"
            place = (f"0x{register.offset:02X}", f"`{register.name}`") if n == 0 else ("", "")
            name = "" if f.name == "value" else f"`{f.name}`"
            rows.append((*place, bits, name, f.access, f.text))
    return _table(("offset", "register", "bits", "field", "access", "meaning"), rows)


def _engine_codes() -> str:
    """List the codes of the engine's fields that stand for a name."""
    from amxfp4.params.registers import CODES

    rows = [
        (kind, ", ".join(f"{code} `{name}`" for name, code in codes.items()))
        for kind, codes in CODES.items()
    ]
    return _table(("field", "codes"), rows)


_COSTS = {
    "units": {
        "quantizer, AMXFP4": "AMXFP4 `quantizer`, 32 elements per cycle",
        "dequantizer, AMXFP4": "AMXFP4 `dequantizer`, 32 elements per cycle",
        "dequantizer of weights, AFPQ NF4": (
            "AFPQ NF4 `weight_dequantizer`, 32 elements per cycle"
        ),
    },
    "dot-products": {
        "dot, AMXFP4, exact": "AMXFP4 `dot`, 32 MACs per cycle, exact sums",
        "dot, AMXFP4, exact, 4 lanes": "AMXFP4 `dot`, 4 MACs per cycle, exact sums",
        "dot, MXFP4, fp32": "MXFP4 `dot`, 32 MACs per cycle, FP32 sums",
    },
}
"""Circuits whose cost README.md states, by table and label of the record of `make synth`."""


def _cost(tables: dict[str, Any]) -> str:
    """Say what the units cost, in a few rows."""
    columns = ("T in all", "LUT in all", "LUT4e in all", "FF")
    rows = []
    for name, circuits in _COSTS.items():
        heads, record = tables[name]["header"], tables[name]["rows"]
        by_label = {row[0]: dict(zip(heads, row, strict=True)) for row in record}
        rows += [
            (text, *(by_label[label][column] for column in columns))
            for label, text in circuits.items()
        ]
    header = ("circuit", "transistors", "LUT, UltraScale+", "LUT, ECP5", "flip-flops")
    return _table(header, rows)


def _costs(root: Path) -> Sections:
    """Tables of costs, by name: ``cost/RECORD/TABLE``, as `synth plan --record` wrote them."""

    def table(record: dict[str, Any]) -> Callable[[], str]:
        return lambda: _table(record["header"], record["rows"])

    made: dict[str, Callable[[], str]] = {}
    for path in sorted((root / FIGURES).glob("*.json")):
        tables = json.loads(path.read_text())["tables"]
        made |= {f"cost/{path.stem}/{anchor}": table(record) for anchor, record in tables.items()}
        if path.stem == "default":
            made["cost"] = functools.partial(_cost, tables)
    return made


def _layers(root: Path) -> str:
    """Draw the layers that `make lint` holds imports against, from top to bottom."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    boxes = [
        [f"{room.removeprefix('amxfp4.'):12}{_purpose(room)}" for room in layer.split(" | ")]
        for layer in layers
    ]
    width = max(len(line) for box in boxes for line in box)
    text = f"├{'─' * (width + 2)}┤\n".join(
        "".join(f"│ {line:{width}} │\n" for line in box) for box in boxes
    )
    return f"```text\n┌{'─' * (width + 2)}┐\n{text}└{'─' * (width + 2)}┘\n```\n"


def _purpose(room: str) -> str:
    """Return what the docstring of a room says first, without what the room imports."""
    spec = importlib.util.find_spec(room)
    source = Path(spec.origin).read_text() if spec and spec.origin else ""
    described = " ".join((ast.get_docstring(ast.parse(source)) or "").split())
    return re.split(r"[.;](?: |$)", described)[0].replace("`", "")


FIGURES = Path("docs", "figures")
"""Where records of costs are, below the project's folder; measuring takes long."""

SECTIONS: Sections = {
    "formats": _formats,
    "weight-formats": _weight_formats,
    "units": _units,
    "sqnr": _sqnr,
    "widths": _widths,
    "flags": _flags,
    "engine-registers": _engine_registers,
    "engine-codes": _engine_codes,
}
"""Sections made from the rooms below; the command line adds its own."""


def documents(root: Path) -> list[Path]:
    """Documents of the project that may hold generated tables."""
    top = [root / name for name in ("README.md", "CONTRIBUTING.md")]
    return [path for path in (*top, *sorted((root / "docs").rglob("*.md"))) if path.exists()]


def _renewed(text: str, made: dict[str, str], sections: Sections) -> str:
    def section(match: re.Match[str]) -> str:
        name = match[2]
        if name not in sections:
            raise ValueError(
                f"generated section must be one of {', '.join(sections)}, not {name!r}"
            )
        if name not in made:
            made[name] = sections[name]()
        return match[1] + made[name] + match[4]

    return _SECTION.sub(section, text)


def _drawings(root: Path) -> dict[Path, str]:
    """Draw the timing diagrams and pictures that the documents of `root` show."""
    from amxfp4.dev import diagrams, pictures

    shown = "".join(d.read_text() for d in documents(root))
    made: Sections = {f"waves/{n}.svg": functools.partial(diagrams.draw, n) for n in diagrams.WAVES}
    made |= {f"pictures/{name}.svg": draw for name, draw in pictures.PICTURES.items()}
    record = root / FIGURES / "accuracy.json"
    made["pictures/worth.svg"] = functools.partial(pictures.worth, record)
    return {root / "docs" / place: draw() for place, draw in made.items() if place in shown}


def _current(root: Path, more: Sections) -> dict[Path, str]:
    """Make what the files of `root` with generated parts should hold, by path."""
    made: dict[str, str] = {}
    sections = SECTIONS | more | _costs(root) | {"layers": lambda: _layers(root)}
    texts = {d: _renewed(d.read_text(), made, sections) for d in documents(root)}
    return texts | _drawings(root)


def _differing(current: dict[Path, str]) -> list[Path]:
    return [p for p, text in current.items() if not p.exists() or p.read_text() != text]


def stale(root: Path, more: Sections) -> list[Path]:
    """Documents and drawings that are not what the project makes now, as `update` would find."""
    return _differing(_current(root, more))


def update(root: Path, more: Sections) -> list[Path]:
    """Rewrite the generated tables and diagrams below `root`; return what changed.

    Parameters
    ----------
    root
        The checkout.
    more
        Sections beside those of `SECTIONS`.

    Raises
    ------
    ValueError
        A document asks for a table that does not exist; nothing is written then.
    """
    current = _current(root, more)
    changed = _differing(current)
    for path in changed:
        path.parent.mkdir(exist_ok=True)
        path.write_text(current[path])
    return changed
