"""The register map of the engine: one table.

The hardware, the C header, the driver's Python module and the tables of docs/engine.md are made
from it (`amxfp4.rtl.register_bank`, `amxfp4.gen.engine_headers`, `amxfp4.report`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from amxfp4.gen.config import ACCUMULATIONS, FORMATS, INPUTS, OUTPUTS, Ties
from amxfp4.gen.engine_config import LARGEST_MN, NONE, RECORDS, EngineConfig

__all__ = [
    "COUNTER_BITS",
    "ENGINE_ID",
    "MAP_VERSION",
    "REGISTERS",
    "Access",
    "Field",
    "Register",
    "constants",
    "enumeration",
]

ENGINE_ID = 0x414D5834
"""What the first register reads: "AMX4"."""
MAP_VERSION = (1, 0)
"""Of this table: major, minor. Whatever a driver of the same major relies on stays."""
COUNTER_BITS = 48
"""Bits of a performance counter."""

FORMAT_CODES = {name: code for code, name in enumerate(FORMATS)} | {NONE: 0xFF}
INPUT_CODES = {name: code for code, name in enumerate(INPUTS)} | {RECORDS: 0xFF}
OUTPUT_CODES = {name: code for code, name in enumerate(OUTPUTS)}
ACC_CODES = {name: code for code, name in enumerate(ACCUMULATIONS)}
TIES_CODES = {str(name): code for code, name in enumerate(Ties)}


class Access(enum.StrEnum):
    """What software can do with a field."""

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


def _bytes(access: Access, *names: tuple[str, str]) -> tuple[Field, ...]:
    """Fields of a byte each, from bit 0."""
    return tuple(
        Field(name=name, text=text, access=access, bit=8 * n, width=8)
        for n, (name, text) in enumerate(names)
    )


def _bits(access: Access, *names: tuple[str, str]) -> tuple[Field, ...]:
    """Fields of a bit each, from bit 0."""
    return tuple(
        Field(name=name, text=text, access=access, bit=n) for n, (name, text) in enumerate(names)
    )


def _word(name: str, offset: int, access: Access, text: str) -> Register:
    """Make a register that is one number."""
    field = Field(name="value", text=text, access=access, width=32)
    return Register(name=name, offset=offset, fields=(field,))


def _counter(name: str, offset: int, text: str) -> tuple[Register, Register]:
    return (
        _word(f"{name}_low", offset, Access.READ, f"{text}: bits 31 to 0"),
        _word(
            f"{name}_high", offset + 4, Access.READ,
            f"bits {COUNTER_BITS - 1} to 32, as they were when a low half was last read",
        ),
    )  # fmt: skip


_CONSTANT, _READ = Access.CONSTANT, Access.READ

REGISTERS: tuple[Register, ...] = (
    _word("id", 0x00, _CONSTANT, f'0x{ENGINE_ID:08X}, "AMX4"'),
    Register(
        name="version", offset=0x04,
        fields=(
            Field(name="minor", text="of this map", access=_CONSTANT, bit=0, width=16),
            Field(name="major", text="of this map", access=_CONSTANT, bit=16, width=16),
        ),
    ),
    _word("digest_low", 0x08, _CONSTANT, "the manifest's digest, its last 8 digits"),
    _word("digest_high", 0x0C, _CONSTANT, "the manifest's digest, its first 8 digits"),
    Register(
        name="shape", offset=0x10,
        fields=_bytes(
            _CONSTANT, ("rows", "of the array"), ("cols", "of the array"),
            ("lanes", "elements per cycle of a processing element"), ("block", "elements, K"),
        ),
    ),
    Register(
        name="formats", offset=0x14,
        fields=_bytes(
            _CONSTANT, ("format_a", "code of a block format"), ("format_b", "the same"),
            ("requantize", "the same, or none"), ("input", "code of the words of A, or records"),
        ),
    ),
    Register(
        name="numerics", offset=0x18,
        fields=(
            Field(name="acc", text="code of the accumulation", access=_CONSTANT, width=4),
            Field(name="output", text="code of the words of C", access=_CONSTANT, bit=4, width=4),
            Field(name="ties", text="code of the rule", access=_CONSTANT, bit=8, width=8),
            Field(name="frac_bits", text="0 unless fixed", access=_CONSTANT, bit=16, width=8),
            Field(name="int_bits", text="0 unless fixed", access=_CONSTANT, bit=24, width=8),
        ),
    ),
    Register(
        name="depths", offset=0x1C,
        fields=(
            Field(name="depth_a", text="blocks", access=_CONSTANT, width=16),
            Field(name="depth_b", text="blocks", access=_CONSTANT, bit=16, width=16),
        ),
    ),
    Register(
        name="streams", offset=0x20,
        fields=_bytes(
            _CONSTANT, ("bytes_a", "of TDATA"), ("bytes_b", "of TDATA"), ("bytes_c", "of TDATA"),
            ("counter_bits", "of a performance counter"),
        ),
    ),
    _word("max_m", 0x24, _CONSTANT, "largest M"),
    _word("max_n", 0x28, _CONSTANT, "largest N"),
    _word("max_k", 0x2C, _CONSTANT, "largest K"),
    _word("m", 0x40, Access.WRITE, "rows of A and C"),
    _word("n", 0x44, Access.WRITE, "columns of B and C"),
    _word("k", 0x48, Access.WRITE, "columns of A, rows of B"),
    Register(
        name="job", offset=0x4C,
        fields=_bits(
            Access.WRITE,
            ("keep_b", "B is sent once and stays in the memory"),
            ("reuse_b", "B is not sent: the one that the job before kept serves again"),
        ),
    ),
    Register(
        name="control", offset=0x50,
        fields=_bits(
            Access.PULSE,
            ("start", "start a job"),
            ("abort", "end the job in flight as if it had failed"),
            ("soft_reset", "forget everything in flight, and be idle"),
        ),
    ),
    Register(
        name="status", offset=0x54,
        fields=_bits(
            _READ,
            ("idle", "start will be accepted"),
            ("busy", "a job is in flight"),
            ("done", "the last job ended well; cleared by start and soft reset"),
            ("failed", "the last job ended early; inputs are swallowed until soft reset"),
            ("a_open", "the last beat taken from A had no TLAST"),
            ("b_open", "the last beat taken from B had no TLAST"),
            ("c_waiting", "a beat of C waits to be taken"),
        ),
    ),
    Register(
        name="interrupt_status", offset=0x58,
        fields=_bits(
            Access.CLEAR,
            ("done", "a job ended well"),
            ("error", "one of the errors, the accumulator's flags not counted"),
            ("flags", "one of the accumulator's flags"),
        ),
    ),
    Register(
        name="interrupt_enable", offset=0x5C,
        fields=_bits(
            Access.WRITE, ("done", "raise `irq`"), ("error", "raise `irq`"),
            ("flags", "raise `irq`"),
        ),
    ),
    Register(
        name="error", offset=0x60,
        fields=_bits(
            Access.CLEAR,
            ("bad_dimension", "start: M, N or K is 0 or too large, or a B to keep does not fit"),
            ("no_kept_b", "start: there is no kept B of this N and K to reuse"),
            ("overrun", "start while not idle; the start is ignored"),
            ("aborted", "the job was aborted"),
            ("a_early", "TLAST of A before the last byte of its last word"),
            ("a_late", "no TLAST with the last byte of A, or bytes behind it"),
            ("a_keep", "TKEEP of A is 0, has gaps, or is partial without TLAST"),
            ("b_early", "TLAST of B before the last byte of a pass"),
            ("b_late", "no TLAST with the last byte of a pass of B, or bytes behind it"),
            ("b_keep", "TKEEP of B is 0, has gaps, or is partial without TLAST"),
            ("acc_inexact", "a valid element of C raised its flag inexact (fixed mode)"),
            ("acc_overflow", "a valid element of C raised its flag overflow (fixed mode)"),
        ),
    ),
    *_counter("cycles", 0x80, "cycles from start to done"),
    *_counter("busy", 0x88, "cycles of work of the array: steps times cycles per step"),
    *_counter("stall_a", 0x90, "cycles in which the array waited for A"),
    *_counter("stall_b", 0x98, "cycles in which the array waited for B"),
    *_counter("stall_c", 0xA0, "cycles in which the array waited for C to leave"),
)  # fmt: skip
"""Every register, by increasing offset."""


def enumeration(field: str) -> dict[str, int] | None:
    """Codes of a constant field that stands for a name; ``None`` for one that is a number."""
    return {
        "format_a": FORMAT_CODES, "format_b": FORMAT_CODES, "requantize": FORMAT_CODES,
        "input": INPUT_CODES, "output": OUTPUT_CODES, "acc": ACC_CODES, "ties": TIES_CODES,
    }.get(field)  # fmt: skip


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
