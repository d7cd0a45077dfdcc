"""Recognises the results of earlier runs among the inputs."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from counterveil.inputs.kinds import has_image_suffix, real_path

RESULT_NAMES = frozenset({"plan.jsonl", "run.json", "records.jsonl", "report.html"})
"""Files that a run writes into its folder, besides those of each input and ``report/``."""

RESULT_SUFFIXES = (".veiled.png", ".mask.png", ".json")
"""Ends of the files that a run writes for each input, after its output name."""


class Results:
    """Recognises the files that an earlier run wrote into a folder.

    By the run's list of inputs, not by their suffix: a picture does not escape by its name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = real_path(folder)
        self._names: set[str] = set()
        with suppress(OSError), (self.folder / "plan.jsonl").open("rb") as lines:
            for line in lines:
                with suppress(ValueError, LookupError, TypeError):  # the last line may be cut
                    stem = json.loads(line)["output_name"]
                    self._names |= {f"{stem}{suffix}" for suffix in RESULT_SUFFIXES}

    def hold(self, path: Path) -> bool:
        """Whether a file, links in its folder resolved, is one of the results."""
        if self.folder not in path.parents:
            return False
        top = path.relative_to(self.folder).parts[0]
        if path.parent != self.folder:
            return top == "report" and bool(self._names)
        draft = top.startswith(".counterveil") and not has_image_suffix(path)
        return draft or top in RESULT_NAMES or top in self._names
