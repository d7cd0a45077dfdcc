"""Records as data: plain values, the JSON Schema, canonical JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from counterveil.errors import UsageError


def to_plain(value: Any) -> Any:
    """Dataclasses become dictionaries and tuples become lists, at every depth."""
    if dataclasses.is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    return [to_plain(item) for item in value] if isinstance(value, tuple) else value


def from_plain(kind: Any, value: Any) -> Any:
    """The inverse of :func:`to_plain`.

    Args:
        kind: the type to make; its annotations guide the conversion.
        value: plain data that is known to fit the type.
    """
    if get_origin(kind) is UnionType:
        return None if value is None else from_plain(get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        return tuple(from_plain(get_args(kind)[0], item) for item in value)
    if dataclasses.is_dataclass(kind):
        hints = _type_hints(kind)  # type: ignore[arg-type]
        return kind(**{key: from_plain(hints[key], item) for key, item in value.items()})  # type: ignore[operator]
    return dict(value) if isinstance(value, Mapping) else value


@cache
def _type_hints(kind: Any) -> dict[str, Any]:
    # Reading them takes far longer than making a value, and a report makes thousands.
    return get_type_hints(kind)


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON after RFC 8785 (JSON Canonicalization Scheme), by the library ``rfc8785``.

    Raises:
        UsageError: a number is not finite, or an integer is beyond 2^53.
    """
    import rfc8785

    try:
        return rfc8785.dumps(_without_surrogates(value))
    except rfc8785.CanonicalizationError as error:
        raise UsageError(f"no canonical JSON: {error}") from error


def _without_surrogates(value: Any) -> Any:
    """File names may hold bytes that are not UTF-8; Python carries them as lone surrogates.

    RFC 8785 has no form for them, so they are written as the text of their escape.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(v) for key, v in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, list) else value


@cache
def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a record. The returned dictionary is shared; do not change it."""
    text = resources.files("counterveil").joinpath("schema/record.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def validate(value: Mapping[str, Any]) -> None:
    """Validate a record's dictionary.

    Raises:
        UsageError: the message gives the JSON path of the first error, and the error.
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(value))
    if error is not None:
        raise UsageError(f"record is invalid at {error.json_path}: {error.message}")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as broken:
        raise UsageError("record is invalid: a number is NaN or infinite") from broken


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())
