"""The engine's register map: a table without overlaps, and what is made of it."""

import re
import shutil
import subprocess

import pytest

from amxfp4.gen.export import headers
from amxfp4.params.dot import ACCUMULATIONS
from amxfp4.params.engine import EngineConfig
from amxfp4.params.formats import FORMATS, INPUTS, OUTPUTS, Ties
from amxfp4.params.registers import CODES, ENGINE_ID, REGISTERS, Access, constants

CONFIG = EngineConfig(
    rows=3, cols=5, lanes=8, block=64, acc="fixed", frac_bits=17, input="records",
    depth_a=4096, bytes_c=64, format_b="mxfp4-e4m3", output="bf16", ties="RNE",
)  # fmt: skip


def test_offsets_are_words_in_order():
    offsets = [register.offset for register in REGISTERS]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 and offset < 1 << 12 for offset in offsets)
    assert len({register.name for register in REGISTERS}) == len(REGISTERS)


@pytest.mark.parametrize("register", REGISTERS, ids=lambda r: r.name)
def test_fields_do_not_overlap(register):
    bits = [bit for f in register.fields for bit in range(f.bit, f.bit + f.width)]
    assert len(set(bits)) == len(bits)
    assert max(bits) < 32
    assert len({f.name for f in register.fields}) == len(register.fields)
    # The hardware enables what can be written by bytes.
    for f in register.fields:
        if f.access is Access.WRITE:
            assert f.bit % 8 == 0 or f.bit % 8 + f.width <= 8


def test_constants():
    found = constants(CONFIG)
    assert found["id", "value"] == ENGINE_ID == int.from_bytes(b"AMX4", "big")
    digest = found["digest_high", "value"] << 32 | found["digest_low", "value"]
    assert f"{digest:016x}" == CONFIG.digest
    shape = [found["shape", name] for name in ("rows", "cols", "lanes", "block")]
    assert shape == [3, 5, 8, 64]
    assert found["formats", "input"] == 0xFF
    assert found["formats", "requantize"] == 0xFF
    assert found["formats", "format_b"] == list(FORMATS).index("mxfp4-e4m3")
    assert (found["numerics", "frac_bits"], found["numerics", "int_bits"]) == (17, 16)
    assert (found["depths", "depth_a"], found["depths", "depth_b"]) == (4096, 64)
    assert found["max_k", "value"] == 64 * 64
    fields = {(r.name, f.name): f for r in REGISTERS for f in r.fields}
    for place, value in found.items():
        assert fields[place].access is Access.CONSTANT
        assert 0 <= value < 1 << fields[place].width
    assert constants(EngineConfig())["numerics", "frac_bits"] == 0


def test_codes_name_everything():
    """Whatever a configuration can be has a code, and keeps it."""
    assert set(CODES["format"]) == {*FORMATS, "none"}
    assert set(CODES["input"]) == {*INPUTS, "records"}
    assert set(CODES["output"]) == set(OUTPUTS)
    assert set(CODES["acc"]) == set(ACCUMULATIONS)
    assert set(CODES["ties"]) == set(map(str, Ties))
    assert all(len(set(codes.values())) == len(codes) for codes in CODES.values())
    assert CODES["format"]["amxfp4"] == 0
    assert CODES["format"]["nvfp4"] == 8


def test_python_module_is_the_table():
    namespace = {}
    exec(headers.python_module(CONFIG), namespace)
    assert namespace["REGISTERS"] == {r.name: r.offset for r in REGISTERS}
    assert namespace["FIELDS"] == {
        r.name: {f.name: (f.bit, f.width) for f in r.fields} for r in REGISTERS
    }
    assert namespace["CODES"] == CODES
    assert EngineConfig.from_dict(namespace["CONFIG"]) == CONFIG


def test_c_header_is_the_table():
    text = headers.c_header(CONFIG)
    defined = dict(re.findall(r"^#define (\w+) (\w+)", text, re.M))
    for register in REGISTERS:
        name = f"AMXFP4_ENGINE_{register.name.upper()}"
        assert int(defined[name].rstrip("u"), 16) == register.offset
        for f in register.fields:
            if f.width < 32:
                part = f"{name}_{f.name.upper()}"
                assert int(defined[f"{part}_SHIFT"]) == f.bit
                mask = int(defined[f"{part}_MASK"].rstrip("u"), 16)
                assert mask == ((1 << f.width) - 1) << f.bit
    assert defined["AMXFP4_FORMAT_NONE"] == "255u"
    assert defined["AMXFP4_ENGINE_MAX_K_VALUE"] == "0x00001000u"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no C compiler")
def test_c_header_compiles(tmp_path):
    (tmp_path / "engine.h").write_text(headers.c_header(CONFIG))
    (tmp_path / "use.c").write_text(
        '#include "engine.h"\n#include "engine.h"\n'
        "int f(int x) { return x & AMXFP4_ENGINE_STATUS_IDLE_MASK; }\n"
    )
    command = ["gcc", "-std=c99", "-Wall", "-Werror", "-pedantic", "-fsyntax-only"]
    subprocess.run([*command, str(tmp_path / "use.c")], check=True)
