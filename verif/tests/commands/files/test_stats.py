"""`amxfp4 info --stats`: its tables and its page say what loops over a file's numbers say."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from amxfp4 import cli, golden
from amxfp4.commands.files import stats, stats_page
from amxfp4.golden import Blocks, files
from amxfp4.golden.inspection.statistics import WordStatistics, block_statistics
from amxfp4.util import extras

DATA = Path(__file__).parents[3] / "data" / "checkpoints"
E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
BLOCKS = ("format", "elements", "zeros", "saturated", "blocks", "one-sided", "all zero", "median",
          "least", "most", "NaN", "zero scales", "RMS", "dB")  # fmt: skip
WORDS = ("words", "elements", "zeros", "NaN", "infinite", "max", "RMS", "dB")


def run(capfd, *arguments):
    """Run `info --stats`; return exit code, the rows of both tables, and what was printed."""
    capfd.readouterr()
    code = cli.run(["info", *map(str, arguments), "--stats"])
    printed = capfd.readouterr()
    tables: dict[str, dict[str, dict[str, str]]] = {"blocks": {}, "words": {}}
    names, into = (), {}
    for line in printed.out.splitlines():
        cells = line.split()
        if cells[0] == "tensor":
            names = BLOCKS if "saturated" in cells else WORDS if "infinite" in cells else ()
            into = tables["blocks" if names == BLOCKS else "words"]
        elif names and len(cells) in (len(names), len(names) + 1) and not cells[0].endswith(":"):
            into[cells[0]] = dict(zip(names, cells[1:], strict=False))
    return code, tables, printed


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Change to a folder with a file of blocks made by hand and a norm, and its original."""
    monkeypatch.chdir(tmp_path)
    codes = np.zeros((4, 2, 16), np.uint8)
    codes[0] = [[7] * 3 + [1] * 13, [15] * 2 + [0] * 14]  # positive, negative alone
    codes[1] = [[1] * 8 + [9] * 8, [8] * 16]  # both, and none
    codes[2:] = [*range(16)]  # all
    pos = np.array([[0x3C, 0x3C], [0x40, 0x00], [0x7F, 0x3C], [0x3C, 0x44]], np.uint8)
    neg = np.array([[0x3C, 0x40], [0x38, 0x3C], [0x3C, 0x00], [0x40, 0x3C]], np.uint8)
    b = Blocks(codes, pos, neg, "amxfp4", (4, 32))
    files.save_blocks("q.safetensors", {"w": b})
    held = safetensors.numpy.load_file("q.safetensors")
    norm = np.array([0, -0.0, 3, -4, math.nan, math.inf], np.float32)
    with safetensors.safe_open("q.safetensors", "numpy") as file:
        metadata = file.metadata()
    safetensors.numpy.save_file(held | {"norm": norm}, "q.safetensors", metadata)
    return b


def value(code, pos, neg):
    """Value of a code by the scales of its block, as numbers."""
    return -E2M1[code - 8] * neg if code > 7 else E2M1[code] * pos


def test_table_of_blocks(made, capfd):
    """Shares are counted by hand."""
    code, tables, _ = run(capfd, "q.safetensors")
    assert code == 0
    row = tables["blocks"]["w"]
    # 14 in the second block, 16 in the fourth, two in each of the last four.
    zeros, saturated = 14 + 16 + 4 * 2, 3 + 2 + 4 * 2
    assert (row["elements"], row["blocks"]) == ("128", "8")
    assert row["zeros"] == f"{100 * zeros / 128:.3g}%"
    assert row["saturated"] == f"{100 * saturated / 128:.3g}%"
    assert (row["one-sided"], row["all zero"]) == ("25%", "12.5%")
    # Blocks with both signs and two scales: 2/0.5, 1/2 and 4/1.
    assert (row["median"], row["least"], row["most"]) == ("4", "0.5", "4")
    assert (row["NaN"], row["zero scales"]) == ("6.25%", "12.5%")
    scales = {0x3C: 1, 0x40: 2, 0x44: 4, 0x38: 0.5, 0x00: 0, 0x7F: math.nan}
    numbers = [
        Fraction(v)
        for block, p, n in zip(
            made.codes.reshape(8, 16), made.scale_pos.flat, made.scale_neg.flat, strict=True
        )
        for q in block
        if math.isfinite(v := value(int(q), scales[int(p)], scales[int(n)]))
    ]
    assert len(numbers) == 120
    assert row["RMS"] == f"{math.sqrt(sum(v * v for v in numbers) / 120):.4g}"
    assert "dB" not in row


