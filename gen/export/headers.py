"""The engine's register map for those who program it: a C header and a Python module."""

from __future__ import annotations

from amxfp4.params.engine import EngineConfig
from amxfp4.params.registers import CODES, MAP_VERSION, REGISTERS, Register, constants

__all__ = ["c_header", "files", "python_module"]

_PREFIX = "AMXFP4_ENGINE_"


def files(config: EngineConfig, top: str) -> dict[str, str]:
    """Both, by the names they are written under beside the module `top`."""
    return {f"{top}.h": c_header(config), f"{top}_registers.py": python_module(config)}


def _about(config: EngineConfig) -> str:
    major, minor = MAP_VERSION
    return f"Registers of the amxfp4 engine {config.digest}, map {major}.{minor}; generated."


def _is_word(register: Register) -> bool:
    return register.fields[0].width == 32


def c_header(config: EngineConfig) -> str:
    """Offsets, shifts and masks of every field, codes, and what the constants of `config` read."""
    lines = [f"/* {_about(config)} */", "#ifndef AMXFP4_ENGINE_H", "#define AMXFP4_ENGINE_H", ""]
    for register in REGISTERS:
        name = _PREFIX + register.name.upper()
        note = f" /* {register.fields[0].text} */" if _is_word(register) else ""
        lines.append(f"#define {name} 0x{register.offset:02X}u{note}")
        for field in () if _is_word(register) else register.fields:
            mask = ((1 << field.width) - 1) << field.bit
            part = f"{name}_{field.name.upper()}"
            lines.append(f"#define {part}_SHIFT {field.bit}")
            lines.append(f"#define {part}_MASK 0x{mask:08X}u /* {field.text} */")
    for kind, codes in CODES.items():
        lines.append("")
        for name, code in codes.items():
            macro = f"amxfp4_{kind}_{name}".upper().replace("-", "_")
            lines.append(f"#define {macro} {code}u")
    lines += ["", "/* What the constant registers of this engine read. */"]
    for register in REGISTERS:
        values = [
            constants(config).get((register.name, f.name), 0) << f.bit for f in register.fields
        ]
        if not register.writable and any((register.name, f.name) in constants(config)
                                         for f in register.fields):  # fmt: skip
            name = _PREFIX + register.name.upper()
            lines.append(f"#define {name}_VALUE 0x{sum(values):08X}u")
    return "\n".join([*lines, "", "#endif", ""])


def python_module(config: EngineConfig) -> str:
    """Offsets, fields and codes as dictionaries, and the configuration."""
    lines = [f'"""{_about(config)}"""', "", f"MAP_VERSION = {MAP_VERSION}", "", "REGISTERS = {"]
    lines += [f'    "{r.name}": 0x{r.offset:02X},' for r in REGISTERS]
    lines += ["}", '"""Offset of every register, by name."""', "", "FIELDS = {"]
    for register in REGISTERS:
        lines.append(f'    "{register.name}": {{')
        for field in register.fields:
            lines.append(f'        "{field.name}": ({field.bit}, {field.width}),  # {field.text}')
        lines.append("    },")
    lines += ["}", '"""Lowest bit and width of every field, by register and name."""', ""]
    lines += ["CODES = {"]
    for kind, codes in CODES.items():
        lines.append(f'    "{kind}": {{')
        lines += [f'        "{name}": {code},' for name, code in codes.items()]
        lines.append("    },")
    lines += ["}", '"""Codes of the fields that stand for a name."""', "", "CONFIG = {"]
    lines += [f'    "{name}": {value!r},' for name, value in config.to_dict().items()]
    lines += ["}", '"""Configuration of this engine."""', ""]
    return "\n".join(lines).replace("'", '"')
