"""For those who change the project: generated documents, style and layer checks, benchmarks.

Nothing here is needed by a user of a unit, so it may import every room but the command line, and no
room but the command line imports it.
"""
