"""Configurations of dot and array: defaults, what they refuse and say, JSON, digests."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxfp4.params.array import ArrayConfig
from amxfp4.params.dot import ACCUMULATIONS, CLASS_SUMS, PIPELINE, SCALING, DotConfig
from amxfp4.params.formats import BLOCK_SIZES, FORMATS, OUTPUTS
from amxfp4.params.units import UNITS

units = pytest.mark.parametrize("unit", ["dot", "array"])


@st.composite
def _configs(draw):
    block = draw(st.sampled_from(BLOCK_SIZES))
    formats = [draw(st.sampled_from([*FORMATS, "amxfp4-e5m2"])) for _ in range(2)]
    powers = ("mxfp4", "mxfp4-roundup", "mxfp4-rceil")
    bounded = all("pot" not in f and f not in powers for f in formats)
    acc = draw(st.sampled_from([None, *(ACCUMULATIONS if bounded else ["fp32"])]))
    fields = {
        "format_a": formats[0],
        "format_b": formats[1],
        "block": block,
        "lanes": draw(st.sampled_from([None, 1, 2, 4, 8, 16, block])),
        "acc": acc,
        "output": draw(st.sampled_from(list(OUTPUTS))),
        "class_sums": draw(st.sampled_from(CLASS_SUMS)),
        "pipeline": ",".join(draw(st.lists(st.sampled_from(PIPELINE), max_size=len(PIPELINE)))),
    }
    if acc == "exact":
        fields["max_blocks"] = draw(st.none() | st.integers(4096, 1 << 24))
    if acc == "fixed":
        for name in ("frac_bits", "int_bits"):
            fields[name] = draw(st.none() | st.integers(0, 128))
    scales = [FORMATS.get(f, FORMATS["amxfp4"]).scales for f in formats]
    terms, lanes = scales[0] * scales[1], fields["lanes"] or block
    fields["scaling"] = draw(st.sampled_from([None, "parallel"]))
    if bounded and acc != "fp32" and 1 < terms <= block // lanes:
        fields["scaling"] = draw(st.sampled_from([None, *SCALING]))
    if draw(st.booleans()):
        return DotConfig(**fields)
    rows = draw(st.integers(1, 64))
    # As many results as fit into a port, whatever they are.
    return ArrayConfig(**fields, rows=rows, cols=draw(st.integers(1, min(64, 1900 // rows))))


@settings(max_examples=200, deadline=None)
@given(_configs())
def test_round_trip(config):
    """What `to_dict` writes, `from_dict` reads; fields are normalised, and in order."""
    fields = config.to_dict()
    again = UNITS[fields["unit"]].from_dict(fields)
    assert again == config
    assert (again.digest, hash(again)) == (config.digest, hash(config))
    assert {type(value) for value in fields.values()} <= {str, int, type(None)}
    assert config.beats * config.lanes == config.block
    assert {row.block for row in config.rows_ab} == {config.block}
    assert [name for name in PIPELINE if name in config.cuts] == [
        name for name in config.pipeline.split(",") if name
    ]
    assert (config.max_blocks is None) == (config.acc != "exact")
    assert (config.frac_bits is None) == (config.int_bits is None) == (config.acc != "fixed")
    assert config.scaling in SCALING


@settings(max_examples=200, deadline=None)
@given(_configs(), _configs())
def test_digests_tell_configurations_apart(one, other):
    """Digests are equal exactly when configurations are."""
    assert (one.digest == other.digest) == (one == other)
    assert re.fullmatch("[0-9a-f]{16}", one.digest)


@units
def test_digest_differs_when_any_field_does(unit):
    """Changing one field, whichever, changes the digest."""
    plain = UNITS[unit]()
    others = {
        "format_a": "mxfp4-e5m2", "format_b": "amxfp4-e4m3", "block": 64, "lanes": 16,
        "output": "bf16", "max_blocks": 5000, "class_sums": "masked", "pipeline": "sums",
        "rows": 3, "cols": 5,
    }  # fmt: skip
    changed = [
        dataclasses.replace(plain, **{name: value})
        for name, value in others.items()
        if name in plain.to_dict()
    ]
    changed += [UNITS[unit](acc=acc) for acc in ("fp32", "fixed")]
    changed += [UNITS[unit](acc="fixed", **{name: 9}) for name in ("frac_bits", "int_bits")]
    # With 16 lanes there are fewer beats than terms: `scaling` is a choice with 8.
    changed += [UNITS[unit](lanes=8, scaling=scaling) for scaling in SCALING]
    digests = [c.digest for c in (plain, *changed)]
    assert len(set(digests)) == len(dataclasses.fields(plain)) + 3
    assert DotConfig().digest != ArrayConfig().digest


@units
def test_defaults_are_normalised(unit):
    """Equal hardware has equal configurations, however it was asked for."""
    kind = UNITS[unit]
    plain = kind()
    assert (plain.format_a, plain.format_b) == ("amxfp4", "amxfp4")
    assert (plain.block, plain.lanes, plain.output) == (32, 32, "fp32")
    assert (plain.acc, plain.max_blocks) == ("exact", 4096)
    assert (plain.frac_bits, plain.int_bits) == (None, None)
    assert plain.class_sums == "grouped"
    assert plain.scaling == "parallel"
    assert plain.pipeline == ",".join(PIPELINE)
    assert kind(format_a="amxfp4-e5m2", format_b="amxfp4-e5m2") == plain
    assert kind(block=32, lanes=32, acc="exact", max_blocks=4096) == plain
    assert kind(pipeline="rounded,,normalised,aligned,terms,sums,input,sums") == plain
    assert kind(scaling="parallel") == plain
    # An FP32 sum is normalised as it is.
    every = ",".join(PIPELINE)
    assert kind(acc="fixed").pipeline == every
    assert kind(acc="fp32").pipeline == every.replace("normalised,", "")
    assert kind(lanes=8) == kind(lanes=8, scaling="serial")


@units
@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("", ""),
        ("terms,input", "input,terms"),
        ("aligned,rounded", "aligned,rounded"),
        ("rounded,normalised", "normalised,rounded"),
    ],
)
def test_registers_are_those_asked_for(unit, asked, got):
    """In the order of the data path, and none is there unasked."""
    config = UNITS[unit](pipeline=asked)
    assert config.pipeline == got
    assert config.cuts == set(filter(None, got.split(",")))
    assert config == UNITS[unit](pipeline=got)


# Lanes of a block of 32 at which a block has as many beats as terms.
TERMS = [("amxfp4", "amxfp4", 8), ("amxfp4", "nvfp4", 16), ("mxfp4-e5m2", "amxfp4-e4m3", 16)]


@units
@pytest.mark.parametrize(("a", "b", "most"), TERMS)
@pytest.mark.parametrize("acc", ["exact", "fixed"])
def test_default_scaling(unit, a, b, most, acc):
    """Terms are scaled one by one as soon as a block has as many beats, and on demand at once."""
    fields = {"format_a": a, "format_b": b, "block": 32, "acc": acc}
    for lanes in (1, 2, 4, 8, 16, 32):
        config = UNITS[unit](**fields, lanes=lanes)
        assert config.scaling == ("serial" if lanes <= most else "parallel"), lanes
        assert UNITS[unit](**fields, lanes=lanes, scaling="parallel").scaling == "parallel"
    assert UNITS[unit](format_a=a, format_b=b, block=32, acc="fp32", lanes=1).scaling == "parallel"


@units
@pytest.mark.parametrize(
    ("fields", "beats", "terms"),
    [
        ({"lanes": 16}, 2, 4),
        ({"lanes": 32}, 1, 4),
        ({"lanes": 32, "format_b": "mxfp4-e5m2"}, 1, 2),
        ({"lanes": 1, "format_a": "nvfp4", "format_b": "nvfp4"}, 16, 1),
        ({"lanes": 8, "acc": "fp32"}, 4, 4),
        ({"lanes": 1, "format_a": "amxfp4-pot"}, 32, 4),
    ],
)
def test_init_serial_that_cannot_be(unit, fields, beats, terms):
    """Serial scaling is refused where a block has too few beats, and where it saves nothing."""
    message = (
        "scaling must be parallel in fp32 mode, with a single term, or with fewer beats "
        f"in a block ({beats}) than terms ({terms}), not 'serial'"
    )
    _check_wrong(unit, ValueError, message, **fields, scaling="serial")


@pytest.mark.parametrize(
    ("a", "b", "frac_bits", "int_bits"),
    [
        ("amxfp4", "amxfp4", 24, 16),
        ("amxfp4", "nvfp4", 22, 16),
        ("amxfp4-e4m3", "nvfp4", 20, 16),
        ("mxfp4-e5m2", "amxfp4", 24, 16),
    ],
)
def test_defaults_of_fixed(a, b, frac_bits, int_bits):
    """The fixed accumulator's default size follows from both scale formats."""
    config = DotConfig(format_a=a, format_b=b, block=32, acc="fixed")
    assert (config.frac_bits, config.int_bits) == (frac_bits, int_bits)
    assert config == DotConfig(
        format_a=a, format_b=b, block=32, acc="fixed", frac_bits=frac_bits, int_bits=int_bits
    )


