"""What every other room may use and what knows no other room: the leaf of the project.

Errors and their exit codes, tables on the console, files that appear whole or not at all, the
process runner, the one launcher of Yosys. Imports the standard library and small libraries only.
"""
