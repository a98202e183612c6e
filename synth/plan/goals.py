"""Design targets and peers: the figures to beat, the figures aimed at, and how we stand to them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amxfp4.params.checks import choose
from amxfp4.synth.report.figures import AREAS

__all__ = ["PEERS", "Goal", "Peer", "counts_of", "demand", "load_peers", "text_of", "verdict"]

PEERS = Path(__file__).parents[1] / "peers" / "peers.toml"
"""Published figures and figures of published designs, with their sources."""

BASES = {
    "measured": "measured in this flow",
    "stated": "stated by the source",
}
"""Where a peer's figures come from."""


def demand(good: object, rule: str, value: object) -> None:
    """Refuse a `value` that is not `good`: the error says the `rule` and the value."""
    if not good:
        raise ValueError(f"{rule}, not {value!r}")


def text_of(table: Mapping[str, Any], key: str, *, needed: bool = False) -> str:
    """Text of a key of a table; empty where there is none, unless it is `needed`."""
    value = table.get(key, None if needed else "")
    demand(isinstance(value, str) and (value or not needed), f"{key} must be a string", value)
    return str(value)


def counts_of(rule: str, table: Any) -> dict[str, int]:
    """Read how often each of some things counts."""
    good = isinstance(table, dict) and all(type(n) is int and n > 0 for n in table.values())
    demand(good, rule, table)
    return dict(table)


def _numbers(name: str, table: Any) -> dict[str, float]:
    """Read figures by target."""
    demand(isinstance(table, dict), f"{name} must be a table of figures by target", table)
    for target, value in table.items():
        choose(f"target of {name}", target, AREAS)
        number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        demand(number, f"{name} of {target} must be a number above 0", value)
    return {target: float(value) for target, value in table.items()}


def _labels(name: str, value: Any) -> dict[str, int]:
    """Read a label, or labels with how often each counts."""
    table = {value: 1} if isinstance(value, str) else value
    return counts_of(f"{name} must be a label, or counts by label", table)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure that the project sets itself.

    Parameters
    ----------
    what
        What it is about, in words.
    of
        Labels of circuits of the plan, and how often each is taken.
    against
        The same of what it is compared with, and the figure is a ratio; empty where it is an
        area per MAC (or element).
    logic
        Whether flip-flops are left out.
    beat, aim
        The figures to beat and those aimed at, by target.
    peer
        Name of the peer whose figures are those to beat.
    note
        Where the figures to beat come from, if not from a peer.
    """

    what: str
    of: dict[str, int]
    against: dict[str, int] = field(default_factory=dict)
    logic: bool = False
    beat: dict[str, float] = field(default_factory=dict)
    aim: dict[str, float] = field(default_factory=dict)
    peer: str = ""
    note: str = ""

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Goal:
        """Read a table of a plan.

        Raises
        ------
        TypeError, ValueError
            A field is missing or is not what it must be.
        """
        peer, of = text_of(table, "peer"), _labels("of", table.get("of"))
        against = _labels("against", table.get("against", {}))
        beat = _numbers("beat", table.get("beat", {}))
        if peer:
            demand(not beat, "beat must be left out beside peer, which has the figures", beat)
            beat = choose("peer", peer, load_peers()).figures
        single = against or list(of.values()) == [1]
        demand(single, "of must be one label unless against is given", of)
        return cls(
            what=text_of(table, "what", needed=True),
            of=of,
            against=against,
            logic=bool(table.get("logic", False)),
            beat=beat,
            aim=_numbers("aim", table.get("aim", {})),
            peer=peer,
            note=text_of(table, "note"),
        )

    @property
    def labels(self) -> list[str]:
        """Labels of every circuit that it needs."""
        return [*self.of, *self.against]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A public design, or a part of one.

    Parameters
    ----------
    source
        The repository or paper it comes from.
    basis
        A key of `BASES`.
    figures
        Area per MAC or element, by target.
    at_least
        Whether the figures leave something out, so that the true ones are larger.
    logic
        Whether theirs are without flip-flops, and ours are to be, too.
    command
        What measures it in a copy of the source, without target and script.
    ours
        Label of the circuit of the default plan that does the same work, if there is one.
    """

    name: str
    source: str
    what: str
    per: str
    basis: str
    figures: dict[str, float]
    at_least: bool = False
    logic: bool = False
    command: str = ""
    ours: str = ""
    note: str = ""


def load_peers(path: Path = PEERS) -> dict[str, Peer]:
    """Peers by name.

    Raises
    ------
    TypeError, ValueError
        The file is not what it must be.
    """
    peers = {}
    for table in tomllib.loads(path.read_text())["peer"]:
        place = f"{path}: {table.get('name')!r}"
        try:
            choose("basis", table.get("basis"), BASES)
            peer = Peer(**{**table, "figures": _numbers("figures", table.get("figures"))})
        except (TypeError, ValueError) as error:
            raise type(error)(f"{place}: {error}") from None
        peers[peer.name] = peer
    return peers


def verdict(reached: float | None, beat: float | None, aim: float | None) -> str:
    """Say how a figure stands to the one to beat and the one aimed at; less is better."""
    if reached is None:
        return "not measured"
    if aim is not None and reached <= aim:
        return "aim reached"
    if beat is None:
        return "measured" if aim is None else "short of the aim"
    if reached < beat:
        return "beaten" if aim is None else "beaten, short of the aim"
    return "behind"
