"""From words to codes: tables of thresholds, and the choice of scales.

The quantizer cuts tensors to chunks; here one chunk becomes codes and scales. Nothing here knows
tensors, axes or factors.
"""
