"""The tools of a build: found or missing, and the same in every shell."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from amxfp4.util.errors import ToolError
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
    with pytest.raises(ToolError, match=tool.replace("+", r"\+")) as caught:
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
    with pytest.raises(ToolError, match="CXX must name a C\\+\\+ compiler, not 'no-such"):
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
