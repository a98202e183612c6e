"""The register map of the engine: one table.

The hardware, the C header, the driver's Python module and the tables of docs/units/engine.md are
made from it (`amxfp4.rtl.bus.register_bank`, `amxfp4.gen.export.headers`, `amxfp4.dev.documents`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from amxfp4.params.dot import ACCUMULATIONS
from amxfp4.params.engine import LARGEST_MN, NONE, RECORDS, EngineConfig
from amxfp4.params.formats import FORMATS, INPUTS, OUTPUTS, Ties

__all__ = [
    "ADDRESS_BITS",
    "CODES",
    "COUNTER_BITS",
    "ENGINE_ID",
    "MAP_VERSION",
    "OFFSETS",
    "REGISTERS",
    "Access",
    "Field",
    "Register",
    "constants",
    "enumeration",
    "fields_of",
    "mask",
]

ENGINE_ID = 0x414D5834
"""What the first register reads: "AMX4"."""
MAP_VERSION = (1, 0)
"""Of this table: major, minor. A driver works with every map of its major version."""
ADDRESS_BITS = 12
"""Of the control bus: a page of 4 KiB."""
COUNTER_BITS = 48
"""Bits of a performance counter."""

# Codes never change: new entries go to the ends of these tables.
CODES: dict[str, dict[str, int]] = {
    "format": {name: code for code, name in enumerate(FORMATS)} | {NONE: 0xFF},
    "input": {name: code for code, name in enumerate(INPUTS)} | {RECORDS: 0xFF},
    "output": {name: code for code, name in enumerate(OUTPUTS)},
    "acc": {name: code for code, name in enumerate(ACCUMULATIONS)},
    "ties": {str(name): code for code, name in enumerate(Ties)},
}
"""Codes of names, by what is named."""


class Access(enum.StrEnum):
    """How software may access a field."""

    CONSTANT = "constant"
    """Read a property of the configuration."""
    READ = "read"
    """Read what the hardware says."""
    WRITE = "read, write"
    """Write, and read what was written."""
    PULSE = "write 1"
    """Write 1 to make something happen; reads 0."""
    CLEAR = "read, write 1 to clear"
    """Read what the hardware has set, and clear it by writing 1; setting wins over clearing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """Some bits of a register."""

    name: str
    text: str
    access: Access
    bit: int = 0
    width: int = 1
    reset: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """One 32-bit word of the map. Bits in no field read 0."""

    name: str
    offset: int
    fields: tuple[Field, ...]

    @property
    def writable(self) -> bool:
        """Whether writing is anything but an error."""
        return any(f.access not in (Access.CONSTANT, Access.READ) for f in self.fields)


def _register(name: str, offset: int, access: Access, *fields: tuple[str, int, str]) -> Register:
    """Make a register of fields (name, bits, meaning), one above the other from bit 0."""
    made, bit = [], 0
    for field, width, text in fields:
        made.append(Field(name=field, text=text, access=access, bit=bit, width=width))
        bit += width
    return Register(name=name, offset=offset, fields=tuple(made))


def _word(name: str, offset: int, access: Access, text: str) -> Register:
    """Make a register that is one number."""
    return _register(name, offset, access, ("value", 32, text))


def _counter(name: str, offset: int, text: str) -> tuple[Register, Register]:
    upper = f"bits {COUNTER_BITS - 1} to 32, as they were when a low half was last read"
    return (
        _word(f"{name}_low", offset, Access.READ, f"{text}: bits 31 to 0"),
        _word(f"{name}_high", offset + 4, Access.READ, upper),
    )


_CONSTANT, _READ, _WRITE = Access.CONSTANT, Access.READ, Access.WRITE

