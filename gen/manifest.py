"""What a reader of a generated file needs to know about it, as JSON beside it."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from amxfp4.params.config import UnitConfig

__all__ = ["TOOLS", "make_manifest"]

TOOLS = ("amxfp4", "amaranth", "pyosys")
"""Distributions whose versions decide the generated text."""


def make_manifest(
    config: UnitConfig,
    ports: list[dict[str, Any]],
    *,
    top: str,
    latency: int,
    cycles_per_block: int,
) -> dict[str, Any]:
    """Describe one generated unit.

    Parameters
    ----------
    config
        The configuration it was generated from.
    ports
        ``{"name", "direction", "width"}`` of every port: clock and reset, then the streams.
    top
        Name of the top module.
    latency
        Cycles from the transfer of a block's last input beat to the first cycle in which an
        output beat of that block is valid, when nothing stalls.
    cycles_per_block
        Cycles from block to block at full speed.
    """
    return {
        "unit": config.unit,
        "top": top,
        "digest": config.digest,
        "config": config.to_dict(),
        "ports": ports,
        "latency": latency,
        "cycles_per_block": cycles_per_block,
        "tools": {name: metadata.version(name) for name in TOOLS},
    }
