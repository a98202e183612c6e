"""Pages of HTML from templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

__all__ = ["rendered"]


def rendered(template: Path, **values: Any) -> str:
    """Page made of a template; a name that it needs and does not get is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)
