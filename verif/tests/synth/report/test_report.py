"""Reports: every figure by hand, losses shown, and a page that needs nothing but itself."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from amxfp4.synth.plan import plan as plans
from amxfp4.synth.plan import plan_file
from amxfp4.synth.plan.goals import Peer, load_peers, verdict
from amxfp4.synth.plan.workers import Outcome
from amxfp4.synth.report import page as report
from amxfp4.synth.report import tables
from amxfp4.synth.report.figures import FLIP_FLOP_TRANSISTORS
from amxfp4.util import pyosys

PLAN = """
targets = ["generic", "xilinx"]
[lists.a]
[[lists.a.entries]]
label = "ours"
unit = "dot"
options = { lanes = 8 }
[[lists.a.entries]]
label = "base"
unit = "dot"
options = { lanes = 8, acc = "fixed" }
[[lists.a.entries]]
label = "quantizer"
unit = "quantizer"
options = { lanes = 4 }
"""

PARTS = """
[lists.a]
picture = "breakdown"
[[lists.a.entries]]
label = "quantizer"
unit = "quantizer"
component = ["whole", "key_decoder", "element_quantizer"]
options.lanes = 4
counts = { key_decoder = 4, element_quantizer = 4 }
"""


@pytest.fixture
def goal(load, areas):
    """Make a function from a design target's fields, and areas by label, to its table's lines."""

    def goal(fields: str, **wanted) -> list[tuple[str, ...]]:
        plan = load(f'{PLAN}[[goals]]\nwhat = "it"\n{fields}\n')
        return list(tables.goals(plan, areas(plan, **wanted)).rows)

    return goal


@pytest.mark.parametrize(
    ("reached", "beat", "aim", "said"),
    [
        (10, 20, 10, "aim reached"),
        (10, None, 10, "aim reached"),
        (15, 20, 10, "beaten, short of the aim"),
        (20, 20, 10, "behind"),
        (21, 20, 10, "behind"),
        (15, None, 10, "short of the aim"),
        (15, 20, None, "beaten"),
        (25, 20, None, "behind"),
        (15, None, None, "measured"),
        (None, 20, 10, "not measured"),
    ],
)
def test_verdict(reached, beat, aim, said):
    assert verdict(reached, beat, aim) == said


def test_goal_per_mac(goal):
    """Area over lanes, on each target beside its own figures."""
    fields = 'of = "ours"\nbeat = { generic = 150, xilinx = 9 }\naim = { generic = 90 }'
    assert goal(fields, ours={"generic": 800, "xilinx": 80}) == [
        ("it", "T per MAC", "150", "90.0", "100", "beaten, short of the aim"),
        ("it", "LUT per MAC", "9.0", "-", "10.0", "behind"),
    ]


def test_goal_ratio_of_compositions(goal):
    """Circuits count as often as they stand in the whole: (3 x 100 + 20) / (2 x 80) = 2."""
    fields = "of = { ours = 3, quantizer = 1 }\nagainst = { base = 2 }\naim = { generic = 2 }"
    found = goal(fields, ours=100, base=80, quantizer=20)
    assert found[0] == ("it", "ratio of T", "-", "2.00", "2.000", "aim reached")
    assert found[1] == ("it", "ratio of LUT", "-", "-", "2.000", "measured")


def test_missed_goal_does_not_look_reached(goal):
    """The figure has the digits that the verdict goes by."""
    fields = 'of = "ours"\nagainst = "base"\naim = { generic = 1.25 }'
    found = goal(fields, ours=1254, base=1000)
    assert found[0][3:] == ("1.25", "1.254", "short of the aim")


def test_goal_of_logic_leaves_registers_out(load, measured):
    fields = 'of = "quantizer"\nlogic = true'
    plan = load(f'{PLAN}[[goals]]\nwhat = "it"\n{fields}\n')
    generic, xilinx = plan.points["quantizer"].jobs
    rows = {
        generic: measured(generic, transistors=1000, ff=10),
        xilinx: measured(xilinx, lut=100, ff=10),
    }
    found = tables.goals(plan, rows).rows
    assert [line[1] for line in found] == ["T per element", "LUT per element"]
    assert [line[4] for line in found] == ["210", "25.0"]  # (1000 - 10 x 16) / 4, 100 / 4


def test_goal_to_beat_a_peer(load, areas):
    """The figures are the peer's, and the note says whose they are."""
    plan = load(f'{PLAN}[[goals]]\nwhat = "it"\nof = "ours"\npeer = "MX-for-FPGA dot_fp"\n')
    table = tables.goals(plan, areas(plan, ours=8 * 800))
    theirs = load_peers()["MX-for-FPGA dot_fp"].figures
    assert table.rows[0][2] == tables.number(theirs["generic"])
    assert table.rows[0][5] == "behind"
    assert "to beat: MX-for-FPGA dot_fp" in table.note


