"""Verilator's full set of warnings over generated Verilog."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from amxfp4.gen.export.fusesoc import WAIVERS
from amxfp4.verif.sim import build, toolchain

__all__ = ["LintError", "lint"]


class LintError(AssertionError):
    """The Verilog draws a warning that ``waivers.vlt`` does not name."""


def lint(text: str, top: str, *, cache: Path = build.CACHE) -> None:
    """Run ``verilator --lint-only -Wall`` with the waivers of ``waivers.vlt`` and no others.

    Parameters
    ----------
    text
        Verilog.
    top
        Its top module.
    cache
        Folder of builds; only the compiler's environment comes from there.

    Raises
    ------
    LintError
        A warning or an error; the text is Verilator's.
    ToolError
        Verilator is missing.
    """
    tools = toolchain.find()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / f"{top}.v"
        source.write_text(text)
        command = [str(tools.verilator), "--lint-only", "-Wall", "--top-module", top]
        done = subprocess.run(
            [*command, str(WAIVERS), str(source)],
            env=tools.environment(cache / "ccache"), capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0 or "%Warning" in done.stderr:
        said = "\n".join(done.stderr.splitlines()[:30])
        raise LintError(f"{top} must pass verilator -Wall, not say\n{said}")
