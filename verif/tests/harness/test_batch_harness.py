"""The harness itself: packing, the build cache, refusals. Its checks are shown in mutants/."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amxfp4 import golden
from amxfp4.golden import stimulus
from amxfp4.golden.blocks import by_name
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.params.formats import FORMATS
from amxfp4.params.quantizer import QuantizerConfig
from amxfp4.util.errors import ToolError
from amxfp4.verif.sim import build, sources, toolchain
from amxfp4.verif.sim.batch import beats, rotation
from amxfp4.verif.sim.batch.check import check_dequantizer, check_quantizer
from amxfp4.verif.sim.batch.dut import BatchDut
from amxfp4.verif.sim.sources import source

UNIT = DequantizerConfig(format="nvfp4", lanes=1)


@pytest.mark.parametrize("format", FORMATS)
def test_records_are_golden_records(rng: np.random.Generator, format: str) -> None:
    """The harness packs and splits records exactly as golden does."""
    row = FORMATS[format]
    codes, pos, neg = stimulus.records(rng, 100, row)
    raw = beats.pack_records(codes, pos, neg)
    columns = [s[:, None] for s in (pos, neg) if s is not None]
    blocks = golden.Blocks(
        codes[:, None], pos[:, None], format=format, shape=(100, row.block),
        **by_name(row, None if neg is None else neg[:, None]),
    )  # fmt: skip
    np.testing.assert_array_equal(raw, golden.pack(blocks).reshape(100, row.record_bytes))
    back, scales = beats.split_records(raw, row.block)
    np.testing.assert_array_equal(back, codes)
    np.testing.assert_array_equal(scales, np.concatenate(columns, axis=1))


@pytest.mark.parametrize("lanes", rotation.lane_counts(16))
@pytest.mark.parametrize("width", [16, 32])
def test_beats_hold_words_in_order(lanes: int, width: int) -> None:
    """Word j of a beat is at bits [W*j+W-1 : W*j], and blocks follow each other."""
    words = np.arange(48, dtype=f"u{width // 8}").reshape(3, 16) + 1000
    sent = beats.words_to_beats(words, lanes)
    values = [int.from_bytes(beat.astype("<u4").tobytes(), "little") for beat in sent]
    found = [(v >> (width * j)) & (2**width - 1) for v in values for j in range(lanes)]
    assert found == words.ravel().tolist()
    np.testing.assert_array_equal(beats.to_words(sent, width, lanes, 16), words)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Make a folder of builds with nothing in it but what all builds share."""
    (tmp_path / "batch").mkdir()
    for shared in ("ccache", "batch/runtime"):
        (build.CACHE / shared).mkdir(parents=True, exist_ok=True)
        (tmp_path / shared).symlink_to((build.CACHE / shared).resolve())
    return tmp_path


BUILD = """
import sys
from pathlib import Path
from amxfp4.params.dequantizer import DequantizerConfig
from amxfp4.verif.sim import build
from amxfp4.verif.sim.sources import source
made = source(DequantizerConfig(format="nvfp4", lanes=1))
print(build.build(made.text, made.manifest, Path(sys.argv[1]))[1] > 0)
"""


def test_compiled_headers_are_used(tmp_path: Path) -> None:
    """They are made once, and the compiler takes them instead of reading what they include."""
    tools = toolchain.find()
    cache = build.CACHE / "batch"
    headers = build._headers(tools, cache, build._COMPILE)
    made = (headers.parent / "all.h.gch").stat()
    assert build._headers(tools, cache, build._COMPILE) == headers
    assert (headers.parent / "all.h.gch").stat() == made
    version = subprocess.run([*tools.cxx, "--version"], capture_output=True, text=True, check=True)
    if "Free Software Foundation" not in version.stdout:
        pytest.skip("the compiler is not GCC, which says what it reads in its own way")
    (tmp_path / "unit.cpp").write_text("")
    command = [*tools.cxx, *build._COMPILE, *build._DEFINES, f"-I{tools.root / 'include'}"]
    said = subprocess.run(
        [*command, "-H", "-include", str(headers), "-fsyntax-only", str(tmp_path / "unit.cpp")],
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    assert said.startswith(f"! {headers}.gch\n")
    assert "verilated.h" not in said


def test_build_is_shared(empty: Path) -> None:
    """Processes that want the same unit at the same time build it once."""
    source(UNIT)
    command = [sys.executable, "-c", BUILD, str(empty)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=300)[0].strip() for process in processes]
    assert sorted(answers) == ["False", "False", "True"]


