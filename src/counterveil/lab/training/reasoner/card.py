"""What is written beside a trained reasoner: its metrics, and a card of model and data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from counterveil import __version__
from counterveil.atomic import write_atomic
from counterveil.lab.training.reasoner.examples import Example
from counterveil.lab.training.reasoner.recipe import ReasonerRecipe

CARD = "README.md"
"""The name under which a hub shows it."""


def metrics(
    examples: Mapping[str, Sequence[Example]],
    recipe: ReasonerRecipe,
    history: list[dict[str, Any]],
    *,
    small: bool,
    scale: float,
    shift: float,
) -> dict[str, Any]:
    """What made a model, as plain data; folders of this machine by their last name alone."""
    local = Path(recipe.start).is_dir()
    recipe = replace(recipe, start=Path(recipe.start).name if local else recipe.start)
    recipe = replace(recipe, deepspeed=Path(recipe.deepspeed).name)
    return {
        "recipe": asdict(recipe),
        "data": {
            "images": {split: len(some) for split, some in examples.items()},
            "answers": {
                split: sum(len(one.truth.answers) for one in some)
                for split, some in examples.items()
            },
            "unsafe": _unsafe(examples),
            "sha256": digest(examples),
        },
        "small": small,
        "scale": scale,
        "shift": shift,
        "history": history,
    }


def digest(examples: Mapping[str, Sequence[Example]]) -> str:
    """Hash of splits, images' names, what they are unsafe in, questions and answers."""
    found = hashlib.sha256()
    for split, some in examples.items():
        for one in sorted(some, key=lambda example: str(example.image)):
            said = [(a.question, a.answer, a.yes) for a in one.truth.answers]
            value = [split, one.image.name, list(one.truth.flagged), said]
            found.update(json.dumps(value).encode() + b"\n")
    return found.hexdigest()


def write(out: Path, values: Mapping[str, Any], *, categories: Sequence[str]) -> None:
    """``metrics.json`` and the card, in the model's folder."""
    text = json.dumps(values, indent=1, sort_keys=True) + "\n"
    write_atomic(out / "metrics.json", text.encode())
    write_atomic(out / CARD, page(out.name, values, categories=categories).encode())


def page(name: str, values: Mapping[str, Any], *, categories: Sequence[str]) -> str:
    """The card."""
    recipe, data = values["recipe"], values["data"]
    knows = (
        "It knows abstract pictograms drawn by `counterveil scenes` and nothing else; of "
        "photographs it says nothing that means anything."
        if values["small"]
        else "It knows what its training images show, and is as good and as biased as they are, "
        "and as the model that it started from."
    )
    losses = [row["eval_loss"] for row in values["history"] if "eval_loss" in row]
    settings = {k: v for k, v in recipe.items() if k not in ("mix", "start")}
    return f"""---
library_name: transformers
pipeline_tag: image-text-to-text
tags: [counterveil, content-moderation, instructblip]
---

# {name}

Describes images and answers a moderator's questions, conditioned on what classifiers flagged:
{", ".join(categories)}. It is loaded by `counterveil run --reasoner blip:FOLDER`.

## Use and limits

{knows} What it says is no verdict: a person decides. Its code may be wrong, and it is trained to
look at the image all the same; how well it does is for `counterveil bench reasoning` to say, not
for the figures below, which are of the images that came with the training data.

## Data

| split | images | answers |
|---|---|---|
{_rows(data)}

Unsafe images: {_list(data["unsafe"])}. Hash of splits, names, questions and answers:
sha256 `{data["sha256"]}`.

## Measured

Test split, questions of yes or no, codes right, absent and wrong as often as in training:
{_list(values.get("test", {})) or "no such images"}. Validation loss after each pass:
{", ".join(f"{loss:.4f}" for loss in losses) or "none"}. P(yes) was calibrated on the validation
split: scale {values["scale"]:.3f}, shift {values["shift"]:.3f}.

## Training

- started from: {recipe["start"]}; vision tower and language model frozen{_seen(recipe)}
{_bullets(settings)}
{_bullets(recipe["mix"])}
- torch {torch.__version__.split("+")[0]}, counterveil {__version__}
"""


def _seen(recipe: Mapping[str, Any]) -> str:
    return ", once the tower had learnt to name more" if recipe["seeing"] else ""


def _unsafe(examples: Mapping[str, Sequence[Example]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for some in examples.values():
        for one in some:
            for key in one.truth.flagged:
                counts[key] = counts.get(key, 0) + 1
    return counts


def _rows(data: Mapping[str, Any]) -> str:
    rows = (f"| {s} | {data['images'][s]} | {data['answers'][s]} |" for s in data["images"])
    return "\n".join(rows)


def _list(values: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _bullets(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in values.items() if value != "")
