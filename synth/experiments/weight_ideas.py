"""The dequantizer of weights, whatever its lanes, in either of its two ways."""

from __future__ import annotations

from amxfp4.gen.components import Build
from amxfp4.rtl.weights.dequantizer import WeightDequantizer

__all__ = ["IDEAS"]


class _ByTable(WeightDequantizer):
    """All products once for a group, of which lanes choose."""

    by_table = True


class _ByElement(WeightDequantizer):
    """A multiplication in every lane."""

    by_table = False


IDEAS: dict[str, Build] = {"weights_by_table": _ByTable, "weights_by_element": _ByElement}
