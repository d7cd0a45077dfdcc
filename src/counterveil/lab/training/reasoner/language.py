"""Teach a small language model to speak of things it is told of, before there are images.

InstructBLIP's language model knows how to answer questions from a prompt long before a Q-Former
learns to write that prompt. A small one, from scratch, gets the same head start: words for a
scene's things stand where the image's tokens will be, and it answers the questions from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from counterveil.lab.scenes import DISTRACTORS, OBJECT_KINDS, reference_answers
from counterveil.lab.training.reasoner.small import name_of
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.instructblip import IGNORE_INDEX
from counterveil.reasoning.prompts import QUESTION_TEMPLATE

_REPORTS = 10


def teach_language(
    blip: ConditionalBlip,
    *,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    precision: Callable[[], AbstractContextManager[Any]],
    report: Callable[[str], None],
    step: Callable[[], None],
) -> None:
    """Learn from made-up scenes; the language model alone, in place."""
    language = blip.model.language_model.train()
    optimizer = torch.optim.AdamW(language.parameters(), rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.1
    )
    rng = np.random.default_rng([seed, 3])
    right: list[Tensor] = []
    for at in range(1, steps + 1):
        ids, labels = told(blip, batch, rng)
        with precision():
            logits = language(input_ids=ids, attention_mask=(ids != _pad(blip)).long()).logits
        wanted, guessed = labels[:, 1:].reshape(-1), logits[:, :-1].flatten(0, 1).float()
        loss = functional.cross_entropy(guessed, wanted, ignore_index=IGNORE_INDEX)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(language.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        right.append((guessed.argmax(1) == wanted)[wanted != IGNORE_INDEX])
        step()
        if at % max(1, steps // _REPORTS) == 0:
            share = float(torch.cat(right).float().mean())
            report(f"language {at}/{steps}: {share:.4f} of the answers' words right")
            right.clear()
    language.eval()


def told(blip: ConditionalBlip, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Ids ``(count, n)`` of what was told, asked and answered, and what of it is to be learnt."""
    rows = [_one(blip, rng) for _ in range(count)]
    labels = pad([labels for _, labels in rows], IGNORE_INDEX)
    return pad([ids for ids, _ in rows], _pad(blip)), labels


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of different lengths as one tensor, filled up at the end."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def answer_ids(blip: ConditionalBlip, question: str, answer: str) -> tuple[list[int], list[int]]:
    """Ids of a question as it is asked, and of its answer with the end of the text."""
    tokenizer = blip.processor.tokenizer
    asked = tokenizer(QUESTION_TEMPLATE.format(question=question))["input_ids"]
    said = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return asked, [*said, tokenizer.eos_token_id]


def _one(blip: ConditionalBlip, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    kinds = [str(name) for name in rng.choice(list(OBJECT_KINDS), int(rng.integers(0, 5)))]
    clutter = [str(name) for name in rng.choice(DISTRACTORS, int(rng.integers(0, 5)))]
    bystanders = int(rng.choice([0, 0, 1, 2, 3]))
    known = reference_answers(kinds, bystanders, clutter)
    chosen = known[int(rng.integers(len(known)))]
    tokenizer, config = blip.processor.tokenizer, blip.model.config
    kinds, clutter = (
        sorted(kinds, key=list(OBJECT_KINDS).index),
        sorted(clutter, key=DISTRACTORS.index),
    )
    names = [name_of(thing) for thing in [*kinds, *clutter, *["a person"] * bystanders]]
    told = np.full(config.num_query_tokens, config.image_token_index)
    places = np.sort(rng.permutation(len(told))[: len(names)])
    told[places] = tokenizer.convert_tokens_to_ids(names)
    asked, said = answer_ids(blip, chosen.question, chosen.answer)
    ids = [*map(int, told), *asked, *said]
    return ids, [*[IGNORE_INDEX] * (len(ids) - len(said)), *said]


def _pad(blip: ConditionalBlip) -> int:
    return int(blip.processor.tokenizer.pad_token_id)
