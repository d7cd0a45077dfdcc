"""Compilation of the BASS kernels with numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def cached_njit(function: F) -> F:
    """Compiles a function on its first call; keeps the code on disk; releases the interpreter lock.

    The code is beside the source or in the user's cache folder (``NUMBA_CACHE_DIR`` overrides).
    """
    # A kernel must not call a kernel of another file: numba checks only the file of the caller
    # when it decides whether cached code is out of date.
    try:
        compiled: F = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba: "no locator available": no folder can be written, so no cache
        compiled = njit(nogil=True)(function)
    return compiled
