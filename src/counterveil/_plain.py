"""Frozen dataclasses to plain data and back, and plain data to canonical JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from counterveil.errors import UsageError


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries and tuples as lists, all the way down."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def build(kind: Any, value: Any) -> Any:
    """The inverse of :func:`plain`, guided by a type's annotations.

    Args:
        kind: the type to make.
        value: plain data, known to fit it.
    """
    if get_origin(kind) is UnionType:
        return None if value is None else build(get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        return tuple(build(get_args(kind)[0], item) for item in value)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{key: build(hints[key], item) for key, item in value.items()})  # type: ignore[operator]
    return dict(value) if isinstance(value, Mapping) else value


def canonical(value: Any) -> bytes:
    """JSON after the JSON Canonicalization Scheme.

    Args:
        value: dictionaries with string keys, lists, strings, numbers, booleans, ``None``.

    Returns:
        UTF-8; keys sorted by UTF-16 code units, no blanks, numbers as ECMAScript prints them,
        so that ``1`` and ``1.0`` are the same.

    Raises:
        UsageError: a number is not finite.

    References:
        RFC 8785, https://www.rfc-editor.org/rfc/rfc8785.
    """
    # File names may hold bytes that are no UTF-8; Python carries them as lone surrogates.
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_text(key)}:{_text(item)}" for key, item in items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise UsageError("JSON cannot hold NaN or infinity")
    if value == 0:
        return "0"
    if 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = repr(value).split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"
