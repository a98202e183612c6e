"""Errors of the user's in one line: what they are about, in the words that were typed."""

from __future__ import annotations

from typing import Any

import typer

__all__ = ["explain"]


def explain(error: Exception) -> str:
    """Say in one line what `error` is about."""
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        text = f"{error.strerror}: {' -> '.join(names)}" if names else error.strerror
    elif isinstance(error, typer.TyperException):
        text = _explain_usage(error)
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())


def _explain_usage(error: Any) -> str:
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if context is None:
        return str(error.format_message())
    path = context.command_path
    if hasattr(error, "possibilities"):  # there is no such option
        options = [p for p in context.command.get_params(context) if p.param_type_name == "option"]
        known = ", ".join(max(o.opts, key=len) for o in options)
        return f"option of {path} must be one of {known}, not {error.option_name!r}"
    if parameter is not None:
        option = parameter.param_type_name == "option"
        name = max(parameter.opts, key=len) if option else parameter.metavar
        if not error.message:
            return f"{name} is missing: {parameter.help}"
        if error.message.startswith("must be "):
            return f"{name} {error.message}"
    return f"{error.format_message()} (`{path} --help` says what is allowed)"
