"""How a reasoner is trained."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from counterveil.lab.training.reasoner.lessons import Mix

SMALL = "small"
"""Instead of a checkpoint: the small one for the proxy scenes, from scratch."""


@dataclass(frozen=True)
class ReasonerRecipe:
    """How to train a reasoner; the defaults are for a stock checkpoint, as the paper trains it.

    Attributes:
        start: folder or hub repository of an InstructBLIP, or ``small``.
        epochs: passes over the images.
        steps: after which training ends, where it has not ended before; 0 = none.
        batch: images a step and device.
        rate: largest learning rate, AdamW, cosine after a warm-up.
        decay: weight decay.
        mix: what is shown how often.
        naming: passes over thumbnails, for ``small``: its vision tower first learns to name
            things.
        seeing: passes over whole images in which the vision tower goes on to name things, where
            ``start`` is a small one that was trained before.
        language: steps in which the language model of ``small`` learns to speak of things.
        queries: steps in which the Q-Former of ``small`` learns to name what the tower sees.
        gain: most by which a colour channel is made darker or brighter.
        tokens: control tokens a category.
        seed: of everything random.
        precision: ``bfloat16`` or ``float32``.
        deepspeed: path of a DeepSpeed configuration; empty without.
    """

    start: str
    epochs: int = 2
    steps: int = 0
    batch: int = 16
    rate: float = 5e-5
    decay: float = 0.05
    mix: Mix = field(default_factory=Mix)
    naming: int = 0
    seeing: int = 0
    language: int = 0
    queries: int = 0
    gain: float = 0.0
    tokens: int = 4
    seed: int = 0
    precision: str = "float32"
    deepspeed: str = ""

    def autocast(self) -> AbstractContextManager[Any]:
        """To be entered anew for each forward."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast("cpu", torch.bfloat16)
