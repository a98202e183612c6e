"""The tools of a build: found or missing, ended when they hang, the same in every shell."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from amxfp4.verif.sim import toolchain


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Look for the tools again, and forget them afterwards."""
    monkeypatch.delenv("CXX", raising=False)
    toolchain.find.cache_clear()
    yield monkeypatch
    toolchain.find.cache_clear()


@pytest.mark.parametrize("tool", ["g++", "make", "perl"])
def test_missing_tool(fresh: pytest.MonkeyPatch, tmp_path: Path, tool: str) -> None:
    """A missing tool is one line that names it and the remedy."""
    for name in ({"g++", "make", "perl"} - {tool}) | {"ccache"}:
        (tmp_path / name).symlink_to("/bin/true")
    fresh.setenv("PATH", str(tmp_path))
    with pytest.raises(toolchain.ToolError, match=tool.replace("+", r"\+")) as caught:
        toolchain.find()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("chosen", "command"),
    [("g++", ["g++"]), ("ccache g++", ["g++"]), ("g++ -m64", ["g++", "-m64"])],
)
def test_chosen_compiler(fresh: pytest.MonkeyPatch, chosen: str, command: list[str]) -> None:
    """CXX may hold options, and a compiler cache, which is ours to put in front."""
    plain = toolchain.find()
    toolchain.find.cache_clear()
    fresh.setenv("CXX", chosen)
    tools = toolchain.find()
    assert list(tools.cxx) == [str(shutil.which("g++")), *command[1:]]
    assert len(tools.compiler) == len(tools.cxx) + (tools.ccache is not None)
    if command == ["g++"]:
        assert tools == plain


def test_chosen_compiler_is_missing(fresh: pytest.MonkeyPatch) -> None:
    """Another compiler than the one that was asked for is no answer."""
    fresh.setenv("CXX", "no-such-compiler -O9")
    with pytest.raises(toolchain.ToolError, match="CXX must name a C\\+\\+ compiler, not 'no-such"):
        toolchain.find()


def test_foreign_settings_reach_no_build(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a shell says to other builds is not said to ours."""
    before = toolchain.find().environment(tmp_path)
    foreign = (
        "CPATH", "CPLUS_INCLUDE_PATH", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "VERILATOR_ROOT",
        "VERILATOR_BIN", "MAKEFLAGS", "MAKELEVEL", "OPT_FAST", "VM_TRACE", "CCACHE_DISABLE",
    )  # fmt: skip
    for name in foreign:
        fresh.setenv(name, str(tmp_path))
    assert toolchain.find().environment(tmp_path) == before
    assert before["VERILATOR_ROOT"] != str(tmp_path)


def test_output_is_returned() -> None:
    """Both streams of a tool, in order."""
    script = "import sys; print('one', flush=True); print('two', file=sys.stderr)"
    assert toolchain.run([sys.executable, "-c", script], env=dict(os.environ)) == "one\ntwo\n"


def test_failure_names_itself() -> None:
    """The error has the command and what was said, not all of it."""
    script = "print('x\\n' * 50); raise SystemExit(3)"
    with pytest.raises(toolchain.ToolError, match=r"(?s)python\S* failed: .*lines more"):
        toolchain.run([sys.executable, "-c", script], env=dict(os.environ))


def test_hang_names_itself(tmp_path: Path) -> None:
    """A tool that does not end is ended, with what it started, and is an error that names it."""
    alive = tmp_path / "alive"
    loop = f"while sleep 0.1; do date >> {alive}; done"
    start = time.monotonic()
    with pytest.raises(toolchain.ToolError, match=r"(?s)sh must end within 1 seconds.*begun"):
        toolchain.run(["sh", "-c", f"echo begun; ({loop}) & wait"], env=dict(os.environ), limit=1)
    assert time.monotonic() - start < 30
    size = alive.stat().st_size
    time.sleep(0.5)
    assert alive.stat().st_size == size > 0
