"""What a part of the pipeline may raise without ending a batch, and how that is told."""

from __future__ import annotations

from counterveil.errors import CounterveilError

CAUGHT = (Exception, SystemExit)
"""Code that a ``python:`` spec names may call ``exit``; Ctrl-C is no part of this."""


def told(error: BaseException) -> str:
    """An exception in words: our own say what to do, any other is a fault."""
    if isinstance(error, CounterveilError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"a part of it tried to end the program (SystemExit: {error.code})"
    return f"unexpected {type(error).__name__}: {error}; please report it"
