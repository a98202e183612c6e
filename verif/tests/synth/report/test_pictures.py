"""Drawings: what they show is what was measured, and what was not is not drawn."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from amxfp4.synth.gates.energy_per_mac import EnergyRow
from amxfp4.synth.report import energy_report, pictures
from amxfp4.synth.report.pareto import front

LANES = """
targets = ["generic", "ecp5"]
[lists.a]
title = "Area against lanes"
picture = "lanes"
[[lists.a.entries]]
label = "exact"
unit = "dot"
options = { lanes = [1, 2, 4] }
[[lists.a.entries]]
label = "fixed"
unit = "dot"
options = { acc = "fixed", lanes = [1, 2, 4] }
"""

PIPELINE = """
[lists.a]
picture = "pipeline"
[[lists.a.entries]]
label = "exact"
unit = "dot"
options = { pipeline = ["rounded", "sums,rounded", "sums,terms,rounded"] }
"""

PARETO = """
[lists.a]
picture = "pareto"
[[lists.a.entries]]
label = "format"
unit = "dot"
options."format_a = format_b" = ["amxfp4", "mxfp4", "nvfp4"]
"""

BREAKDOWN = """
[lists.a]
picture = "breakdown"
[[lists.a.entries]]
label = "dot"
unit = "dot"
component = ["whole", "class_sums", "terms"]
[[lists.a.entries]]
label = "quantizer"
unit = "quantizer"
component = ["whole", "scale_chooser"]
"""


def shown(picture):
    """Gather the letters of a figure."""
    texts = []
    for ax in picture.figure.axes:
        texts += [ax.get_xlabel(), ax.get_ylabel(), *(t.get_text() for t in ax.texts)]
        texts += [label.get_text() for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]]
        if ax.get_legend():
            texts += [t.get_text() for t in ax.get_legend().get_texts()]
    return texts


@pytest.fixture
def drawn(load, measured):
    """Draw a plan whose jobs measure what a function of their number says."""

    def drawn(text, figures, accuracy=None, **options):
        plan = load(text, **options)
        rows = {}
        for number, job in enumerate(plan.jobs):
            if (made := figures(number, job)) is not None:
                rows[job] = measured(job, **made)
        return pictures.draw(plan.listings[0], rows, accuracy)

    return drawn


def lines(ax):
    """Points of every line of a panel, by label."""
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in ax.get_lines()}


def test_lanes(drawn):
    """A panel for each target, with what was measured over the lanes."""
    picture = drawn(LANES, lambda number, job: {"area": 100.0 * (number + 1)})
    generic, ecp5 = picture.figure.axes
    assert lines(generic)["exact"] == [(1, 100), (2, 300 / 2), (4, 500 / 4)]
    assert lines(ecp5)["fixed"] == [(1, 800), (2, 1000 / 2), (4, 1200 / 4)]
    assert {"lanes", "estimated transistors per MAC", "exact", "fixed"} <= set(shown(picture))
    assert picture.title == "Area against lanes"
    assert "exact: 1 lanes 100, 2 lanes 150, 4 lanes 125" in picture.text


def test_failed_points_are_not_drawn(drawn):
    """A point without a figure is missing, not zero; without any there is no picture."""
    picture = drawn(LANES, lambda n, job: None if job.config.lanes == 2 else {"area": 100.0})
    assert [x for x, _ in lines(picture.figure.axes[0])["exact"]] == [1, 4]
    assert drawn(LANES, lambda n, job: None) is None
    assert drawn(LANES, lambda n, job: {"error": "stopped", "area": 100.0}) is None
    assert drawn(LANES.replace('picture = "lanes"', ""), lambda n, job: {"area": 1.0}) is None


def test_pipeline_shows_depth_or_clock(drawn):
    """Gates where no delay is known, else the clock."""
    picture = drawn(PIPELINE, lambda n, job: {"area": 10.0, "depth": 90 - 10 * n})
    (ax,) = picture.figure.axes
    assert lines(ax)["exact"] == [(1, 90), (2, 80), (3, 70)]
    assert ax.get_ylabel() == "gates on the longest path (fewer: faster)"
    picture = drawn(PIPELINE, lambda n, job: {"area": 10.0, "depth": 9, "fmax_mhz": 100.0 + n})
    (ax,) = picture.figure.axes
    assert lines(ax)["exact"] == [(1, 100), (2, 101), (3, 102)]
    assert ax.get_ylabel().startswith("MHz")
    delays = {"generic": {}, "liberty": {"delay_ps": 8000.0}}
    picture = drawn(
        PIPELINE,
        lambda n, job: {"area": 10.0, "depth": 9, **delays[job.target]},
        liberty=(Path("a.lib"),),
    )
    assert lines(picture.figure.axes[0])["exact"] == [(1, 125), (2, 125), (3, 125)]


def test_pareto(drawn, load):
    """Every point at its area and accuracy, named; those without accuracy are left out."""
    digests = [job.config.digest for job in load(PARETO).jobs]
    accuracy = dict(zip(digests, (16.0, 13.0, float("nan")), strict=True))
    picture = drawn(PARETO, lambda n, job: {"area": 32.0 * (200 - 50 * n)}, accuracy)
    (ax,) = picture.figure.axes
    (points,) = ax.collections
    assert points.get_offsets().tolist() == [[200, 16], [150, 13]]
    assert [t.get_text() for t in ax.texts] == ["1", "2"]
    assert [t.get_text() for t in ax.get_legend().get_texts()][-2:] == ["amxfp4", "mxfp4"]
    assert drawn(PARETO, lambda n, job: {"area": 1.0}, {}) is None


MANY = """
[lists.a]
picture = "pareto"
[[lists.a.entries]]
label = "format"
unit = "dot"
options.block = 32
options.format_a = ["amxfp4", "amxfp4-e4m3", "mxfp4-e5m2", "nvfp4"]
options.format_b = ["amxfp4", "amxfp4-e4m3", "mxfp4-e5m2", "nvfp4"]
options.acc = ["exact", "fixed"]
"""


def test_pareto_of_many_pairs_has_a_legend_of_few(drawn, load):
    """Sixteen pairs of formats, twice each, differ by one side, and leave room."""
    digests = [job.config.digest for job in load(MANY).jobs]
    accuracy = {digest: 10.0 + n % 5 for n, digest in enumerate(digests)}
    picture = drawn(MANY, lambda n, job: {"area": 3200.0 + 100 * n}, accuracy)
    (ax,) = picture.figure.axes
    assert len(ax.collections) == 4
    said = {t.get_text() for t in ax.get_legend().get_texts()}
    assert {"format_a amxfp4", "format_a nvfp4"} < said
    FigureCanvasAgg(picture.figure).draw()
    assert ax.get_position().height > 0.5


def test_breakdown(drawn):
    """Bars add up to the whole, per MAC; parts of no area have none."""
    figures = {
        ("dot", None): {"area": 3200.0, "ff": 10}, ("dot", "class_sums"): {"area": 1600.0},
        ("dot", "terms"): {"area": 0}, ("quantizer", None): {"area": 640.0, "ff": 0},
        ("quantizer", "scale_chooser"): {"area": 960.0},
    }  # fmt: skip
    picture = drawn(BREAKDOWN, lambda n, job: figures[job.config.unit, job.component])
    dot, quantizer = picture.figure.axes
    assert [bar.get_width() for bar in dot.patches] == [50, 5, 45]
    assert sum(bar.get_width() for bar in dot.patches) == 3200 / 32
    assert [t.get_text() for t in dot.get_legend().get_texts()] == [
        "class sums", "registers", "other logic",
    ]  # fmt: skip
    # Alone the part is larger than the unit: the unit is marked, and nothing negative is drawn.
    assert [bar.get_width() for bar in quantizer.patches] == [30]
    assert lines(quantizer)[pictures.WHOLE_UNIT][0][0] == 20
    assert quantizer.get_xlabel() == "estimated transistors per element"


def test_svg_is_the_same_twice(drawn):
    """Equal results are equal bytes."""
    first, second = (drawn(LANES, lambda n, job: {"area": 100.0 + n}) for _ in range(2))
    assert first.svg() == second.svg() != drawn(LANES, lambda n, job: {"area": 200.0 + n}).svg()
    assert first.svg().startswith("<svg")


def test_energy():
    """Means over workloads, a panel for each library; components are not drawn."""
    options = {"format_a": "mxfp4", "format_b": "mxfp4", "acc": "fp32"}
    common = {
        "unit": "dot", "netlist": "n", "script": "fast", "voltage": 1.2, "frequency_mhz": 100.0,
        "slew_ps": 1.0, "wire_load": "", "cycles": 1, "macs": 1, "toggles": 1.0,
        "switching_fj": 1.0, "internal_fj": 2.0, "leakage_fj": 3.0, "clock_fj": 4.0,
    }  # fmt: skip

    def row(lanes, workload, total, **others):
        own = {"key": f"{lanes}{workload}", "digest": str(lanes)}
        own["options"] = {**options, "lanes": lanes}
        return EnergyRow(
            **{**common, "liberty": "a.lib", **own, **others}, workload=workload, total_fj=total
        )

    rows = [
        row(1, "x", 100.0), row(1, "y", 300.0), row(2, "x", 50.0), row(2, "y", 70.0),
        row(2, "x", 7.0, component="adder"), row(1, "x", 9.0, liberty="b.lib"),
        row(2, "x", 30.0, key="later"), row(2, "x", 99.0, hierarchy=True),
    ]  # fmt: skip
    picture = energy_report.picture(rows)
    first, second = picture.figure.axes
    assert lines(first) == {"dot, mxfp4, fp32": [(1, 200), (2, 50)]}
    assert lines(second) == {"dot, mxfp4, fp32": [(1, 9)]}
    assert first.get_title(loc="left") == "a.lib\n1.2 V, 100 MHz"
    table = energy_report.table(rows)
    assert [line[:4] for line in table.rows] == [
        ("dot, mxfp4, fp32", "1", "MAC", "200"),
        ("dot, mxfp4, fp32", "2", "MAC", "50.0"),
        ("dot, mxfp4, fp32", "1", "MAC", "9.0"),
        ("dot, mxfp4, fp32", "2", "MAC", "99.0"),
    ]
    assert energy_report.picture([]) is None


def overlapping(picture):
    """Pairs of letters of a figure that lie over each other."""
    canvas = FigureCanvasAgg(picture.figure)
    canvas.draw()  # puts everything into its place
    boxes = []
    for ax in picture.figure.axes:
        letters = [*ax.texts, ax.xaxis.label, ax.yaxis.label]
        letters += [*ax.get_xticklabels(), *ax.get_yticklabels()]
        if ax.get_legend():
            letters += ax.get_legend().get_texts()
        # Of names without the lines that lead to them.
        boxes += [(t.get_text(), Text.get_window_extent(t)) for t in letters if t.get_text()]
    return [(a, b) for (a, x), (b, y) in itertools.combinations(boxes, 2) if x.overlaps(y)]


def test_names_do_not_overlap(drawn, load):
    """Neither where points lie close together, nor elsewhere; the check itself can fail."""
    formats = '["amxfp4", "amxfp4-e4m3", "amxfp4-pot", "mxfp4", "mxfp4-e5m2", "nvfp4"]'
    text = PARETO.replace('["amxfp4", "mxfp4", "nvfp4"]', formats)
    accuracy = {job.config.digest: 16 + n / 100 for n, job in enumerate(load(text).jobs)}
    picture = drawn(text, lambda n, job: {"area": 32.0 * (200 + n)}, accuracy)
    assert len(picture.figure.axes[0].texts) == 6
    assert overlapping(picture) == []
    (ax,) = picture.figure.axes
    ax.texts[0].set_position(ax.texts[1].get_position())
    ax.texts[0].xy = ax.texts[1].xy
    assert overlapping(picture) != []


places = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(places)
def test_front_is_what_nothing_beats(points):
    """Against the definition, one by one."""

    def beaten(x, y):
        return any((a <= x and b >= y) and (a, b) != (x, y) for a, b in points)

    found = [points[n] for n in front(points)]
    assert found == sorted({p for p in points if not beaten(*p)})
