"""Files that stand beside generated Verilog and let it drop into other flows.

FuseSoC core, file list and lint waivers; a block-design wrapper; C header and Python constants of
the engine's registers. Text out of configurations and manifests, nothing else.
"""