def test_goal_without_its_row_is_not_measured(goal):
    """A failed synthesis is no figure, least of all a good one."""
    fields = 'of = "ours"\nagainst = "base"\naim = { generic = 2 }'
    found = goal(fields, ours=100)
    assert found[0] == ("it", "ratio of T", "-", "2.00", "-", "not measured")


def test_listing(load, areas):
    plan = load(PLAN)
    table = tables.listing(plan.listings[0], areas(plan, ours=1600, quantizer=400), {})
    assert table.header == ("circuit", "per", "T", "LUT", "T in all", "LUT in all", "FF", "levels")
    assert table.rows[0] == ("ours", "MAC", "200", "200", "1,600", "1,600", "-", "-")
    assert table.rows[1] == ("base", *["-"] * 7)
    assert table.rows[2] == ("quantizer", "element", "100", "100", "400", "400", "-", "-")


BOTH = """
targets = ["ecp5"]
scripts = { ecp5 = ["default", "area"] }
[lists.a]
note = "Why."
entries = [
    { label = "a", unit = "dot", options.lanes = 8 },
    { label = "b", unit = "dot", options.lanes = 4 },
    { label = "c", unit = "dot", options.lanes = 2 },
]
[[goals]]
what = "it"
of = "a"
against = "b"
"""


def test_smaller_of_two_scripts(load, measured):
    """Every circuit gets the script that makes it smaller, and the table says which."""
    plan = load(BOTH)
    given = {"a": (800, 400), "b": (80, 90), "c": (50, 50)}
    rows = {
        job: measured(job, area=area, script=job.script)
        for label, both in given.items()
        for job, area in zip(plan.points[label].jobs, both, strict=True)
    }
    table = tables.listing(plan.listings[0], rows, {})
    assert [line[3] for line in table.rows] == ["400", "80.0", "50.0"]
    assert table.note == "Why. LUT4e: the smaller of several scripts, default, by area: a."
    assert tables.goals(plan, rows).rows[0][4] == "5.000"
    # One that failed is no smaller.
    del rows[plan.points["a"].jobs[1]]
    assert tables.listing(plan.listings[0], rows, {}).rows[0][3] == "800"


def test_listing_shows_what_is_of_interest(load, measured):
    """Speed, DSP blocks and accuracy have columns where there are any."""
    plan = load(PLAN)
    job = plan.points["ours"].jobs[1]
    rows = {job: measured(job, lut=80, dsp_blocks=2, fmax_mhz=250.0, depth=7, ff=3)}
    table = tables.listing(plan.listings[0], rows, {job.config.digest: 16.04})
    line = dict(zip(table.header, table.rows[0], strict=True))
    assert (line["DSP"], line["MHz"], line["levels"], line["FF"]) == ("2", "250", "7", "3")
    assert line["SQNR dB"] == "16.0"


def test_components_and_the_rest(load, measured):
    """1000 T with 10 flip-flops, of which 4 x 20 and 4 x 30 are components: 640 remain."""
    plan = load(PARTS)
    whole, decoder, quantizer = (point.jobs[0] for point in plan.listings[0].points)
    rows = {
        whole: measured(whole, transistors=1000, ff=10),
        decoder: measured(decoder, transistors=20),
        quantizer: measured(quantizer, transistors=30),
    }
    lines = [line[1:] for line in tables.components(plan.listings[0], rows).rows]
    assert lines == [
        ("key_decoder", "4", "T", "80.0", "8%"),
        ("element_quantizer", "4", "T", "120", "12%"),
        ("registers", "1", "T", "160", "16%"),
        ("other logic", "1", "T", "640", "64%"),
        ("whole", "1", "T", "1,000", "100%"),
    ]
    rows[quantizer] = measured(quantizer, transistors=300)
    lines = [line[1] for line in tables.components(plan.listings[0], rows).rows]
    assert lines == ["key_decoder", "element_quantizer", "registers", "whole"]


def test_flip_flop_transistors_are_those_of_yosys(tmp_path):
    """What `logic` takes away is what Yosys had counted."""
    (tmp_path / "ff.v").write_text(
        "module ff(input clk, input [2:0] d, output reg [2:0] q);\n"
        "always @(posedge clk) q <= d;\nendmodule\n"
    )
    steps = ["read_verilog ff.v", "synth -flatten", "dfflegalize -cell $_DFF_P_ 01"]
    pyosys.run([*steps, "tee -q -o stat.json stat -tech cmos -json"], tmp_path)
    design = json.loads((tmp_path / "stat.json").read_text())["design"]
    assert int(design["estimated_num_transistors"]) == 3 * FLIP_FLOP_TRANSISTORS


