"""The `engine` unit: a matrix product behind AXI4-Lite and AXI4-Stream.

`inputs` and `drain` convert streams, `tiles` holds operands, `sequencer` and `job` walk a product,
`datapath` joins these with the array, `engine` adds registers and counters.
"""
