"""How text is generated: the paper's settings for its own model and for each baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from counterveil.errors import UsageError


@dataclass(frozen=True)
class Generation:
    """How text is generated; the defaults are the paper's.

    Attributes:
        beams: of the beam search.
        length: most new tokens.
        repetition_penalty: as transformers has it.
        length_penalty: as transformers has it.
        top_p: nucleus, where ``sample``.
        top_k: likeliest tokens to draw from, where ``sample``; 0: all.
        temperature: where ``sample``.
        sample: draw instead of the likeliest; beams as the paper's released code uses them.
        no_repeat: tokens in a row that never come twice; 0: they may.
    """

    beams: int = 5
    length: int = 512
    repetition_penalty: float = 1.5
    length_penalty: float = 1.0
    top_p: float = 0.9
    top_k: int = 0
    temperature: float = 1.0
    sample: bool = False
    no_repeat: int = 0

    def options(self) -> dict[str, Any]:
        """What ``generate`` takes."""
        options: dict[str, Any] = {
            "num_beams": self.beams,
            "max_new_tokens": self.length,
            "min_new_tokens": 1,
            "repetition_penalty": self.repetition_penalty,
            "length_penalty": self.length_penalty,
            "do_sample": self.sample,
            "no_repeat_ngram_size": self.no_repeat,
        }
        if self.sample:
            options |= {
                "top_p": self.top_p,
                "top_k": self.top_k,
                "temperature": self.temperature,
            }
        return options


PAPER_GENERATION = Generation()

PRESETS: Mapping[str, Generation] = MappingProxyType(
    {
        "paper": PAPER_GENERATION,
        "instructblip": PAPER_GENERATION,
        "mplug": Generation(beams=1, repetition_penalty=1.0, top_p=1.0, top_k=5, sample=True),
        "ofa": Generation(repetition_penalty=1.0, no_repeat=3),
        "greedy": Generation(beams=1, length=60, repetition_penalty=1.0),
    }
)
"""Settings by name: the paper's for ConditionalBLIP and its baselines (Table 1), and ours for
today's models that are chatted with, which end by themselves."""


def preset(name: str) -> Generation:
    """The settings of that name.

    Raises:
        UsageError: there are none.
    """
    if name not in PRESETS:
        raise UsageError(f"no generation is called {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
