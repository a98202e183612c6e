"""What is to be synthesized, and how: one job is one row of results."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from amxfp4.gen.config import UnitConfig, choose
from amxfp4.synth.targets import TARGETS, Target

__all__ = ["Job"]


def _digest(*parts: str | bytes) -> str:
    """First 16 hexadecimal digits of the SHA-256 of `parts`, each with its length."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "little") + raw)
    return state.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One circuit for one target.

    Parameters
    ----------
    config
        The unit.
    component
        A part of it (`amxfp4.gen.components.COMPONENTS`); ``None`` for the whole unit.
    target
        A key of `TARGETS`.
    dsp
        Whether multipliers may go into DSP blocks, where the target has them.
    liberty
        The Liberty files of target ``liberty``.
    script
        The target's ABC script; ``None`` for its first.

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

    def __post_init__(self) -> None:
        target = choose("target", self.target, TARGETS)
        if self.component is not None:
            from amxfp4.gen.components import COMPONENTS  # needs Amaranth, which loads slowly

            choose("component", self.component, COMPONENTS[self.config.unit])
        if self.dsp and not target.dsp:
            raise ValueError(f"dsp must be False for target {self.target}, not {self.dsp!r}")
        script = next(iter(target.scripts), "") if self.script is None else self.script
        if target.scripts or script:
            choose("script", script, dict(target.scripts))
        object.__setattr__(self, "script", script)

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
        """The generated text."""
        from amxfp4.gen import components, verilog

        if self.component is None:
            return verilog.generate(self.config).text
        return components.generate(self.config, self.component)

    @cached_property
    def yosys_script(self) -> str:
        """The Yosys script with everything filled in."""
        return self.flow.fill(top=self.top, script=self.script or "", dsp=self.dsp)

    @cached_property
    def tools(self) -> dict[str, str]:
        """Versions of the programs that decide the result."""
        return {name: metadata.version(name) for name in self.flow.tools}

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits; equal for jobs that cannot but give equal results."""
        tools = [f"{name} {version}" for name, version in self.tools.items()]
        parts = [self.config.digest, self.component or "", self.target, *tools]
        return _digest(*parts, self.verilog, self.yosys_script)

    def folder(self, build: Path) -> Path:
        """Where the results are kept, below the folder of builds."""
        return build / "synth" / self.key
