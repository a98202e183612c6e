"""The tests, one folder a room or unit of the project; nothing here is installed.

Fixtures of every folder are in conftest.py and simulate.py. A test may import everything.
"""
