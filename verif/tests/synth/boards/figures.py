"""Figures of a build that never was, as nextpnr and `amxfp4 fpga build` write them."""

from __future__ import annotations

from amxfp4.synth.boards.build import Result, Use

__all__ = ["REPORT", "result"]

# As nextpnr 0.11 writes it, without paths.
REPORT = {
    "fmax": {
        "$glbnet$clk": {"achieved": 61.25, "constraint": 25.0},
        "slow": {"achieved": 30.5, "constraint": 20.0},
    },
    "utilization": {
        "DP16KD": {"available": 208, "used": 7},
        "MULT18X18D": {"available": 156, "used": 0},
        "TRELLIS_COMB": {"available": 83640, "used": 12345},
        "TRELLIS_FF": {"available": 83640, "used": 5001},
        "TRELLIS_IO": {"available": 365, "used": 11},
        "TRELLIS_RAMW": {"available": 10455, "used": 48},
    },
}


def result(**changes) -> Result:
    """Make figures."""
    fields = {
        "board": "ulx3s", "device": "85F", "digest": "0" * 16, "seed": 1, "clock_mhz": 25.0,
        "fmax_mhz": 30.0, "cells": {"LUT": Use(10, 100), "DSP": Use(0, 0)}, "seconds": 1.5,
    }  # fmt: skip
    return Result(**{**fields, **changes})
