"""Compilation of the BASS kernels with numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def cached_njit(function: F) -> F:
    """Compiles a function on its first call and keeps the machine code on disk.

    That is beside the source or in the user's cache folder; ``NUMBA_CACHE_DIR`` overrides both.
    If neither can be written, each process compiles again. Threads run compiled code in parallel.
    """
    # A kernel must not call a kernel of another file: numba checks only the file of the caller
    # when it decides whether cached code is out of date.
    try:
        compiled: F = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba: "no locator available", so there is no writable folder
        compiled = njit(nogil=True)(function)
    return compiled
