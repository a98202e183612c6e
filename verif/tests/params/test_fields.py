"""What help says of a field is what its configuration checks: values in range, and just outside."""

import pytest

from amxfp4.params.fields import Lanes, Names, OneOf, Range, parameters
from amxfp4.params.units import UNITS

FIELDS = [(unit, name) for unit, config in UNITS.items() for name in parameters(config)]
# Fields that exist in one mode only, or whose extremes need another field beside them.
BESIDE = {
    "max_blocks": {"acc": "exact"},
    "frac_bits": {"acc": "fixed"},
    "int_bits": {"acc": "fixed"},
    "clock": {"baud": 9_600},
    "baud": {"clock": 500_000_000},
}


def values(allowed):
    """Return values that `allowed` reads as being in range, and some outside."""
    if isinstance(allowed, Range):
        least, most = map(int, str(allowed).split(" to "))
        return [least, most], [least - 1, most + 1]
    if isinstance(allowed, Lanes):
        assert str(allowed) == "a power of two from 1 to the block size"
        return [1, 2, 16, 32], [0, -1, 3, 64]
    if isinstance(allowed, Names):
        names = str(allowed).removeprefix("any of ").split(", ")
        return [",".join(names), f"{names[1]},{names[0]}"], ["x", f"{names[0]},x"]
    assert isinstance(allowed, OneOf)
    listed = str(allowed).split(", ")
    if listed[0].isdigit():
        numbers = list(map(int, listed))
        near = {number + step for number in numbers for step in (-1, 1)}
        return numbers, sorted(near - set(numbers))
    return listed, [name + "x" for name in listed]


def own_error(config, name, value, beside):
    """Return what the check of field `name` says of `value`, if anything."""
    try:
        config(**{**beside, name: value})
    except ValueError as error:
        own = str(error).startswith(f"{name} must be ")
        # Of two fields that exclude each other the error may name either, but is none of range.
        ranged = any(word in str(error) for word in ("one of", "from", "power of two"))
        return str(error) if own and ranged else None
    return None


@pytest.mark.parametrize(("unit", "name"), FIELDS, ids=map("-".join, FIELDS))
def test_help_is_what_is_checked(unit, name):
    config = UNITS[unit]
    allowed = parameters(config)[name].allowed
    beside = BESIDE.get(name, {})
    inside, outside = values(allowed)
    for value in inside:
        assert own_error(config, name, value, beside) is None
    for value in outside:
        message = own_error(config, name, value, beside)
        assert message is not None, value
        assert message.endswith(f", not {'x' if isinstance(allowed, Names) else value!r}")


@pytest.mark.parametrize(("unit", "name"), FIELDS, ids=map("-".join, FIELDS))
def test_default_is_what_help_says(unit, name):
    """Where help gives a value it is the one taken; a rule is given in words otherwise."""
    parameter = parameters(UNITS[unit])[name]
    default = getattr(UNITS[unit](), name)
    assert parameter.text
    assert parameter.default
    if not parameter.optional or parameter.default.isdigit():
        assert str(default) == parameter.default
