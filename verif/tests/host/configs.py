"""Engines of every kind that the driver must tell apart."""

from __future__ import annotations

from typing import Any

__all__ = ["CONFIGS"]

CONFIGS: dict[str, dict[str, Any]] = {
    "default": {},
    "small": {"rows": 2, "cols": 2, "lanes": 8, "depth_a": 4, "depth_b": 4, "block": 16},
    "requantized": {
        "rows": 2, "cols": 4, "lanes": 16, "requantize": "amxfp4", "input": "fp32", "bytes_a": 16,
        "bytes_c": 16, "block": 16, "depth_a": 4, "depth_b": 2,
    },
    "fixed": {
        "rows": 3, "cols": 2, "lanes": 16, "acc": "fixed", "frac_bits": 12, "int_bits": 6,
        "output": "bf16", "block": 16, "format_b": "mxfp4-e4m3", "ties": "RNE", "bytes_a": 64,
        "bytes_b": 64, "bytes_c": 4, "depth_a": 2, "depth_b": 8,
    },
    "records": {
        "rows": 1, "cols": 1, "lanes": 32, "depth_a": 2, "depth_b": 2, "input": "records",
        "format_a": "mxfp4", "format_b": "nvfp4", "block": 32, "bytes_a": 4, "bytes_c": 64,
    },
    "fp16": {"input": "fp16", "acc": "fp32", "format_a": "mxfp4", "rows": 3, "cols": 5, "block": 64,
             "format_b": "amxfp4-pot-roundup"},
}  # fmt: skip
"""Configurations by name."""
