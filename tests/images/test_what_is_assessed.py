"""The page on what is assessed names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parents[1] / "docs" / "explanation" / "what-is-assessed.md"


def test_every_named_test_exists():
    named = set(re.findall(r"\btest_\w+", PAGE.read_text("utf-8")))
    files = {path.stem: path.read_text("utf-8") for path in TESTS.glob("test_*.py")}
    defined = set(re.findall(r"^def (test_\w+)", "\n".join(files.values()), re.M))
    assert len(named) > 40
    assert named <= defined | set(files)
