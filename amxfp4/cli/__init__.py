"""The ``amxfp4`` command line: Typer and nothing else; what a command does is in ``commands``."""

from amxfp4.cli.app import command, main, run

__all__ = ["command", "main", "run"]