@pytest.mark.parametrize(("a", "b"), list(itertools.product(FORMATS, FORMATS)))
def test_default_acc(a, b):
    """Sums are exact by default, and in FP32 where a scale is a power of two."""
    powers = any(FORMATS[f].power_of_two for f in (a, b))
    config = DotConfig(format_a=a, format_b=b, block=16)
    assert config.acc == ("fp32" if powers else "exact")


@units
def test_element_of_array(unit):
    """An array's elements are dot products of the same fields; no field is lost."""
    config = ArrayConfig(rows=2, cols=3, lanes=8, acc="fixed", frac_bits=3, pipeline="sums")
    element = config.element
    assert type(element) is DotConfig
    fields = {k: v for k, v in config.to_dict().items() if k not in ("unit", "rows", "cols")}
    assert element == DotConfig(**fields)


def _check_wrong(unit, error, message, **fields):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        UNITS[unit](**fields)


@units
@pytest.mark.parametrize(
    ("parameter", "allowed"),
    [
        ("format_a", FORMATS),
        ("format_b", FORMATS),
        ("acc", ACCUMULATIONS),
        ("output", OUTPUTS),
        ("class_sums", CLASS_SUMS),
        ("scaling", SCALING),
        ("pipeline", PIPELINE),
    ],
)
def test_init_wrong_choice(unit, parameter, allowed):
    """An unknown name gets a list of those that exist; another type is a type error."""
    message = f"{parameter} must be one of {', '.join(allowed)}, not 'odd'"
    _check_wrong(unit, ValueError, message, **{parameter: "odd"})
    _check_wrong(unit, TypeError, f"{parameter} must be a string, not 16", **{parameter: 16})


