"""Functions of the authors' own code, out of a clone of it.

Their files import what is not needed here, start whole experiments when they are imported, and
one cannot be parsed. So the functions that are asked for are cut out of the text, and run by
themselves with the names that they use. Nothing of it is kept.
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
    """The first function of each name, as the file has it; they know one another.

    Args:
        file: of the clone.
        names: of the functions.
        given: other names that they use.
    """
    text = file.read_text("utf-8")
    space: dict[str, Any] = dict(given)
    for name in names:
        exec(compile(_cut(text, name), f"{file.name}: {name}", "exec"), space)
    return {name: space[name] for name in names}


def commit(clone: Path) -> str:
    """Which version it is; empty for a mere copy of the files."""
    if not (clone / ".git").exists():  # git would tell of the repository around it
        return ""
    words = ["git", "-C", str(clone), "log", "-1", "--format=%h"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _cut(text: str, name: str) -> str:
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if _defines(line, name)), None)
    if start is None:
        raise SystemExit(f"this clone defines no {name}; give the repository that the page names")
    # One of them is indented by mistake, as deep as its own body.
    body = [lines[start].lstrip()]
    for line in lines[start + 1 :]:
        if re.match(r"\S", line) or re.match(r" {0,4}def ", line):
            break
        body.append(line)
    return "\n".join(body)


def _defines(line: str, name: str) -> bool:
    return re.match(rf"\s*def {re.escape(name)}\(", line) is not None
