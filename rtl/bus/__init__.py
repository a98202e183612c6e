"""Bus interfaces and register files: AXI4-Lite, AXI4-Stream, and a bank made from a table.

Knows ``rtl.lib`` and the table of registers; no unit.
"""
