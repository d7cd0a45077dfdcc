"""Parts by name, imported when asked for: importing a room must not import torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from counterveil.errors import UsageError

T = TypeVar("T")


def lazily(module: str, name: str) -> Callable[..., Any]:
    """A constructor that imports its module when called."""

    def construct(**options: Any) -> Any:
        return getattr(import_module(module), name)(**options)

    return construct


def make(what: str, table: Mapping[str, Callable[..., T]], name: str, options: Any) -> T:
    """The part of that name, its constructor given ``options``.

    Raises:
        UsageError: no part has that name, or it takes no such option.
    """
    if name not in table:
        raise UsageError(f"no {what} is called {name!r}; choose one of {', '.join(table)}")
    try:
        return table[name](**options)
    except TypeError as error:
        raise UsageError(f"{what} {name!r}: {error}") from error