@units
@pytest.mark.parametrize("names", ["sums,odd", " sums", "odd,sums"])
def test_init_wrong_pipeline(unit, names):
    """One wrong name among the registers is an error that names it."""
    wrong = next(name for name in names.split(",") if name not in PIPELINE)
    message = f"pipeline must be one of {', '.join(PIPELINE)}, not {wrong!r}"
    _check_wrong(unit, ValueError, message, pipeline=names)


@units
def test_init_wrong_block(unit):
    """Blocks of other sizes are errors, and formats of different sizes without a choice."""
    for block in (0, 8, 24, 256, -32):
        message = f"block must be one of 16, 32, 64, 128, not {block}"
        _check_wrong(unit, ValueError, message, block=block)
    message = "block must be given when the formats' own differ, 32 (amxfp4) and 16 (nvfp4)"
    _check_wrong(unit, ValueError, f"{message}, not None", format_b="nvfp4")


@units
@pytest.mark.parametrize("lanes", [0, -1, 3, 31, 64])
def test_init_wrong_lanes(unit, lanes):
    """Lanes are a power of two, up to the block."""
    message = f"lanes must be a power of two from 1 to 32 (the block size), not {lanes}"
    _check_wrong(unit, ValueError, message, lanes=lanes)


@units
@pytest.mark.parametrize("acc", ["exact", "fixed"])
@pytest.mark.parametrize("format", ["mxfp4", "mxfp4-roundup", "amxfp4-pot", "amxfp4-pot-roundup"])
def test_init_wrong_acc(unit, acc, format):
    """Power-of-two scales are summed in FP32 only, on whichever side they are."""
    message = f"acc must be fp32 for the scales of {format}, not {acc!r}"
    for side in ("format_a", "format_b"):
        _check_wrong(unit, ValueError, message, **{side: format}, acc=acc)


RANGES = [
    ("max_blocks", "exact", 4096, 1 << 24),
    ("frac_bits", "fixed", 0, 128),
    ("int_bits", "fixed", 0, 128),
]


@units
@pytest.mark.parametrize(("parameter", "acc", "least", "most"), RANGES)
def test_init_wrong_range(unit, parameter, acc, least, most):
    """Numbers outside their range are errors, the ends are not; nor may they be idle."""
    for value in (least, most):
        assert getattr(UNITS[unit](acc=acc, **{parameter: value}), parameter) == value
    for value in (least - 1, most + 1):
        message = f"{parameter} must be from {least} to {most}, not {value}"
        _check_wrong(unit, ValueError, message, acc=acc, **{parameter: value})
    for other in set(ACCUMULATIONS) - {acc}:
        message = f"{parameter} must be left out unless acc is {acc}, not {least}"
        _check_wrong(unit, ValueError, message, acc=other, **{parameter: least})


@pytest.mark.parametrize("parameter", ["rows", "cols"])
def test_init_wrong_rows_cols(parameter):
    """An array has 1 to 64 rows and columns."""
    for value in (1, 64):
        assert getattr(ArrayConfig(**{parameter: value}), parameter) == value
    for value in (0, 65, -1):
        message = f"{parameter} must be from 1 to 64, not {value}"
        _check_wrong("array", ValueError, message, **{parameter: value})


INTEGERS = [
    *itertools.product(["dot", "array"], ["block", "lanes"], [{}]),
    *((u, name, {"acc": acc}) for u in ("dot", "array") for name, acc, *_ in RANGES),
    *itertools.product(["array"], ["rows", "cols"], [{}]),
]


@pytest.mark.parametrize(("unit", "parameter", "fields"), INTEGERS)
@pytest.mark.parametrize("value", [32.0, "32", True])
def test_init_wrong_integer(unit, parameter, fields, value):
    """Numbers that are no integers are type errors, booleans too."""
    message = f"{parameter} must be an integer, not {value!r}"
    _check_wrong(unit, TypeError, message, **fields, **{parameter: value})
