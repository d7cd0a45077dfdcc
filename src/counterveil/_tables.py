"""Reading tables of settings, with errors that help."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from counterveil.errors import UsageError


def read_table(path: Path) -> dict[str, Any]:
    """A TOML file's content.

    Raises:
        UsageError: the file cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error


def check_names(value: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Refuse keys that nobody reads.

    Raises:
        UsageError: names the key, the nearest that is allowed, and all that are.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"expected a table, got {value!r}")
    for name in value:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"unknown key {name!r}; {hint}allowed: {', '.join(allowed)}")
