"""Verilog to a shared library, once per content: Verilator, one compiler call, a locked cache.

Verilator's own Makefile is not used. It compiles the runtime again for every design; here the
runtime is one library of the working tree, its headers are compiled once, and a unit is one
translation unit beside them.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amxfp4.gen.export.fusesoc import WAIVERS
from amxfp4.util import process
from amxfp4.util.console import working
from amxfp4.util.files import digest, once
from amxfp4.verif.sim import toolchain

__all__ = ["CACHE", "body", "build", "port_width", "verilate"]

CACHE = Path("build")
"""Where builds are kept, below the working directory; removing it is always safe."""

_HARNESS = Path(__file__).parent / "batch" / "harness.cpp"
_RUNTIME_SOURCES = ("verilated.cpp", "verilated_threads.cpp")
_HEADERS = '#include <cstdint>\n#include <cstring>\n#include <memory>\n#include "verilated.h"\n'
_COMPILE = ["-std=gnu++17", "-fPIC", "-O1", "-fno-strict-aliasing", "-w", "-pthread"]
_DEFINES = ["-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE=0"]
_VERILATE = ["--cc", "-Wall", "-O3", "--noassert", "--x-assign", "fast", "--x-initial", "fast"]
# Modules stay functions of their own: half the C++, half the compiler's time, the same speed. A
# netlist's cells are too small for that.
_APART = ["-fno-inline"]


def body(text: str) -> str:
    """Verilog without the comments it begins with, which name the configuration.

    Configurations that are the same hardware differ in nothing else, and share a build.
    """
    return re.sub(r"\A(?://[^\n]*\n)+", "", text)


def port_width(manifest: Mapping[str, Any], name: str) -> int:
    """Width in bits of the port `name` of a manifest.

    Raises
    ------
    ValueError
        The manifest has no such port.
    """
    for port in manifest["ports"]:
        if port["name"] == name:
            return int(port["width"])
    raise ValueError(f"manifest must list port {name!r}, not only {manifest['ports']!r}")


def _port_header(manifest: Mapping[str, Any]) -> str:
    lines = ["#pragma once", "// Payload sizes in words of 32 bits, from the manifest."]
    for constant, port in (("IN_WORDS", "i__payload"), ("OUT_WORDS", "o__payload")):
        words = -(-port_width(manifest, port) // 32)
        lines.append(f"constexpr unsigned {constant} = {words};")
    return "\n".join(lines) + "\n"


def _of_tools(tools: toolchain.Toolchain, options: list[str]) -> str:
    """Digest of the tools and of how the compiler is called."""
    return digest(tools.version, str(tools.root), *tools.cxx, *options, *_DEFINES)


def _plain(options: list[str]) -> list[str]:
    """Options of a compiler that does not optimise."""
    return [option.replace("-O1", "-O0") for option in options]


def _runtime(tools: toolchain.Toolchain, cache: Path) -> Path:
    key = _of_tools(tools, _plain(_COMPILE))
    library = (cache / "runtime" / f"libverilated-{key}.so").resolve()
    include = tools.root / "include"
    how = tools.how(cache.parent / "ccache")

    def make(fresh: Path) -> None:
        objects = []
        for source in _RUNTIME_SOURCES:
            objects.append(f"{fresh}.{source}.o")
            # Little of it runs in a cycle, and it is compiled in half the time without.
            command = [*tools.compiler, *_plain(_COMPILE), *_DEFINES, f"-I{include}", "-c"]
            process.run([*command, str(include / source), "-o", objects[-1]], **how)
        # The name it will be found under, or the loader would look into the scratch folder.
        link = [*tools.cxx, "-shared", "-pthread", f"-Wl,-soname,{library}"]
        process.run([*link, *objects, "-o", str(fresh)], **how)

    once(library, make)
    return library


def _headers(tools: toolchain.Toolchain, cache: Path, options: list[str]) -> Path:
    """Headers that every model reads, with their compiled form beside them.

    Reading them takes half of what compiling a small unit takes. A compiler that cannot use the
    compiled form (it was made with other options, say) reads the headers themselves.
    """
    key = digest(_of_tools(tools, options), _HEADERS)
    folder = (cache / "runtime" / f"headers-{key}").resolve()

    def make(fresh: Path) -> None:
        fresh.mkdir()
        (fresh / "all.h").write_text(_HEADERS)
        command = [*tools.cxx, *options, *_DEFINES, f"-I{tools.root / 'include'}"]
        process.run(
            [*command, "-x", "c++-header", "all.h", "-o", "all.h.gch"],
            cwd=fresh, **tools.how(cache.parent / "ccache"),
        )  # fmt: skip

    once(folder, make)
    return folder / "all.h"


def verilate(text: str, top: str, folder: Path, *, cache: Path = CACHE, apart: bool = True) -> Path:
    """Turn Verilog into C++; any warning is an error but for those that ``waivers.vlt`` names.

    Parameters
    ----------
    text
        Verilog.
    top
        Its top module.
    folder
        Takes the Verilog and the C++.
    cache
        Folder of builds; only the compiler's environment comes from there.
    apart
        Whether modules become functions of their own.

    Returns
    -------
    Folder of the C++, whose class is ``Vdut``.

    Raises
    ------
    ToolError
        A warning or an error, in Verilator's words; or Verilator is missing.
    """
    tools = toolchain.find()
    verilog, model = folder / f"{top}.v", folder / "model"
    verilog.write_text(text)
    command = [str(tools.verilator), *_VERILATE, *(_APART if apart else [])]
    command += ["--prefix", "Vdut", "--top-module", top]
    process.run(
        [*command, "-Mdir", str(model), str(WAIVERS), str(verilog)],
        **tools.how(cache / "ccache"),
    )
    return model


def _compile(
    tools: toolchain.Toolchain,
    scratch: Path,
    manifest: Mapping[str, Any],
    text: str,
    cache: Path,
    options: list[str],
    harness: Path,
    header: str,
    apart: bool,
) -> None:
    model = verilate(text, str(manifest["top"]), scratch, cache=cache.parent, apart=apart)
    (scratch / "ports.h").write_text(header)
    (scratch / "manifest.json").write_text(json.dumps(manifest, indent=2))
    how = tools.how(cache.parent / "ccache")
    # One translation unit: the headers are read once, and the optimiser sees the harness.
    sources = [*sorted(model.glob("*.cpp")), harness.resolve()]
    unity = scratch / "unity.cpp"
    unity.write_text("".join(f'#include "{s.name}"\n' for s in sources))
    runtime = _runtime(tools, cache)
    folders = (model, harness.resolve().parent, scratch, tools.root / "include")
    includes = [f"-I{p}" for p in folders]
    headers = ["-include", str(_headers(tools, cache, options))]
    # Not behind the compiler cache: what it could know is known by the name of the folder.
    process.run(
        [
            *tools.cxx, *options, *_DEFINES, *headers, *includes,
            "-c", "unity.cpp", "-o", "unity.o",
        ],
        cwd=scratch, **how,
    )  # fmt: skip
    process.run(
        [*tools.cxx, "-shared", "-pthread", "unity.o", str(runtime), "-o", "dut.so"],
        cwd=scratch, **how,
    )  # fmt: skip
    for leftover in ("unity.o", "unity.cpp", "ports.h"):
        (scratch / leftover).unlink()
    shutil.rmtree(model)


def build(
    text: str,
    manifest: Mapping[str, Any],
    cache: Path = CACHE,
    *,
    optimize: bool = True,
    harness: Path | None = None,
) -> tuple[Path, float]:
    """Compile Verilog and a harness to a shared library, or find it built.

    The folder's name is a digest of everything that enters: Verilog (but for the comments at its
    head), ports, harness, tool versions. It appears by one rename, so an interrupted build leaves
    nothing behind that a later one would take for finished, and a lock lets test processes share
    one build. Any of Verilator's warnings is an error, but for those that ``waivers.vlt`` names.

    Parameters
    ----------
    text
        Verilog, with the unit's module on top.
    manifest
        Its manifest: ``top`` and ``ports`` are read.
    cache
        Folder of all builds.
    optimize
        Whether the C++ compiler may take its time, which pays for generated units. Netlists run
        fast enough without, and compile ten times as fast.
    harness
        C++ around the model; by default that of batches, for units with one stream on either side.

    Returns
    -------
    library : Path
        The shared library.
    seconds : float
        Wall clock time of this build; 0 when there was nothing to do.

    Raises
    ------
    ToolError
        A tool is missing, or Verilator or the compiler stopped with an error.
    """
    tools = toolchain.find()
    text = body(text)
    options = _COMPILE if optimize else _plain(_COMPILE)
    header = _port_header(manifest) if harness is None else ""
    harness = harness or _HARNESS
    key = digest(
        text, str(manifest["top"]), header, harness.read_bytes(),
        WAIVERS.read_bytes(), tools.version, str(tools.root), *tools.cxx,
        *_VERILATE, *_APART, *options, *_DEFINES, _HEADERS,
    )  # fmt: skip
    folder = (cache / "batch" / f"{manifest['unit']}-{key}").resolve()
    start = time.monotonic()

    def make(fresh: Path) -> None:
        fresh.mkdir()
        with working(f"compiling {manifest['unit']}, once for {cache}"):
            _compile(
                tools, fresh, manifest, text, cache / "batch", options, harness, header, optimize
            )

    made = once(folder, make)
    return folder / "dut.so", time.monotonic() - start if made else 0.0
