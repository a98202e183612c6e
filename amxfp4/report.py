"""Tables of the documents, made from the project itself.

A document marks where a table goes::

    <!-- generated: formats -->
    <!-- end -->

`update` writes what belongs between the marks; `stale` says where it no longer fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["SECTIONS", "documents", "stale", "update"]

_SECTION = re.compile(r"(<!-- generated: (\S+) -->\n)(.*?)(<!-- end -->)", re.S)


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def _formats() -> str:
    """Write the format table."""
    from amxfp4.gen.config import FORMATS

    rule = {"nearest": "nearest to m/6", "floor": "floor", "round-up": "round up"}
    rows = [
        (
            f"`{row.name}`", row.block, row.element.name.upper(),
            "2: positive, negative" if row.asymmetric else 1,
            row.scale.name.upper(), rule[row.scale_rule], f"{row.bits_per_element:g}",
        )
        for row in FORMATS.values()
    ]  # fmt: skip
    header = ("format", "K", "element", "scales", "scale code", "scale rule", "bits per element")
    return _table(header, rows)


def _units() -> str:
    """Describe every unit in its default configuration, from its manifest."""
    from amxfp4.gen import verilog
    from amxfp4.gen.config import UNITS

    rows = []
    for unit, configuration in UNITS.items():
        manifest = verilog.generate(configuration()).manifest
        width = {port["name"]: port["width"] for port in manifest["ports"]}
        options = ", ".join(f"`--{name}`" for name in manifest["config"] if name != "unit")
        rows.append(
            (
                f"[`{unit}`](docs/{unit}.md)", width["i__payload"], width["o__payload"],
                manifest["latency"], manifest["cycles_per_block"], options,
            )
        )  # fmt: skip
    header = ("unit", "bits in", "bits out", "latency", "cycles per block", "options")
    return _table(header, rows)


def _sqnr() -> str:
    """Quantize the shipped tensors and state signal over quantization noise in dB."""
    import numpy as np

    from amxfp4 import golden
    from amxfp4.verif.sim import real_tensors

    names = ("amxfp4", "amxfp4-e4m3", "amxfp4-pot", "nvfp4", "mxfp4")
    rows = []
    for tensor, x in real_tensors().items():
        signal = x.astype(np.float64)
        figures = []
        for name in names:
            noise = signal - golden.dequantize(golden.quantize(x, name))
            figures.append(10 * np.log10(np.square(signal).sum() / np.square(noise).sum()))
        best = max(figures)
        rows.append(
            [f"`{tensor}`", *(f"**{f:.1f}**" if f == best else f"{f:.1f}" for f in figures)]
        )
    return _table(("tensor", *(f"`{name}`" for name in names)), rows)


SECTIONS: dict[str, Callable[[], str]] = {"formats": _formats, "units": _units, "sqnr": _sqnr}
"""What can stand between marks, by name."""


def documents(root: Path) -> list[Path]:
    """Documents of the project that may hold generated tables."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def _renewed(text: str, made: dict[str, str]) -> str:
    def section(match: re.Match[str]) -> str:
        name = match[2]
        if name not in SECTIONS:
            raise ValueError(
                f"generated section must be one of {', '.join(SECTIONS)}, not {name!r}"
            )
        if name not in made:
            made[name] = SECTIONS[name]()
        return match[1] + made[name] + match[4]

    return _SECTION.sub(section, text)


def stale(root: Path) -> list[Path]:
    """Documents whose generated tables are not what the project makes now.

    Raises
    ------
    ValueError
        A document asks for a table that does not exist.
    """
    made: dict[str, str] = {}
    return [d for d in documents(root) if _renewed(d.read_text(), made) != d.read_text()]


def update(root: Path) -> list[Path]:
    """Rewrite the generated tables of the documents below `root`; return what changed.

    Raises
    ------
    ValueError
        A document asks for a table that does not exist; nothing is written then.
    """
    made: dict[str, str] = {}
    texts = {d: _renewed(d.read_text(), made) for d in documents(root)}
    changed = [d for d, text in texts.items() if text != d.read_text()]
    for document in changed:
        document.write_text(texts[document])
    return changed
