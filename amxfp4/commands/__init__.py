"""What each command does once its options are read: one module a command, no Typer.

A command joins the rooms below (golden, gen, synth, host, verif.sim) and prints; whatever is worth
using from Python lives in those rooms. Commands know neither the command line nor one another's
options, and import what is slow when they run. Those on files of tensors are in `files`.
"""
