"""Plans: what they expand to, and that a wrong one says what is wrong and where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import amxfp4
from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import DotConfig
from amxfp4.params.formats import FORMATS
from amxfp4.synth.flow.targets import TARGETS
from amxfp4.synth.plan import plan as plans
from amxfp4.synth.plan import plan_file
from amxfp4.synth.plan.goals import load_peers
from amxfp4.synth.report.figures import AREAS

SHIPPED = sorted(plans.DEFAULT.parent.glob("*.toml"))
EXPERIMENTS = sorted(plans.DEFAULT.parents[1].glob("experiments/*.toml"))

SMALL = """
[lists.a]
[[lists.a.entries]]
label = "dot"
unit = "dot"
options = { lanes = [1, 2], acc = ["exact", "fixed"] }
"""


@pytest.mark.parametrize("path", [*SHIPPED, *EXPERIMENTS], ids=lambda p: p.stem)
def test_every_plan_loads(path):
    """Only a sweep has combinations that are no configuration."""
    plan = plan_file.load(path, skip=True)
    assert plan.jobs
    assert bool(plan.skipped) == (path.stem == "sweep")
    assert all(job.target in AREAS for job in plan.jobs)


def test_plans_in_the_document_are_the_shipped_ones():
    """docs/sweeps.md explains the example that it runs, and a design target as it is."""
    document = (Path(amxfp4.__file__).parent.parent / "docs" / "sweeps.md").read_text()
    example, goal = re.findall(r"^```toml\n(.*?)^```$", document, re.M | re.S)
    assert example == plans.DEFAULT.with_name("example.toml").read_text()
    assert goal in plans.DEFAULT.read_text()


def test_every_target_has_an_area():
    assert set(AREAS) == set(TARGETS)


def test_default_plan_has_every_design_target():
    """Thirteen of them, with figures to beat and to aim at on the targets that have any."""
    plan = plan_file.load(plans.DEFAULT)
    assert len(plan.goals) == 13
    aims = sum(len(goal.aim) for goal in plan.goals)
    beats = sum(len(goal.beat) for goal in plan.goals)
    assert (aims, beats) == (19, 14)
    for goal in plan.goals:
        for label in goal.labels:
            targets = {job.target for job in plan.points[label].jobs}
            assert targets >= {*goal.aim} - {*goal.against}, f"{goal.what}: {label}"


def test_every_peer_stands_beside_a_circuit_of_the_default_plan():
    points = plan_file.load(plans.DEFAULT).points
    peers = load_peers()
    assert len(peers) == 13
    for peer in peers.values():
        assert not peer.ours or peer.ours in points, peer.name
        assert peer.source.startswith("github.com/")
        if peer.ours:
            assert {job.target for job in points[peer.ours].jobs} >= {"generic"}


def test_default_plan_has_every_picture_and_format():
    plan = plan_file.load(plans.DEFAULT)
    assert {listing.picture for listing in plan.listings} == {"", *plans.PICTURES}
    (formats,) = (listing for listing in plan.listings if listing.picture == "pareto")
    assert {point.config.format_a for point in formats.points} == set(FORMATS)


def test_lists_of_options_are_combined(load):
    plan = load(SMALL)
    assert [point.label for point in plan.listings[0].points] == [
        "dot [lanes=1, acc=exact]",
        "dot [lanes=1, acc=fixed]",
        "dot [lanes=2, acc=exact]",
        "dot [lanes=2, acc=fixed]",
    ]
    assert [job.config for job in plan.jobs] == [
        DotConfig(lanes=lanes, acc=acc) for lanes in (1, 2) for acc in ("exact", "fixed")
    ]
    assert {job.target for job in plan.jobs} == {"generic"}


def test_options_may_go_together(load):
    """One list for several options, as for a product of a format with itself."""
    text = SMALL.replace('acc = ["exact", "fixed"]', '"format_a = format_b" = ["nvfp4", "mxfp4"]')
    plan = load(text)
    assert {(job.config.format_a, job.config.format_b) for job in plan.jobs} == {
        ("nvfp4", "nvfp4"),
        ("mxfp4", "mxfp4"),
    }


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ('{ lanes = 1, acc = "fixed" }', 3),
        ("{ lanes = [1, 2] }", 0),
        ('{ lanes = 1 }, { acc = "fixed" }', 1),
        ('{ format_b = "amxfp4" }', 0),  # a default counts as much as what was written
        ("{ rows = 4 }", 4),  # nothing here has rows
    ],
)
def test_excluded_combinations_are_left_out(load, exclude, left):
    other = '[[lists.b.entries]]\nlabel = "other"\nunit = "dot"\n'
    text = SMALL.replace("[lists.a]", f"[lists.a]\nexclude = [{exclude}]") + other
    listing = load(text).listings[0]
    assert len(listing.points) == left


def test_components_and_counts(load):
    text = """
        [[lists.a.entries]]
        label = "quantizer"
        unit = "quantizer"
        component = ["whole", "element_quantizer"]
        counts = { element_quantizer = 32 }
    """
    whole, part = load(text).listings[0].points
    assert (whole.component, whole.count) == (None, 1)
    assert (part.component, part.count) == ("element_quantizer", 32)
    assert part.label == "quantizer [component=element_quantizer]"


def test_one_job_in_two_lists_is_one(load):
    again = SMALL.replace("lists.a", "lists.b").replace('label = "dot"', 'label = "again"')
    plan = load(SMALL + again)
    assert len(plan.points) == 8
    assert len(plan.jobs) == 4


def test_array_of_one_size(load):
    text = '[[lists.a.entries]]\nlabel = "x"\nunit = "array"\noptions = { rows = 2, cols = 3 }\n'
    (job,) = load(text).jobs
    assert job.config == ArrayConfig(rows=2, cols=3)


ENTRY = '[[lists.a.entries]]\nlabel = "x"\nunit = "dot"\n'
GOAL = '[[goals]]\nwhat = "w"\nof = "x"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", r"must be TOML \(.*\)"),
        ("", r"lists must be tables such as \[lists.units\], not None"),
        ("[list.a]", "key must be one of title, targets, scripts, lists, goals, not 'list'"),
        ("[lists.a]", r"lists.a: entries must be tables \[\[lists.a.entries\]\], not None"),
        (
            "[lists.a]\npicture = 'cake'\n" + ENTRY,
            "lists.a: picture must be one of breakdown, lanes, pipeline, pareto, not 'cake'",
        ),
        (ENTRY.replace('label = "x"', ""), "lists.a: entry 1: label must be a string, not None"),
        (
            ENTRY.replace("dot", "dott"),
            r"lists.a: entry 1 \(x\): unit must be one of quantizer, .*, engine_uart, not 'dott'",
        ),
        (ENTRY + "lanes = 4", r"entry 1: key must be one of label, unit, .*, not 'lanes'"),
        (
            ENTRY + "options.lane = 4",
            r"entry 1 \(x\): option must be one of format_a, .*pipeline, not 'lane'",
        ),
        (
            ENTRY + 'options."format_a = formatb" = "mxfp4"',
            r"entry 1 \(x\): option must be one of format_a, .*, not 'formatb'",
        ),
        (
            ENTRY + "options.lanes = 3",
            r"entry 1 \(x\): lanes must be a power of two from 1 to 32 \(the block size\), not 3",
        ),
        (ENTRY + "options.lanes = [1, 3]", r"entry 1 \(x\): lanes must be .*, not 3"),
        (ENTRY + 'component = "sum"', r"entry 1 \(x\): component must be one of .*, not 'sum'"),
        (ENTRY + 'targets = ["asic"]', r"entry 1 \(x\): target must be one of generic,.*'asic'"),
        (ENTRY + 'targets = "generic"', "targets must be a list of names, not 'generic'"),
        (ENTRY + 'targets = ["liberty"]', "target must not be liberty without --liberty FILE"),
        (ENTRY + "dsp = true", r"entry 1 \(x\): dsp must be False for target generic, not True"),
        (ENTRY + 'counts = { terms = "3" }', "counts must be whole numbers by component"),
        (ENTRY + ENTRY, r"entry 2 \(x\): label must be one of its own, not 'x' again"),
        ("[lists.a]\nexclude = 3\n" + ENTRY, "exclude must be a list of tables, not 3"),
        ("[lists.a]\nexclude = [{ lane = 1 }]\n" + ENTRY, "exclude must be one of .*, not 'lane'"),
        (
            "[lists.a]\nexclude = [{ lanes = 32 }]\n" + ENTRY,
            "must have an entry that can be synthesized",
        ),
        (ENTRY + GOAL.replace('"x"', '"y"'), "goals 1: label must be one of x, not 'y'"),
        (ENTRY + GOAL + "aim = { asic = 3 }", "goals 1: target of aim must be one of .*'asic'"),
        (ENTRY + GOAL + "aim = { generic = 0 }", "aim of generic must be a number above 0, not 0"),
        (ENTRY + GOAL + 'peer = "nobody"', "goals 1: peer must be one of MX-for-FPGA dot_fp, "),
        (ENTRY + GOAL + "goal = 3", "goals 1: key must be one of what, of, .*, not 'goal'"),
        (ENTRY + GOAL.replace('"x"', "{ x = 0 }"), "of must be a label, or counts by label, not"),
        (
            ENTRY + ENTRY.replace('"x"', '"y"') + GOAL.replace('"x"', "{ x = 1, y = 1 }"),
            "goals 1: of must be one label unless against is given",
        ),
    ],
)
def test_wrong_plan_says_where(tmp_path, load, text, message):
    """The message starts with the file, names the entry, and says what is allowed."""
    path = re.escape(str(tmp_path / "plan.toml"))
    with pytest.raises((TypeError, ValueError), match=f"^{path}: .*{message}"):
        load(text)


def test_scripts_by_target(load):
    """A plan says what each target does, unless an entry says otherwise."""
    head = 'targets = ["generic", "ecp5"]\nscripts = { generic = "area" }\n'
    assert [job.script for job in load(head + ENTRY).jobs] == ["area", "default"]
    assert [job.script for job in load(head + ENTRY + 'script = "area"').jobs] == ["area", "area"]
    both = 'targets = ["ecp5"]\nscripts = { ecp5 = ["default", "area"] }\n'
    assert [job.script for job in load(both + ENTRY).points["x"].jobs] == ["default", "area"]
    assert [job.script for job in load(both + ENTRY + 'script = "area"').jobs] == ["area"]
    with pytest.raises(ValueError, match=r"scripts: ecp5 must be a string, not \[\]"):
        load("scripts = { ecp5 = [] }\n" + ENTRY)
    with pytest.raises(ValueError, match=r"scripts: key must be one of generic, .*, not 'asic'"):
        load('scripts = { asic = "area" }\n' + ENTRY)
    with pytest.raises(ValueError, match=r"entry 1 \(x\): script must be one of .*, not 'much'"):
        load('scripts = { generic = "much" }\n' + ENTRY)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        plan_file.load(tmp_path / "plan.toml")


def test_sweeps_skip_what_is_no_configuration(load):
    """They note it with the reason; a misspelt option is an error all the same."""
    text = SMALL.replace("[1, 2]", "[1, 3]")
    plan = load(text, skip=True)
    assert [point.config.lanes for point in plan.listings[0].points] == [1, 1]
    assert [one.label for one in plan.skipped] == [
        "dot [lanes=3, acc=exact]",
        "dot [lanes=3, acc=fixed]",
    ]
    assert all(one.reason.startswith("lanes must be a power of two") for one in plan.skipped)
    with pytest.raises(ValueError, match="option must be one of"):
        load(SMALL.replace("lanes", "lane"), skip=True)
    with pytest.raises(ValueError, match=r"must have an entry .* \(lanes must be a power of two"):
        load(SMALL.replace("[1, 2]", "[3]"), skip=True)


def test_liberty_files_add_a_target(tmp_path, load):
    cells = (tmp_path / "cells.lib",)
    plan = load(SMALL, liberty=cells)
    assert [job.target for job in plan.jobs[:2]] == ["generic", "liberty"]
    assert plan.jobs[1].liberty == cells
    assert plan.jobs[0].liberty == ()
