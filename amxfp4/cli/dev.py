"""``amxfp4 dev``: what developers of amxfp4 need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amxfp4.cli.groups import group

__all__ = ["app"]

app = group("Develop amxfp4: documents, checks of a checkout, speed.")

Checkout = Annotated[
    Path | None,
    typer.Argument(metavar="FOLDER", help="A checkout; the installed one by default."),
]


@app.command()
def report(
    folder: Checkout = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if a document is out of date.")
    ] = False,
) -> int:
    """Rewrite the generated parts of README.md and docs/."""
    from amxfp4.cli.reference import reference
    from amxfp4.dev import checks, documents

    root = checks.checkout(folder)
    sections = {"command-line": reference}
    changed = documents.stale(root, sections) if check else documents.update(root, sections)
    for document in changed:
        print(f"{document}: {'out of date' if check else 'rewritten'}")
    return int(check and bool(changed))


@app.command("reference")
def _reference() -> None:
    """Print the reference of the command line as Markdown."""
    from amxfp4.cli.reference import reference

    print(reference(), end="")


@app.command()
def lint(folder: Checkout = None) -> int:
    """Check style, formatting and layers of a checkout."""
    from amxfp4.dev import checks

    return checks.lint(folder)


@app.command("type")
def type_(folder: Checkout = None) -> int:
    """Check the types of a checkout."""
    from amxfp4.dev import checks

    return checks.types(folder)


@app.command()
def bench() -> int | None:
    """Measure the speed of the golden model and of verification."""
    from amxfp4.dev import bench

    return bench.run()
