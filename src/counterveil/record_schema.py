"""The JSON Schema of records, and validation against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from counterveil.errors import UsageError


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
