"""The constant registers of an engine, as a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amxfp4.host.errors import EngineError
from amxfp4.host.link.transport import Transport
from amxfp4.params.engine import EngineConfig
from amxfp4.params.registers import (
    CODES,
    ENGINE_ID,
    MAP_VERSION,
    REGISTERS,
    Access,
    enumeration,
    fields_of,
)

__all__ = ["CONSTANTS", "Identity", "identify"]

CONSTANTS = [r for r in REGISTERS if r.fields[0].access is Access.CONSTANT]
"""The registers that describe the engine, without gaps from offset 0."""

_NUMBERS = ("rows", "cols", "lanes", "block", "depth_a", "depth_b", "bytes_a", "bytes_b", "bytes_c")
_NAMES = ("format_a", "format_b", "requantize", "input", "acc", "output", "ties")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """An engine as its constant registers describe it.

    `config` is right in everything that results and streams depend on. What affects neither, as
    pipeline registers, is not in the registers and has its default.
    """

    config: EngineConfig
    version: tuple[int, int]
    digest: str
    """Of the whole configuration, as in the manifest beside the Verilog."""
    max_m: int
    max_n: int
    max_k: int
    counter_bits: int


def identify(transport: Transport) -> Identity:
    """Read the constant registers, and tell the transport the widths of the streams.

    Raises
    ------
    EngineError
        It is not an engine, its register map has another major version, or a register is invalid.
    """
    first = transport.read_registers(0, 2)
    if first[0] != ENGINE_ID:
        raise EngineError(
            f"register id must read 0x{ENGINE_ID:08X}, not 0x{first[0]:08X}: there is no engine "
            f"behind {transport.name}, or its bus does not work"
        )
    version = fields_of("version", first[1])
    if version["major"] != MAP_VERSION[0]:
        raise EngineError(
            f"the engine's register map must be of version {MAP_VERSION[0]}.x, not "
            f"{version['major']}.{version['minor']}: use the program that it came with"
        )
    raw = first + transport.read_registers(8, len(CONSTANTS) - 2)
    read: dict[str, int] = {}
    for register, value in zip(CONSTANTS, raw, strict=True):
        for name, number in fields_of(register.name, value).items():
            read[register.name if name == "value" else name] = number
    fields: dict[str, Any] = {name: read[name] for name in _NUMBERS}
    for name in _NAMES:
        codes = {code: text for text, code in (enumeration(name) or {}).items()}
        if read[name] not in codes:
            raise EngineError(
                f"register field {name} must be one of {', '.join(map(str, codes))}, not "
                f"{read[name]}: this program is older than the engine, or the bus does not work"
            )
        fields[name] = codes[read[name]]
    if read["acc"] == CODES["acc"]["fixed"]:
        fields |= {"frac_bits": read["frac_bits"], "int_bits": read["int_bits"]}
    try:
        config = EngineConfig(**fields)
    except (TypeError, ValueError) as error:
        raise EngineError(
            f"the engine's registers must describe a configuration: {error}; the bus does not "
            "work, or the engine is of another kind"
        ) from error
    transport.widths(config.bytes_a, config.bytes_b, config.bytes_c)
    return Identity(
        config=config,
        version=(version["major"], version["minor"]),
        digest=f"{read['digest_high']:08x}{read['digest_low']:08x}",
        max_m=read["max_m"], max_n=read["max_n"], max_k=read["max_k"],
        counter_bits=read["counter_bits"],
    )  # fmt: skip
