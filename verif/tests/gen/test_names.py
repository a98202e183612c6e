"""Names do not depend on the interpreter: the RTL's source gives each, and others make the same."""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import amaranth
import pytest

import amxfp4.rtl
from amxfp4.gen.names import plain_names, readable

RTL = sorted(Path(next(iter(amxfp4.rtl.__path__))).rglob("*.py"))
_MAKERS = ("like", "create", "write_port", "read_port")


def nameless(source: str) -> list[str]:
    """List what makes signals and leaves their names to how Python compiles an assignment."""
    tree = ast.parse(source)
    assigned = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and all(isinstance(target, ast.Name | ast.Attribute) for target in node.targets)
    }
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id == "Signal")
            or (isinstance(node.func, ast.Attribute) and node.func.attr in _MAKERS)
        )
        and id(node) not in assigned
        and not any(keyword.arg in ("name", "path") for keyword in node.keywords)
    ]


@pytest.mark.parametrize("path", RTL, ids=lambda path: path.stem)
def test_every_signal_is_named_by_the_source(path):
    """A signal is assigned to one name, alone, or gets a name of its own."""
    # One width is taken from a signal that is in no design.
    assert [made for made in nameless(path.read_text()) if made != "Signal(self.term_shift)"] == []


@pytest.mark.parametrize(
    "source",
    ["a, b = Signal(), Signal()", "f(Signal(3))", "a = [Signal() for _ in b]", "s.create()"],
)
def test_nameless_signals_are_found(source):
    """The check itself finds signals that a tuple, a list or an expression leaves without names."""
    assert nameless(source)
    assert not nameless('a = Signal()\nself.b = Signal.like(a)\nc = [Signal(name="x") for _ in d]')


_PROGRAM = """
import hashlib, json, sys
sys.path[0], needed = json.loads(sys.argv[1])
sys.path.append(needed)
from amxfp4.params.units import UNITS
from amxfp4.rtl.lib.share import ModuleLibrary
from amxfp4.gen.verilog import component
for unit, options in json.loads(sys.argv[2]):
    library = ModuleLibrary()
    library.convert(component(UNITS[unit](**options)), unit)
    print(hashlib.sha256("".join(library.modules.values()).encode()).hexdigest())
"""
SMALL = [
    ("quantizer", {"lanes": 2}),
    ("dequantizer", {"lanes": 2}),
    ("weight_dequantizer", {"lanes": 4, "format": "fpq-nf3"}),
    ("dot", {"lanes": 1, "acc": "fp32", "format_b": "mxfp4"}),
    ("engine_uart", {"lanes": 1, "rows": 1, "cols": 2, "depth_a": 2, "depth_b": 2, "payload": 64,
                     "requantize": "amxfp4"}),
]  # fmt: skip


def _interpreter(version: str) -> str | None:
    """Path of an interpreter that runs, if there is one."""
    command = shutil.which(f"python{version}")
    versions = Path.home() / ".pyenv" / "versions"
    found = [command, *(str(p) for p in sorted(versions.glob(f"{version}.*/bin/python")))]
    for path in filter(None, found):
        done = subprocess.run([path, "-c", ""], capture_output=True, check=False)
        if done.returncode == 0:
            return path
    return None


@pytest.fixture
def places(tmp_path):
    """Folders from which another interpreter imports: this package, and what Amaranth needs."""
    package = tmp_path / "amxfp4"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("gen", "params", "rtl", "util"):
        module = importlib.import_module(f"amxfp4.{name}")
        (package / name).symlink_to(next(iter(module.__path__)))
    return [str(tmp_path), str(Path(amaranth.__file__).parents[1])]


def _hashes(command: str, places: list[str]) -> list[str]:
    done = subprocess.run(
        [command, "-c", _PROGRAM, json.dumps(places), json.dumps(SMALL)],
        capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.nightly  # by day the source is checked to give every name, above
@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_same_names_from_another_python(version, places):
    """Another interpreter makes the same netlists; what follows is Yosys, the same for both."""
    command = _interpreter(version)
    if command is None:
        pytest.skip(f"python{version} is not there")
    ours = _hashes(sys.executable, places)
    assert len(set(ours)) == len(SMALL)
    assert _hashes(command, places) == ours


def test_plain_names():
    """Fields become words, nothing is taken twice, and no wire is signed or empty."""
    text = (
        "module \\top\n  attribute \\init 0\n  wire width 0 \\e\n"
        "  wire width 4 signed \\a.b\n  wire \\a__b\n  wire \\w[3]\n"
        "  wire \\n$1\n  connect \\a.b { \\a__b \\w[3] }\nconnect \\e { }\nend\n"
    )
    assert plain_names(text) == (
        "module \\top\n  wire width 4 \\a__b_\n  wire \\a__b\n  wire \\w_3\n"
        "  wire \\n_1\n  connect \\a__b_ { \\a__b \\w_3 }\nend\n"
    )


def test_readable():
    """Temporaries are called after what they go into, and signed operands are declared."""
    text = """module top(clk, x, y);
  wire _0_;
  wire [3:0] _1_;
  wire [3:0] x;
  wire [4:0] y;
  wire [3:0] _2_;
  reg [3:0] r = 4'h0;
  always @(posedge clk)
    r <= _2_;
  assign _0_ = x > 4'h3;
  assign _1_ = ~ x;
  assign _2_ = _0_ ? _1_ : r;
  assign y = $signed(x) + $signed({ r[3], _1_[2:0] });
  part one (
    .i(_0_)
  );
endmodule
"""
    assert readable(text).splitlines()[8:17] == [
        "    r <= r__next;",
        "  assign r__next__1 = x > 4'h3;",
        "  assign r__next__2 = ~ x;",
        "  assign r__next = r__next__1 ? r__next__2 : r;",
        "  wire signed [3:0] x__signed = x;",
        "  wire signed [3:0] y__signed = { r[3], r__next__2[2:0] };",
        "  assign y = x__signed + y__signed;",
        "  part one (",
        "    .i(r__next__1)",
    ]
