"""The golden model against exact fractions, ml_dtypes and reference vectors; no hardware."""
