"""Functions of the authors' code, taken from a clone.

Their files import packages that are not needed here or start experiments when they are imported,
and one file has a syntax error. Therefore single functions are cut out of the text and executed
with the names that they use. No text of theirs is stored.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def functions(
    file: Path, names: Sequence[str], given: Mapping[str, Any]
) -> dict[str, Callable[..., Any]]:
    """The first function with each name; the functions can call each other.

    Args:
        file: a file of the clone.
        names: names of the functions.
        given: other names that they use.
    """
    text = file.read_text("utf-8")
    space: dict[str, Any] = dict(given)
    for name in names:
        exec(compile(_cut(text, name), f"{file.name}: {name}", "exec"), space)
    return {name: space[name] for name in names}


def commit(clone: Path) -> str:
    """Abbreviated commit of the clone; empty for a copy without a repository."""
    if not (clone / ".git").exists():  # git would name the commit of the repository around it
        return ""
    words = ["git", "-C", str(clone), "log", "-1", "--format=%h"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _cut(text: str, name: str) -> str:
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if _defines(line, name)), None)
    if start is None:
        raise SystemExit(f"this clone defines no {name}; give the repository that the page names")
    # One function is indented by mistake, as deep as its own body.
    body = [lines[start].lstrip()]
    for line in lines[start + 1 :]:
        if re.match(r"\S", line) or re.match(r" {0,4}def ", line):
            break
        body.append(line)
    return "\n".join(body)


def _defines(line: str, name: str) -> bool:
    return re.match(rf"\s*def {re.escape(name)}\(", line) is not None
