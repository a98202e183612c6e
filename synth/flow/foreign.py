"""Somebody else's SystemVerilog through the same flows, so that figures compare like with like."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from amxfp4.params.config import UnitConfig
from amxfp4.synth.flow.job import Job
from amxfp4.synth.flow.programs import SynthesisError
from amxfp4.util import pyosys
from amxfp4.util.errors import ToolError, reading

__all__ = ["ForeignJob"]


@dataclass(frozen=True, kw_only=True)
class ForeignJob(Job):
    """A design from files for one target.

    Parameters
    ----------
    name
        Its top module.
    sources
        Its files.
    parameters
        Of the top module, as ``NAME=VALUE``.
    defines
        Macros, as ``NAME`` or ``NAME=VALUE``.
    includes
        Folders of included files.

    The other fields are those of `Job`; it has no configuration and no components.
    """

    config: UnitConfig = None  # type: ignore[assignment]  # ours alone have one
    name: str
    sources: tuple[Path, ...]
    parameters: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    includes: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sources:
            raise ValueError("sources must be at least one file, not none")
        for option, texts in (("top", (self.name,)), ("parameter", self.parameters + self.defines)):
            for text in texts:
                # Each becomes a word of a Yosys script.
                if not text or any(c.isspace() or c in "\";'" for c in text):
                    raise ValueError(f"{option} must be a name without blanks, not {text!r}")

    @property
    def top(self) -> str:
        """The top module."""
        return self.name

    @cached_property
    def verilog(self) -> str:
        """The elaborated design as one text of plain Verilog.

        Raises
        ------
        SynthesisError
            The files are no design with that top.
        ValueError
            A file cannot be read.
        """
        for path in self.sources:
            with reading("FILE", path, "a SystemVerilog file"):
                path.read_bytes()
        # Yosys takes no quotes here: names without blanks stand for the paths. What a file includes
        # may lie beside it.
        folders = dict.fromkeys([*self.includes, *(path.parent for path in self.sources)])
        links = {f"source_{n}{path.suffix}": path for n, path in enumerate(self.sources)}
        links |= {f"include_{n}": path for n, path in enumerate(folders)}
        options = [f"--top {self.name}"]
        options += [f"-G {parameter}" for parameter in self.parameters]
        options += [f"-D {define}" for define in self.defines]
        words = [f"-I {link}" if link.startswith("include") else link for link in links]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            for link, path in links.items():
                (folder / link).symlink_to(path.resolve())
            read = f"read_slang {' '.join([*options, *words])}"
            try:
                pyosys.run([read, "write_verilog -noattr design.v"], folder)
            except ToolError as error:
                raise SynthesisError(
                    f"FILE must be a design with the top module {self.name}: {error}", error.log
                ) from None
            text = (folder / "design.v").read_text()
        # The first line names the Yosys that wrote it.
        return text.split("\n", 1)[1]
