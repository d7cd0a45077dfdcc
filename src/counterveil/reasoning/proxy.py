"""The shipped reasoner for proxy scenes."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from counterveil.errors import ModelError, UsageError
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.generation import Generation

GENERATION = Generation(beams=1, length=60, repetition_penalty=1.0)
"""Enough for the scenes' sentences, which repeat words for good reason."""


def load(argument: str, *, device: str = "cpu") -> ConditionalBlip:
    """The shipped reasoner; it knows drawn pictograms only.

    Raises:
        UsageError: it is not called that.
        ModelError: this copy of Counterveil ships none.
    """
    if argument != "scenes":
        raise UsageError(f"no reasoner is shipped for {argument!r}; there is proxy:scenes")
    with as_file(files("counterveil") / "weights" / "reasoner") as folder:
        if not (Path(folder) / "config.json").is_file():
            raise ModelError("this copy of Counterveil ships no reasoner; install it again")
        blip = ConditionalBlip.from_pretrained(folder, device=device, generation=GENERATION)
    blip.info = replace(blip.info, name="proxy:scenes")
    return blip
