"""Teach a small Q-Former to name what it sees, before it is heard by a language model.

BLIP-2's Q-Former first learns by contrast which texts fit an image, and only then writes prompts
for a language model; InstructBLIP starts from there. A small one, from scratch, gets the same
start: for each thing in sight, one of its outputs must lie where the language model's word for
that thing lies, and none where the word for a thing lies that is not there.

References:
    Li et al., "BLIP-2", 2023, section 3.2; Bethany et al., AAAI 2024, section 3.1 (CIIT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.images import load
from counterveil.lab.scenes import OBJECT_KINDS
from counterveil.lab.training.reasoner.examples import Example
from counterveil.lab.training.reasoner.small import name_of, names
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.types import Image, Mask

_REPORTS = 8
_VEILED = 0.3
"""Share of the images of which something is veiled: what is hidden is not to be named."""
_COVERED = 0.2
"""Share of a patch from which on it is of a thing."""
_GAIN = 0.2
"""Most by which a colour channel is made darker or brighter."""


class Matcher(nn.Module):
    """How likely each word fits an image, from the distances of a prompt to the words.

    Args:
        words: where the language model has them, ``(names, width)``; they stay there.
    """

    words: Tensor

    def __init__(self, words: Tensor) -> None:
        super().__init__()
        self.register_buffer("words", words.detach().float())
        near = float((self.words**2).sum(dim=1).mean())
        self.scale = nn.Parameter(torch.tensor(8.0 / near))
        self.shift = nn.Parameter(torch.tensor(4.0))

    def forward(self, prompt: Tensor) -> Tensor:
        """Logits ``(B, names)`` of prompts ``(B, queries, width)``."""
        apart = torch.cdist(prompt.float(), self.words[None]).square()
        logits: Tensor = self.shift - self.scale * apart.amin(dim=1)
        return logits


def teach_queries(
    blip: ConditionalBlip,
    examples: Sequence[Example],
    *,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    precision: Callable[[], AbstractContextManager[Any]],
    report: Callable[[str], None],
    step: Callable[[], None],
) -> None:
    """Learn from scenes; the Q-Former, its queries and the projection, in place.

    Args:
        blip: whose tower can see and whose language model can speak.
        examples: scenes.
        steps: of training.
        batch: images a step.
        rate: largest learning rate.
        seed: of what is shown.
        precision: to be entered anew for each forward.
        report: told a line now and then.
        step: called after each step.
    """
    model = blip.model
    parts = (model.qformer, model.language_projection)
    matcher = Matcher(_words(blip))
    parameters = [model.query_tokens, *(p for part in (*parts, matcher) for p in part.parameters())]
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.1
    )
    rng = np.random.default_rng([seed, 7])
    for part in parts:
        part.train()
    hits: list[Tensor] = []
    for at in range(1, steps + 1):
        shown = [_shown(examples[int(i)], rng) for i in rng.integers(0, len(examples), batch)]
        wanted = torch.stack([one.there for one in shown])
        with precision():
            prompt = _prompt(blip, shown, examples, _share(at / steps), rng)
        logits = matcher(prompt)
        loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / batch
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        hits.append(((logits > 0) == (wanted > 0))[:, : len(OBJECT_KINDS)].all(dim=1))
        step()
        if at % max(1, steps // _REPORTS) == 0:
            share = float(torch.cat(hits).float().mean())
            report(f"queries {at}/{steps}: every thing named rightly on {share:.4f} of the images")
            hits.clear()
    model.eval()


def _share(done: float) -> float:
    """How much of the ground is shown, beside the things.

    Spread over a whole image, a thing's patches are lost among the others, and nothing is learnt
    for long. Shown alone, they are named at once; then the rest comes in.
    """
    return min(max((done - 0.2) / 0.4, 0.0), 1.0)


def _words(blip: ConditionalBlip) -> Tensor:
    ids = blip.processor.tokenizer.convert_tokens_to_ids(list(names()))
    table: Tensor = blip.model.get_input_embeddings().weight
    return table[ids]


@dataclass(frozen=True, eq=False)
class _Shown:
    """An image, where its things are, and which names fit it ``(names,)``."""

    image: Image
    things: Mask
    there: Tensor


def _shown(example: Example, rng: np.random.Generator) -> _Shown:
    image, truth = load(example.image)[0].pixels, example.truth
    lit = np.clip(image * (1 + _GAIN * rng.uniform(-1, 1, 3)), 0, 255).astype(np.uint8)
    things = example.things(image.shape[:2])
    veiled = example.veiled(rng) if rng.random() < _VEILED else None
    if veiled is not None:
        veil, truth = veiled
        lit[veil] = 0
        things &= ~veil
    known = names()
    there = torch.zeros(len(known))
    for thing in truth.things:
        there[known.index(name_of(thing))] = 1
    return _Shown(lit, things, there)


def _prompt(
    blip: ConditionalBlip,
    shown: Sequence[_Shown],
    examples: Sequence[Example],
    share: float,
    rng: np.random.Generator,
) -> Tensor:
    """What the language model would be told, whatever is asked."""
    asked = [answer.question for answer in examples[0].truth.answers]
    questions = [asked[int(rng.integers(len(asked)))] for _ in shown]
    instruction = blip.processor.qformer_tokenizer(questions, padding=True, return_tensors="pt")
    with torch.no_grad():
        patches = blip.model.encode_image(blip.pixel_values([one.image for one in shown]))
    side = round((patches.shape[1] - 1) ** 0.5)
    things = torch.stack([torch.from_numpy(one.things).float() for one in shown])
    covered = functional.adaptive_avg_pool2d(things[:, None], side).flatten(1) > _COVERED
    ground = torch.from_numpy(rng.random(covered.shape) < share)
    around = functional.pad((covered | ground).long(), (1, 0), value=1)  # the class token first
    ids, mask = instruction["input_ids"], instruction["attention_mask"]
    prompt: Tensor = blip.model.image_prompt(patches, ids, mask, patch_mask=around)
    return prompt
