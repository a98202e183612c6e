"""Products that the driver's tests multiply, and what golden makes of them."""

import numpy as np

from amxfp4 import golden
from amxfp4.golden import Blocks
from amxfp4.golden.engine import expected, operand_a, operand_b

__all__ = ["equal", "operands", "wanted"]


def operands(rng, m, n, k):
    """Draw A of [m, k] and B of [k, n]."""
    return (
        rng.standard_normal((m, k)).astype(np.float32),
        rng.standard_normal((k, n)).astype(np.float32),
    )


def wanted(config, a, b):
    """Give golden's C and flags."""
    return expected(config, operand_a(config, a)[0], operand_b(config, b))


def equal(got, want):
    """Compare words, or records, bit for bit."""
    if isinstance(want, Blocks):
        assert (got.format, got.shape, got.axis) == (want.format, want.shape, want.axis)
        got, want = golden.pack(got), golden.pack(want)
    np.testing.assert_array_equal(got, want)