def test_table_of_words(made, capfd):
    _, tables, _ = run(capfd, "q.safetensors")
    row = dict(zip(WORDS[:-1], ("fp32", "6", "2", "1", "1", "4", "2.5"), strict=True))
    assert tables["words"] == {"norm": row}


def test_against(made, tmp_path, capfd, rng):
    """The ratio is that of the original and of what the blocks stand for."""
    x = rng.standard_normal((6, 80)).astype(ml_dtypes.bfloat16)
    blocks = {name: golden.quantize(x, name) for name in ("amxfp4", "nvfp4")}
    names = {"w": "amxfp4", "v": "nvfp4", "other": "nvfp4", "u": "nvfp4"}
    files.save_blocks("b.safetensors", {n: blocks[format] for n, format in names.items()})
    np.savez("x.npz", w=x.astype(np.float32), v=x.astype(np.float32), u=np.ones((6, 81), "f4"),
             more=np.arange(3))  # fmt: skip
    code, tables, printed = run(capfd, "b.safetensors", "--against", "x.npz")
    assert code == 0
    for name, format in (("w", "amxfp4"), ("v", "nvfp4")):
        signal = noise = Fraction(0)
        y = golden.dequantize(blocks[format])
        for before, after in zip(x.flat, y.flat, strict=True):
            signal += Fraction(float(before)) ** 2
            noise += (Fraction(float(before)) - Fraction(float(after))) ** 2
        assert tables["blocks"][name]["dB"] == f"{10 * math.log10(signal / noise):.2f}"
    assert tables["blocks"]["u"]["dB"] == tables["blocks"]["other"]["dB"] == "-"
    assert "other: no SQNR: it is not in x.npz\n" in printed.out
    assert "u: no SQNR: it is 6x81 in x.npz, and 6x80 here\n" in printed.out


def test_owners_files(capfd):
    """Figures of codes in the layouts of others; values of formats without rows are words."""
    for held in ("torchao/nvfp4.safetensors", "gptoss_mxfp4/model.safetensors", "gguf/NVFP4.gguf",
                 "compressed_tensors_mxfp4/model.safetensors", "gguf/Q8_0.gguf"):  # fmt: skip
        code, tables, _ = run(capfd, DATA / held)
        assert code == 0
        with files.open_file(DATA / held) as file:
            for name, t in files.stored(file).items():
                if t.row is None:
                    values = t.values().reshape(-1).tolist()
                    assert tables["words"][name]["zeros"] == str(sum(v == 0 for v in values))
                    assert tables["words"][name]["max"] == f"{max(map(abs, values)):.4g}"
                    continue
                codes = [int(q) for q in t.blocks().codes.reshape(-1)]
                row = tables["blocks"][name]
                zeros, largest = sum(q in (0, 8) for q in codes), sum(q in (7, 15) for q in codes)
                assert row["zeros"] == f"{100 * zeros / len(codes):.3g}%"
                assert row["saturated"] == f"{100 * largest / len(codes):.3g}%"
                assert row["median"] == "-"


def test_a_share_that_is_not_zero_does_not_look_so():
    assert stats.share(1, 10**9) == "1e-07%"
    assert (stats.share(0, 5), stats.share(5, 5), stats.share(0, 0)) == ("0%", "100%", "-")


