"""Reads a TOML file that a stranger may have written."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from counterveil.errors import UsageError

_TOO_DEEP = "nested too deeply for a settings file"
_MAX_DEPTH = 64
_KEY_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_DEEP_KEY = re.compile(rf"(?<![\w-])(?:{_KEY_PART}\.[ \t]*+){{{_MAX_DEPTH}}}")
"""Dotted keys do not overflow the stack, but tomllib needs memory of the square of their depth."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        UsageError: it cannot be read, is not TOML, or is nested more than 64 deep.
    """
    try:
        text = path.read_text("utf-8")
        deep = _DEEP_KEY.search(text) is not None
        table = {} if deep else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # no TOML, not UTF-8, or a number of 5000 digits
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{path}: {_TOO_DEEP}") from error
    if deep or _is_deep(table):
        raise UsageError(f"{path}: {_TOO_DEEP}")
    return table


def _is_deep(table: dict[str, Any]) -> bool:
    """Whether it is nested deeper than messages about it can be printed."""
    level: list[Any] = [table]
    for _ in range(_MAX_DEPTH):
        inner = [v.values() if isinstance(v, dict) else v for v in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
    return bool(level)
