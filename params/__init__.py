"""The parameters that golden model, hardware and tests share, and nothing else.

Formats, one configuration a unit, the engine's registers and the serial protocol, as data: how a
code is decoded, rounded or chosen is written twice, in ``golden/`` and in ``rtl/``.
This package imports the standard library only; everything else may import it.
"""