def test_peers(load, areas, measured):
    """Ours stands beside theirs, and where theirs is smaller the table says so."""
    plan = load(PLAN)
    rows = areas(plan, ours={"generic": 800, "xilinx": 80})
    known = {"smaller": {"generic": 200}, "larger": {"generic": 80.0, "xilinx": 5.0}}
    peers = {
        name: Peer(
            name=name, source="github.com/a/b", what="a sum", per="MAC", basis="measured",
            figures=figures, ours="ours",
        )
        for name, figures in known.items()
    }  # fmt: skip
    lines = [line[:6] for line in tables.peers(plan, rows, peers).rows]
    assert lines == [
        ("smaller", "T per MAC", "200", "100", "ours", "smaller, 0.50 x"),
        ("larger", "T per MAC", "80.0", "100", "ours", "LARGER, 1.25 x"),
        ("", "LUT per MAC", "5.0", "10.0", "ours", "LARGER, 2.00 x"),
    ]
    logic = dataclasses.replace(peers["smaller"], logic=True)
    job = plan.points["ours"].jobs[0]
    rows = {job: measured(job, transistors=800, ff=10)}
    assert tables.peers(plan, rows, {"smaller": logic}).rows[0][3] == "80.0"  # (800 - 160) / 8
    alone = dataclasses.replace(peers["smaller"], ours="")
    (line,) = tables.peers(plan, rows, {"smaller": alone}).rows
    assert line[3:6] == ("-", "-", "nothing to compare")


class Page(HTMLParser):
    """What a page refers to, and its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("href", "src", "xlink:href", "srcset", "data", "action"):
                self.links.append(value)


def outside(text: str) -> list[str]:
    """Whatever a page would load or look up elsewhere."""
    page = Page(text)
    found = [link for link in page.links if not link.startswith("#")]
    found += re.findall(r"https?:[^\s\"'<]*|@import[^;]*|url\((?!#)[^)]*\)", text)
    return found + [tag for tag in page.tags if tag in ("script", "link", "iframe", "img")]


@pytest.mark.parametrize(
    "planted",
    [
        '<img src="a.png">', '<a href="https://example.org">x</a>', "<script>x()</script>",
        "<style>@import 'a.css';</style>", '<p style="background: url(a.png)">',
    ],
)  # fmt: skip
def test_what_is_outside_is_found(planted):
    assert outside(f"<p>text</p>{planted}")


def test_page_of_the_default_plan(tmp_path, measured):
    """One file, nothing outside it, every table and every picture."""
    plan = plan_file.load(plans.DEFAULT)
    outcomes = []
    for number, job in enumerate(plan.jobs):
        row = measured(job, area=1000.0 + 37 * number, depth=10 + number, ff=5)
        outcomes.append(Outcome(job=job, row=row))
    accuracy = {job.config.digest: 10.0 + n for n, job in enumerate(plan.jobs)}
    made = report.make(plan, outcomes, accuracy=accuracy)
    pictures = [section.picture for section in made.sections if section.picture]
    assert len(pictures) == sum(bool(listing.picture) for listing in plan.listings) == 4
    path = tmp_path / "new" / "synth.html"
    report.write(made, path)
    text = path.read_text()
    assert outside(text) == []
    page = Page(text)
    assert page.tags.count("svg") == len(pictures)
    assert page.tags.count("table") == len(made.sections)
    for section in made.sections:
        assert f'<h2 id="{section.anchor}">' in text
        assert f"#{section.anchor}" in page.links
    for peer in load_peers().values():
        assert peer.source in text
    assert "pyosys 0.70" in text
    assert [p.name for p in path.parent.iterdir()] == ["synth.html"]


def test_page_tells_failures(tmp_path, load, measured):
    """Failed jobs stand there with their logs, as text and not as HTML."""
    plan = load(PLAN)
    good, bad, *_ = plan.jobs
    outcomes = [
        Outcome(job=good, row=measured(good, transistors=5)),
        Outcome(job=bad, row=None, error="Yosys <stopped>", log="line 1\n<script>evil()</script>"),
    ]
    report.write(report.make(plan, outcomes), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "ours for xilinx: Yosys &lt;stopped&gt;" in text
    assert "&lt;script&gt;evil()" in text
    assert outside(text) == []


def test_nothing_to_report_is_an_error(load):
    """A report without results is no report."""
    plan = load(PLAN)
    failed = [Outcome(job=job, row=None, error="x") for job in plan.jobs]
    for outcomes in ([], failed):
        with pytest.raises(ValueError, match=f"must have results .*not {len(outcomes)} failures"):
            report.make(plan, outcomes)