REGISTERS: tuple[Register, ...] = (
    _word("id", 0x00, _CONSTANT, f'0x{ENGINE_ID:08X}, "AMX4"'),
    _register(
        "version", 0x04, _CONSTANT,
        ("minor", 16, "second number of this map's version"),
        ("major", 16, "first number of this map's version"),
    ),
    _word("digest_low", 0x08, _CONSTANT, "the manifest's digest, its last 8 digits"),
    _word("digest_high", 0x0C, _CONSTANT, "the manifest's digest, its first 8 digits"),
    _register(
        "shape", 0x10, _CONSTANT,
        ("rows", 8, "rows of the array"),
        ("cols", 8, "columns of the array"),
        ("lanes", 8, "elements per cycle of a processing element"),
        ("block", 8, "elements of a block"),
    ),
    _register(
        "formats", 0x14, _CONSTANT,
        ("format_a", 8, "code of A's block format"),
        ("format_b", 8, "code of B's block format"),
        ("requantize", 8, "code of C's block format, or none"),
        ("input", 8, "code of A's words, or records"),
    ),
    _register(
        "numerics", 0x18, _CONSTANT,
        ("acc", 4, "code of the accumulation"),
        ("output", 4, "code of C's words"),
        ("ties", 8, "code of the quantizers' ties"),
        ("frac_bits", 8, "of the accumulator; 0 unless fixed"),
        ("int_bits", 8, "of the accumulator; 0 unless fixed"),
    ),
    _register(
        "depths", 0x1C, _CONSTANT,
        ("depth_a", 16, "blocks of a row in half of A's memory"),
        ("depth_b", 16, "blocks of a column in half of B's memory"),
    ),
    _register(
        "streams", 0x20, _CONSTANT,
        ("bytes_a", 8, "bytes of a beat of A"),
        ("bytes_b", 8, "bytes of a beat of B"),
        ("bytes_c", 8, "bytes of a beat of C"),
        ("counter_bits", 8, "bits of a performance counter"),
    ),
    _word("max_m", 0x24, _CONSTANT, "largest M"),
    _word("max_n", 0x28, _CONSTANT, "largest N"),
    _word("max_k", 0x2C, _CONSTANT, "largest K"),
    _word("m", 0x40, _WRITE, "rows of A and C"),
    _word("n", 0x44, _WRITE, "columns of B and C"),
    _word("k", 0x48, _WRITE, "columns of A, rows of B"),
    _register(
        "job", 0x4C, _WRITE,
        ("keep_b", 1, "B is sent once and stays in the memory"),
        ("reuse_b", 1, "B is not sent: the one that was kept serves again"),
    ),
    _register(
        "control", 0x50, Access.PULSE,
        ("start", 1, "start a job"),
        ("abort", 1, "end the job in flight as if it had failed"),
        ("soft_reset", 1, "forget everything in flight, and be idle"),
    ),
    _register(
        "status", 0x54, _READ,
        ("idle", 1, "start will be accepted"),
        ("busy", 1, "a job is in flight"),
        ("done", 1, "the last job ended well; cleared by start and soft reset"),
        ("failed", 1, "the last job failed; inputs are discarded until soft reset"),
        ("a_open", 1, "the last beat taken from A had no TLAST"),
        ("b_open", 1, "the last beat taken from B had no TLAST"),
        ("c_waiting", 1, "a beat of C waits to be taken"),
    ),
    _register(
        "interrupt_status", 0x58, Access.CLEAR,
        ("done", 1, "a job ended well"),
        ("error", 1, "one of the errors, the accumulator's flags not counted"),
        ("flags", 1, "one of the accumulator's flags"),
    ),
    _register(
        "interrupt_enable", 0x5C, _WRITE,
        ("done", 1, "let `done` raise `irq`"),
        ("error", 1, "let `error` raise `irq`"),
        ("flags", 1, "let `flags` raise `irq`"),
    ),
    _register(
        "error", 0x60, Access.CLEAR,
        ("bad_dimension", 1, "start: M, N or K is 0 or too large, or a B to keep does not fit"),
        ("no_kept_b", 1, "start: there is no kept B of this N and K to reuse"),
        ("overrun", 1, "start while not idle; the start is ignored"),
        ("aborted", 1, "the job was aborted"),
        ("a_early", 1, "TLAST of A before the last byte of its last word"),
        ("a_late", 1, "no TLAST with the last byte of A, or bytes behind it"),
        ("a_keep", 1, "TKEEP of A is 0, has gaps, or is partial without TLAST"),
        ("b_early", 1, "TLAST of B before the last byte of a pass"),
        ("b_late", 1, "no TLAST with the last byte of a pass of B, or bytes behind it"),
        ("b_keep", 1, "TKEEP of B is 0, has gaps, or is partial without TLAST"),
        ("acc_inexact", 1, "an element of C raised its flag inexact (fixed mode)"),
        ("acc_overflow", 1, "an element of C raised its flag overflow (fixed mode)"),
    ),
    *_counter("cycles", 0x80, "cycles from start to done"),
    *_counter("busy", 0x88, "cycles of work of the array: steps times cycles per step"),
    *_counter("stall_a", 0x90, "cycles in which the array waited for A"),
    *_counter("stall_b", 0x98, "cycles in which the array waited for B"),
    *_counter("stall_c", 0xA0, "cycles in which the array waited for C to leave"),
)  # fmt: skip
"""Every register, by increasing offset."""
OFFSETS = {register.name: register.offset for register in REGISTERS}
"""Offset of every register, by name."""
_FIELDS = {register.name: {f.name: f for f in register.fields} for register in REGISTERS}


def mask(register: str, *names: str) -> int:
    """Value of a register in which these fields of one bit are 1."""
    return sum(1 << _FIELDS[register][name].bit for name in names)


def fields_of(register: str, value: int) -> dict[str, int]:
    """Take the value of a register apart, by field."""
    return {name: value >> f.bit & ((1 << f.width) - 1) for name, f in _FIELDS[register].items()}


def enumeration(field: str) -> dict[str, int] | None:
    """Codes of a constant field that stands for a name; ``None`` for one that is a number."""
    named = {"format_a": "format", "format_b": "format", "requantize": "format"}
    return CODES.get(named.get(field, field))


def constants(config: EngineConfig) -> dict[tuple[str, str], int]:
    """Values of the constant fields of one engine, by register and field."""
    special = {
        ("id", "value"): ENGINE_ID,
        ("version", "major"): MAP_VERSION[0],
        ("version", "minor"): MAP_VERSION[1],
        ("digest_low", "value"): int(config.digest[8:], 16),
        ("digest_high", "value"): int(config.digest[:8], 16),
        ("streams", "counter_bits"): COUNTER_BITS,
        ("max_m", "value"): LARGEST_MN,
        ("max_n", "value"): LARGEST_MN,
        ("max_k", "value"): config.largest_k,
    }
    found = {}
    for register in REGISTERS:
        for field in register.fields:
            if field.access is Access.CONSTANT:
                place = (register.name, field.name)
                if place in special:
                    found[place] = special[place]
                    continue
                value = getattr(config, field.name)
                codes = enumeration(field.name)
                # What a mode does not have (frac_bits outside fixed) reads 0.
                found[place] = codes[value] if codes else value or 0
    return found