class Page(HTMLParser):
    """What a page holds: rows of its tables, tags, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.loaded, self.labels, self._cell = [], [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.labels += [given["aria-label"]] if "aria-label" in given else []
        links = [given.get(n) or "" for n in ("src", "href", "xlink:href")]
        self.loaded += [link for link in links if link and not link.startswith("#")]
        if tag == "tr":
            self.rows.append([])
        self._cell = tag if tag in ("td", "th") else None

    def handle_data(self, data):
        if self._cell:
            self.rows[-1].append(data)

    def handle_endtag(self, tag):
        self._cell = None


def test_page(made, capfd):
    """One file with the tables that are printed and two drawings; equal input, equal bytes."""
    np.savez("x.npz", w=np.ones((4, 32), np.float32))
    code, tables, printed = run(capfd, "q.safetensors", "--html", "p.html", "--against", "x.npz")
    assert code == 0
    assert printed.out.endswith("wrote p.html\n")
    text = Path("p.html").read_text()
    page = Page(text)
    assert page.tags.count("svg") == 2
    assert not page.loaded
    assert "http" not in re.sub(r'<!DOCTYPE.*?>|xmlns\S*="\S*"', "", text, flags=re.S)
    assert ["w", *tables["blocks"]["w"].values()] in page.rows
    assert ["norm", *tables["words"]["norm"].values()] in page.rows
    assert page.labels[0] == "amxfp4: 1 tensor, 128 elements: 29.7% zeros"
    assert run(capfd, "q.safetensors", "--html", "again.html", "--against", "x.npz")[0] == 0
    assert Path("again.html").read_text() == text


def heights(ax):
    """Bars of a panel: heights by the middles of the bars."""
    return {round(p.get_x() + p.get_width() / 2, 3): p.get_height() for p in ax.patches}


def test_drawing(made):
    """Bars are the shares that loops count, negative scales downwards."""
    row = stats_page.shown("w", [block_statistics(made)])
    axes = stats_page.draw("t", [row]).figure.axes
    codes = [int(q) for q in made.codes.reshape(-1)]
    order = [15, 14, 13, 12, 11, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7]
    assert heights(axes[0]) == pytest.approx({n: 100 * codes.count(q) / 128
                                              for n, q in enumerate(order)})  # fmt: skip
    # Used and neither zero nor NaN: 1, 2, 1, 1, 4 upwards and 2, .5, 1, 2, 1 downwards.
    up = {0: 3, 1: 1, 2: 1}
    down = {-1: 1, 0: 2, 1: 2}
    bars = [(round(p.get_x() + p.get_width() / 2), p.get_height()) for p in axes[1].patches]
    assert sorted(bars) == sorted([(e, 10.0 * n) for e, n in up.items()]
                                  + [(e, -10.0 * n) for e, n in down.items()])  # fmt: skip
    assert heights(axes[2]) == pytest.approx({2: 200 / 3, -1: 100 / 3})
    assert axes[1].get_ylim()[0] == -axes[1].get_ylim()[1]


def test_drawing_of_one_scale_and_of_several_formats(made, rng):
    x = rng.standard_normal((4, 32)).astype(np.float32)
    one, two = (block_statistics(golden.quantize(x, n)) for n in ("nvfp4", "amxfp4"))
    held = (("a", "nvfp4", one), ("b", "amxfp4", two), ("c", "nvfp4", one))
    rows = [stats.Row(name=n, kind=k, figures=f, sqnr=math.nan) for n, k, f in held]
    rows.append(stats.Row(name="d", kind="fp32", figures=WordStatistics(), sqnr=math.nan))
    nvfp4, amxfp4 = stats_page.by_format(rows)
    assert nvfp4.label == "nvfp4: 2 tensors, 256 elements"
    assert nvfp4.codes.tolist() == (2 * one.codes).tolist()
    assert sum(nvfp4.exponents[0].values()) == 2 * sum(one.exponents[0].values())
    assert len(stats_page.draw("t", [nvfp4]).figure.axes) == 2
    axes = stats_page.draw("t", [nvfp4, amxfp4]).figure.axes
    assert [t.get_text() for t in axes[2].texts] == ["one scale a block"]


def test_drawing_of_integers(rng):
    """Every panel has the values of its own element, and a bar for each in their order."""
    x = (rng.standard_normal((8, 64)) + 1).astype(np.float32)
    figures = [block_statistics(golden.quantize(x, name)) for name in ("int4", "int4-asym")]
    drawn = stats_page.draw("t", [stats_page.shown("", [f]) for f in figures])
    signed, unsigned = drawn.figure.axes[::2]
    assert [t.get_text() for t in signed.get_xticklabels()] == [str(n) for n in range(-8, 8)]
    assert unsigned.get_xticklabels()[0].get_text() == "-15"
    order = [*range(8, 16), *range(8)]
    shares = [100 * f.codes / x.size for f in figures]
    assert list(heights(signed).values()) == pytest.approx(shares[0][order].tolist())
    assert list(heights(unsigned).values()) == pytest.approx(shares[1].tolist())


@pytest.mark.parametrize("known", [False, True])
def test_worst_are_drawn(made, known):
    """Of many tensors those of the lowest SQNR, or without any of the most zeros."""
    some = block_statistics(made)
    rows = []
    for n in range(30):
        codes = np.where(np.arange(128) < n, 0, 1).astype(np.uint8).reshape(4, 2, 16)
        b = Blocks(codes, made.scale_pos, made.scale_neg, "amxfp4", (4, 32))
        sqnr = float(n % 7) if known and n else math.nan
        rows.append(stats.Row(name=str(n), kind="amxfp4", figures=block_statistics(b), sqnr=sqnr))
    drawn, why = stats_page.chosen(rows)
    expected = sorted(range(1, 30), key=lambda n: n % 7) if known else range(29, 0, -1)
    assert [row.name for row in drawn] == [str(n) for n in expected][: stats_page.MOST]
    assert why.startswith("The 12 tensors of 30 with the ")
    assert stats_page.chosen(rows[:12])[0] == rows[:12]
    assert some.elements == 128


def test_page_of_words_alone(made, capfd):
    np.save("x.npy", np.ones((2, 2), np.float32))
    code, *_ = run(capfd, "x.npy", "--html", "p.html")
    assert code == 0
    assert Page(Path("p.html").read_text()).tags.count("svg") == 0


BAD = {
    "suffix": (["q.safetensors", "--html", "p.txt"], "--html must be a .html file, not 'p.txt'"),
    "folder": (["q.safetensors", "--html", "no/p.html"], "--html must be a file in an existing"),
    "against": (["q.safetensors", "--against", "no.npz"], "--against must be a .npy, .npz, "),
    "no original": (["q.safetensors", "--against", "y.npz"],
                    "--against must be a file of the unquantized tensors of FILE, by the same "),
    "itself": (["q.safetensors", "--against", "q.safetensors"], "--against must be a file of the "),
    "unwritable": (["q.safetensors", "--html", "/proc/p.html"], "--html must be a file that can "),
    "damaged": (["cut.safetensors", "--html", "p.html"], "FILE must be a .npy, .npz, "),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(made, capfd, case):
    np.savez("y.npz", v=np.ones((4, 32), np.float32))
    Path("cut.safetensors").write_bytes(Path("q.safetensors").read_bytes()[:-1])
    before = sorted(Path().iterdir())
    code, _, printed = run(capfd, *BAD[case][0])
    assert code == 2
    assert printed.err.startswith(f"amxfp4: error: {BAD[case][1]}")
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("option", ["--against", "--html"])
def test_options_of_stats_alone(made, capfd, option):
    assert cli.run(["info", "q.safetensors", option, "x.html"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == (f"amxfp4: error: {option} must come with --stats, not alone: 'x.html'\n")


def test_without_the_extra(made, capfd, monkeypatch):
    find = extras.importlib.util.find_spec
    monkeypatch.setattr(extras.importlib.util, "find_spec",
                        lambda name: None if name == "matplotlib" else find(name))  # fmt: skip
    code, _, printed = run(capfd, "q.safetensors", "--html", "p.html")
    assert (code, printed.out) == (2, "")
    assert printed.err == (
        "amxfp4: error: matplotlib must be installed: pip install 'amxfp4[synth]'\n"
    )
    assert run(capfd, "q.safetensors")[0] == 0
