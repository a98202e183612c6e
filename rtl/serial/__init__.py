"""The `engine_uart` unit: the engine behind two wires.

`uart` moves bytes, `frames` checks packets, `bridge` turns them into bus transfers, `engine_uart`
joins them with the engine.
"""
