"""What is to be synthesized, and how: one job is one row of results."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from amxfp4.gen.manifest import TOOLS
from amxfp4.params.checks import choose
from amxfp4.params.config import UnitConfig
from amxfp4.synth.flow import liberty, pnr
from amxfp4.synth.flow.targets import TARGETS, Target, fill, script_options
from amxfp4.util.errors import reading
from amxfp4.util.files import digest

if TYPE_CHECKING:
    from amxfp4.gen.components import Build

__all__ = ["Job", "parts", "sources"]

_MEASURE = "1"
"""Counted up when the same output of the same tools is read differently."""


@functools.cache
def _content(path: Path, changed: int, size: int) -> str:
    """Digest a file, once as long as it does not change."""
    return digest(path.read_bytes())


def _named(parameter: str, path: Path, wanted: str) -> str:
    """Digest a file that the user has named."""
    with reading(parameter, path, wanted):
        state = path.stat()
        return _content(path, state.st_mtime_ns, state.st_size)


@functools.cache
def sources() -> str:
    """Digest all text that decides results: what makes the Verilog, and what measures it."""
    parts: list[str | bytes] = [metadata.version(tool) for tool in TOOLS]
    for package in ("amxfp4.params", "amxfp4.gen", "amxfp4.rtl", "amxfp4.synth"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        for folder in map(Path, spec.submodule_search_locations or ()):
            for path in sorted([*folder.rglob("*.py"), *folder.glob("yosys/*")]):
                parts += [path.name, path.read_bytes()]
    return digest(*parts)


def parts(unit: str) -> dict[str, Build]:
    """Components of a unit by name: its own, and in a checkout the experiments beside them."""
    from amxfp4.gen.components import COMPONENTS  # needs Amaranth, which loads slowly

    try:
        from amxfp4.synth import experiments
    except ModuleNotFoundError:  # not part of the installed package
        return COMPONENTS[unit]
    return COMPONENTS[unit] | experiments.parts(unit)


@functools.lru_cache(maxsize=64)
def _generate(config: UnitConfig, component: str | None) -> str:
    """Verilog of a unit or a component, once for all targets."""
    from amxfp4.gen import components, verilog

    if component is None:
        text = verilog.generate(config).text
    else:
        text = components.generate(config, component, parts(config.unit))
    return re.sub(r"\A(//[^\n]*\n)+", "", text)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One circuit for one target.

    Parameters
    ----------
    config
        The unit.
    component
        A part of it (a key of `parts`); ``None`` for the whole unit.
    target
        A key of `TARGETS`.
    dsp
        Whether multipliers may go into DSP blocks, where the target has them.
    liberty
        The Liberty files of target ``liberty``.
    script
        What is done, by name (`Target.scripts`); ``None`` for the target's first.
    delay_ps
        Delay that ABC sizes cells for, in picoseconds (``liberty``); ``None`` for no sizing.
    constraint
        File that tells ABC what drives inputs and loads outputs (``liberty``); sizes cells, too.
    seeds
        Of placement (``ecp5-pnr``); ``None`` for three of them.
    hierarchy
        Whether components stay apart, so that the cost of each can be read (``liberty``). Logic
        is not simplified across them then: the whole is larger.

    Raises
    ------
    TypeError, ValueError
        A field is not of its type, or not allowed with the others.
    """

    config: UnitConfig
    component: str | None = None
    target: str = "generic"
    dsp: bool = False
    liberty: tuple[Path, ...] = ()
    script: str | None = None
    delay_ps: float | None = None
    constraint: Path | None = None
    seeds: tuple[int, ...] | None = None
    hierarchy: bool = False

    def __post_init__(self) -> None:
        target = choose("target", self.target, TARGETS)
        if self.component is not None:
            choose("component", self.component, parts(self.config.unit))
        if self.dsp and target.family is None:
            raise ValueError(f"dsp must be False for target {self.target}, not {self.dsp!r}")
        if self.script is None:
            object.__setattr__(self, "script", next(iter(target.scripts)))
        choose("script", self.script, dict(target.scripts))
        is_library = self.target == "liberty"
        if is_library and not self.liberty:
            raise ValueError("liberty must be at least one file for target liberty, not none")
        self._only("liberty", self.liberty or None, is_library, "liberty")
        self._only("delay_ps", self.delay_ps, is_library, "liberty")
        self._only("constraint", self.constraint, is_library, "liberty")
        self._only("hierarchy", self.hierarchy or None, is_library, "liberty")
        if self.delay_ps is not None and not self.delay_ps > 0:
            raise ValueError(f"delay_ps must be more than 0, not {self.delay_ps!r}")
        self._only("seeds", self.seeds, target.placed, "ecp5-pnr")
        seeds = pnr.SEEDS if target.placed and self.seeds is None else self.seeds
        if target.placed and not seeds:
            raise ValueError(f"seeds must be at least one, not {self.seeds!r}")
        object.__setattr__(self, "seeds", seeds)

    def _only(self, parameter: str, value: object, allowed: bool, where: str) -> None:
        """Refuse a `value` that the target would ignore."""
        if value is not None and not allowed:
            raise ValueError(
                f"{parameter} must be left out unless the target is {where}, not {value!r}"
            )

    @property
    def top(self) -> str:
        """The top module: the component or the unit."""
        return self.component or self.config.unit

    @property
    def flow(self) -> Target:
        """What `target` stands for."""
        return TARGETS[self.target]

    @cached_property
    def verilog(self) -> str:
        """The generated text, without the comments at its top: what is synthesized is the circuit.

        Configurations often share a component, and so its figures.
        """
        return _generate(self.config, self.component)

    @property
    def how(self) -> str:
        """The script's name, and what cells are sized for, as shown with every figure."""
        goals = [self.script or ""]
        if self.delay_ps is not None:
            goals.append(f"for {self.delay_ps:g} ps")
        if self.constraint is not None:
            goals.append(f"with {self.constraint.name}")
        return " ".join(goals)

    def _filled(self, script: str, names: list[str]) -> str:
        """Text of a script, with `names` for the Liberty files."""
        values = {
            "top": self.top,
            "liberty": " ".join(f'-liberty "{name}"' for name in names),
            "liberty_tcl": " ".join(f'"{name}"' for name in names),
            "period": str(liberty.PERIOD),
            "flatten": "" if self.hierarchy else "-flatten",
            "script": script_options(self),
        }
        if (family := self.flow.family) is not None:
            values["flow"] = f"{family.flow} {family.dsp_options[self.dsp]}".strip()
            values["levels"] = " ".join(f"t:{kind}" for kind in family.levels.split())
        return fill(script, values)

    @property
    def _paths(self) -> list[str]:
        return [str(path.resolve()) for path in self.liberty]

    @property
    def yosys_script(self) -> str:
        """The Yosys script with everything filled in."""
        return self._filled(self.flow.script, self._paths)

    @property
    def opensta_script(self) -> str | None:
        """What OpenSTA is asked, where it is and has a library."""
        if not self.liberty or liberty.opensta() is None:
            return None
        return self._filled("opensta.tcl", self._paths)

    @property
    def tools(self) -> dict[str, str]:
        """Versions of the programs that decide the result."""
        versions = {name: metadata.version(name) for name in self.flow.tools}
        opensta = liberty.opensta()
        if self.liberty and opensta is not None:
            versions["opensta"] = opensta
        return versions

    @cached_property
    def circuit(self) -> str:
        """16 hexadecimal digits, equal for jobs that cannot but give equal figures.

        Raises
        ------
        ValueError
            A Liberty file or the constraint cannot be read.
        """
        contents = self._contents()
        scripts = [self._filled(self.flow.script, contents[: len(self.liberty)])]
        if self.opensta_script is not None:
            scripts.append(self._filled("opensta.tcl", contents[: len(self.liberty)]))
        tools = [f"{name} {version}" for name, version in self.tools.items()]
        return digest(
            _MEASURE, self.target, repr(self.seeds), *tools, *contents, *scripts, self.verilog
        )

    def _contents(self) -> list[str]:
        """Digests of the Liberty files, then of the constraint."""
        contents = [_named("liberty", path, "a Liberty file") for path in self.liberty]
        if self.constraint is not None:
            contents.append(_named("constraint", self.constraint, "a file of constraints"))
        return contents

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits, of one row of results: of the circuit and whose it is."""
        return digest(self.circuit, self.config.digest, self.component or "")

    @property
    def fingerprint(self) -> str | None:
        """Digest of what decides the result of a job, without generating its Verilog.

        ``None`` where that cannot be said, because a tool or a file is missing.
        """
        try:
            return digest(sources(), repr(self), json.dumps(self.tools), *self._contents())
        except (ValueError, metadata.PackageNotFoundError):
            return None

    def folder(self, build: Path) -> Path:
        """Where scripts, netlists and figures are kept, below the folder of builds."""
        return build / "synth" / self.circuit
