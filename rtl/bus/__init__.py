"""Bus interfaces and register files: AXI4-Lite and the bank that is generated from a table.

Knows ``rtl.lib`` and the table of registers; no unit.
"""