def test_same_hardware_is_one_build() -> None:
    """Two formats whose units are the same but for the name in the first lines share a build."""
    one, two = (source(replace(UNIT, format=f)) for f in ("mxfp4", "mxfp4-roundup"))
    assert one.text != two.text
    assert build.body(one.text) == build.body(two.text)
    assert build.build(one.text, one.manifest)[0] == build.build(two.text, two.manifest)[0]
    other = source(replace(UNIT, format="mxfp4-e5m2"))
    assert build.build(other.text, other.manifest)[0] != build.build(one.text, one.manifest)[0]


def test_only_the_first_comments_are_no_hardware() -> None:
    """A comment further down may be for a tool, and a change of anything is another build."""
    text = "// name\n// settings\nmodule top();\n// verilator lint_off LATCH\nendmodule\n"
    assert build.body(text) == "module top();\n// verilator lint_off LATCH\nendmodule\n"
    assert build.body(build.body(text)) == build.body(text)


def test_generator_is_known_by_all_its_files(tmp_path: Path) -> None:
    """Verilog is kept under a digest of files in folders of any depth."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "lib" / "arith.py").write_text("a = 1")
    before = sources._files([tmp_path])
    assert [name for name, _ in before] == ["__init__.py", "lib/arith.py"]
    (tmp_path / "lib" / "arith.py").write_text("a = 2")
    assert sources._files([tmp_path]) != before
    (tmp_path / "lib" / "waivers.vlt").write_text("")
    assert [name for name, _ in sources._files([tmp_path])][-1] == "lib/waivers.vlt"


def test_generator_imports_nothing_unknown() -> None:
    """Whatever the generator imports of this project is in that digest."""
    command = (
        "import sys, amxfp4, amxfp4.gen.verilog;"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('amxfp4.')))"
    )
    run = [sys.executable, "-c", command]
    imported = subprocess.run(run, capture_output=True, text=True, check=True, timeout=100).stdout
    folders = sources._folders()
    known = {str(f) for folder in folders for f in Path(folder).rglob("*.py")}
    names = [name for name, _ in sources._files(folders)]
    assert len(known) == sum(name.endswith(".py") for name in names)
    assert "export/waivers.vlt" in names
    assert set(imported.split()) <= known
    assert len(imported.split()) > 30


def test_build_wrong_verilog(empty: Path) -> None:
    """Verilog that does not compile is refused in Verilator's words, and leaves nothing."""
    made = source(UNIT)
    with pytest.raises(ToolError, match="syntax error"):
        build.build(made.text + "\nmodule", made.manifest, empty)
    assert not list(empty.glob("batch/*/dut.so"))


def test_nothing_to_check() -> None:
    """No blocks at all are an error, not a pass."""
    with pytest.raises(ValueError, match=r"words must be \[n > 0, 16\]"):
        check_quantizer(
            BatchDut(QuantizerConfig(format="nvfp4", lanes=1)), np.zeros((0, 16), np.uint16)
        )
    dut = BatchDut(UNIT)
    none = np.zeros((0, 16), np.uint8)
    with pytest.raises(ValueError, match=r"codes must be \[n > 0, 16\]"):
        check_dequantizer(dut, none, none[:, 0])
    with pytest.raises(ValueError, match="beats must be"):
        dut.run(np.zeros((0, dut.in_words), np.uint32), 0)


def test_wrong_stall() -> None:
    """A source that never offers anything is refused."""
    dut = BatchDut(UNIT)
    with pytest.raises(ValueError, match="stall_in must be"):
        dut.run(np.zeros((1, dut.in_words), np.uint32), 16, stall_in=1.0)


def test_same_seed_same_run() -> None:
    """Stalls and resets come from the seed alone."""
    dut = BatchDut(UNIT)
    beat = np.zeros((200, dut.in_words), np.uint32)

    def cycles(seed: int) -> int:
        return dut.run(beat, 3200, stall_in=0.5, stall_out=0.5, seed=seed).cycles

    assert cycles(1) == cycles(1)
    assert len({cycles(seed) for seed in range(4)}) > 1
