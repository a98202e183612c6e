"""The ``amxfp4`` command line: Typer and nothing else; what a command does is in ``commands``."""

from amxfp4.cli.app import app, main, run

__all__ = ["app", "main", "run"]
