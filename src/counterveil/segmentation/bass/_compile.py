"""How BASS is compiled: once, kept on disk, free of the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function in machine code, compiled on its first call ever and then read from disk.

    The code is kept beside the source or, where that folder is read-only, in the user's cache
    folder (``NUMBA_CACHE_DIR`` overrides both). Where nothing can be written it is compiled
    anew in each process. A compiled function must call none of another file: numba looks only
    at the caller's file to see whether what it kept is out of date.
    """
    try:
        kept: F = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba: "no locator available"
        kept = njit(nogil=True)(function)
    return kept
