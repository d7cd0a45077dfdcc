"""The shipped reasoner for drawn pictogram scenes: ``pictograms:scenes``."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from counterveil.errors import ModelError, UsageError
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.options import GREEDY


def load(argument: str, *, device: str = "cpu") -> ConditionalBlip:
    """Load the shipped reasoner; its answers about photographs mean nothing.

    Raises:
        UsageError: the argument is not ``scenes``.
        ModelError: the weights are not installed.
    """
    if argument != "scenes":
        raise UsageError(f"no reasoner is shipped for {argument!r}; use pictograms:scenes")
    with as_file(files("counterveil") / "weights" / "reasoner") as folder:
        if not (Path(folder) / "config.json").is_file():
            raise ModelError("the weights of the reasoner are missing; install counterveil again")
        blip = ConditionalBlip.from_pretrained(folder, device=device, generation=GREEDY)
    blip.info = replace(blip.info, name="pictograms:scenes")
    return blip
