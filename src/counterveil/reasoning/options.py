"""Options at the end of a spec: ``blip:REPO?dtype=bfloat16``, ``chat:URL#MODEL?timeout=30``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from counterveil._tables import check_names
from counterveil.errors import UsageError

T = TypeVar("T")


def split(argument: str) -> tuple[str, dict[str, str]]:
    """What stands before the last ``?``, and the options after it.

    Raises:
        UsageError: the options are not ``name=value&name=value``, or one is given twice.
    """
    head, mark, query = argument.rpartition("?")
    if not mark:
        return argument, {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise UsageError(f"options of a spec read ?name=value&name=value, got {query!r}") from error
    if len(dict(pairs)) < len(pairs):
        raise UsageError(f"an option of a spec is given twice in {query!r}")
    return head, dict(pairs)


def typed(kind: type[T], given: Mapping[str, str], **defaults: Any) -> T:
    """A dataclass of numbers and words from options in words.

    Raises:
        UsageError: it has no such field, or a value is of the wrong kind.
    """
    known: dict[str, Any] = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    check_names(given, list(known))
    values = {name: _value(name, known[name], text) for name, text in given.items()}
    return kind(**{**defaults, **values})


def _value(name: str, kind: str, text: str) -> int | float | str:
    try:
        if kind in ("int", "float"):
            return int(text) if kind == "int" else float(text)
        return text
    except ValueError as error:
        number = "a whole number" if kind == "int" else "a number"
        raise UsageError(f"option {name!r} must be {number}, got {text!r}") from error
