"""Errors that end one image and never a batch, and their messages."""

from __future__ import annotations

from counterveil.errors import CounterveilError

BOUNDARY_ERRORS = (Exception, SystemExit)
"""Caught at the boundary of one image. Code behind a ``python:`` spec may call ``exit``, which
must not end a batch; Ctrl-C (``KeyboardInterrupt``) must."""


def describe_error(error: BaseException) -> str:
    """Message for a record. Our own errors say what to do; any other one is a fault."""
    if isinstance(error, CounterveilError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"a plugged-in part tried to end the program (SystemExit: {error.code})"
    return f"unexpected {type(error).__name__}: {error}; please report it"
