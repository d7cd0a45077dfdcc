"""Checks types and shapes of what is called, as declared in signatures; in tests alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException

F = TypeVar("F", bound=Callable)

# PEP 484: where a float is wanted, an int will do.
_checks = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: F) -> F:
    """The function, checked; itself where its types cannot be looked at when running."""
    try:
        return _checks(function)
    except BeartypeDecorHintException:
        return function
