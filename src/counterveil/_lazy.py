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


def scheme(module: str) -> Callable[..., Any]:
    """A scheme's ``load(argument, device=...)``, its module imported when called."""

    def construct(argument: str, *, device: str = "cpu") -> Any:
        return import_module(module).load(argument, device=device)

    return construct


def load(what: str, table: Mapping[str, Callable[..., T]], spec: str, *, device: str) -> T:
    """What a spec ``scheme:argument`` names.

    Raises:
        UsageError: the spec's scheme is unknown.
    """
    name, colon, argument = spec.partition(":")
    if not colon or name not in table:
        raise UsageError(
            f"{spec!r} is no {what} spec; it reads scheme:argument, "
            f"with one of the schemes {', '.join(table)}"
        )
    return table[name](argument, device=device)
