"""From images with questions and answers to a reasoner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from counterveil.categories import Category
from counterveil.errors import UsageError
from counterveil.lab.training.data import ANY, decode, find
from counterveil.lab.training.naming import Namer
from counterveil.lab.training.reasoner import card, small
from counterveil.lab.training.reasoner import instruct as instruct_data
from counterveil.lab.training.reasoner.calibration import ask, calibrate
from counterveil.lab.training.reasoner.contrast import teach_queries
from counterveil.lab.training.reasoner.examples import Example, readable, scene_examples
from counterveil.lab.training.reasoner.language import teach_language
from counterveil.lab.training.reasoner.learning import Learnt, instruct
from counterveil.lab.training.reasoner.recipe import SMALL, ReasonerRecipe
from counterveil.lab.training.tower import tap_tower
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.options import GREEDY

Report = Callable[[str], None]
VALIDATION = 1000
"""Most validation images asked about: enough for a loss and for two numbers."""
TESTED = 1000
"""Most images of the test split that the card's figures are measured on."""


def train(
    data: Path,
    out: Path,
    recipe: ReasonerRecipe,
    *,
    categories: Sequence[Category] | None = None,
    images: Path | None = None,
    unreviewed: bool = False,
    resume: bool,
    report: Report,
) -> None:
    """Train a reasoner and write it, with metrics and a card.

    Args:
        data: scenes, or the JSON lines of :mod:`counterveil.lab.training.reasoner.instruct`.
        out: folder to write.
        recipe: how.
        categories: that a stock checkpoint is conditioned on; the paper's where ``None``.
        images: the folder that the JSON lines speak of; theirs where ``None``.
        unreviewed: learn proposals that nobody has reviewed, too.
        resume: go on from the last checkpoint.
        report: told a line now and then.

    The vision tower and the language model are frozen; the Q-Former, the control embeddings and
    the projection learn (the paper's recipe, and InstructBLIP's).

    Raises:
        UsageError: the folder or an option is not usable, or images are unsafe in a category that
            the model cannot be told of.
        ModelError: the checkpoint to start from cannot be had.
    """
    if recipe.start != SMALL:  # what was not done is not told on the card
        recipe = replace(recipe, naming=0, language=0, queries=0)
    examples = _examples(data, images, unreviewed=unreviewed, report=report)
    out.mkdir(parents=True, exist_ok=True)
    blip = _start(data, examples["train"], out, recipe, categories, resume=resume, report=report)
    check_keys(examples, blip)
    learnt = instruct(blip, examples, out, recipe, resume=resume, report=report)
    if learnt.main:  # all processes hold the same weights
        _finish(blip, examples, out, recipe, learnt, report)


def check_keys(examples: dict[str, list[Example]], blip: ConditionalBlip) -> None:
    """Refuse images that are unsafe in what the code cannot speak of: nothing would be learnt.

    Raises:
        UsageError: names the categories, and what to do.
    """
    flagged = {key for some in examples.values() for one in some for key in one.truth.flagged}
    unknown = sorted(flagged - set(blip.control_config.categories))
    if unknown:
        raise UsageError(
            f"images are unsafe in {', '.join(unknown)}, and the model is conditioned on "
            f"{', '.join(blip.supported_categories)} alone; name the profile that holds all of them"
            " (--profile), and start from a checkpoint that is not conditioned yet"
        )


def _start(
    data: Path,
    examples: Sequence[Example],
    out: Path,
    recipe: ReasonerRecipe,
    categories: Sequence[Category] | None,
    *,
    resume: bool,
    report: Report,
) -> ConditionalBlip:
    if recipe.start == SMALL:
        blip = _small(data, examples, out / "start", recipe, resume=resume, report=report)
    else:
        blip = ConditionalBlip.from_pretrained(
            recipe.start, categories=categories, tokens=recipe.tokens
        )
        if recipe.seeing:
            _see_more(blip, data, out / "start", recipe, resume=resume, report=report)
    wanted = blip.supported_categories if categories is None else tuple(c.key for c in categories)
    if wanted != blip.control_config.categories:
        raise UsageError(
            f"{recipe.start} is conditioned on {', '.join(blip.supported_categories)} already, "
            f"and the profile on {', '.join(wanted)}; leave --profile out, or start from a stock "
            "checkpoint"
        )
    return blip


def _finish(
    blip: ConditionalBlip,
    examples: dict[str, list[Example]],
    out: Path,
    recipe: ReasonerRecipe,
    learnt: Learnt,
    report: Report,
) -> None:
    """Set P(yes) right, measure, write; a small one in half precision, and measured so."""
    half = small.is_small(blip)
    if half:
        blip.model.half().float()
    validation, test = examples["validation"], examples["test"][:TESTED]
    with progress_bar(len(validation), "calibrating") as step:
        scale, shift = calibrate(blip, validation, recipe.mix, seed=recipe.seed, step=step)
    report(f"P(yes) calibrated: scale {scale:.3f}, shift {shift:.3f}")
    with progress_bar(len(test), "testing") as step:
        asked = ask(blip, test, recipe.mix, seed=recipe.seed + 1, step=step)
    if half:
        blip.model.half()
    blip.save_pretrained(out)
    metrics = card.metrics(examples, recipe, learnt.history, small=half, scale=scale, shift=shift)
    metrics["test"] = asked.measures() if len(asked.odds) else {}
    card.write(out, metrics, categories=blip.control_config.categories)


def _examples(
    data: Path, images: Path | None, *, unreviewed: bool, report: Report
) -> dict[str, list[Example]]:
    examples: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    found: Sequence[Example]
    if data.is_file():
        found = instruct_data.examples(data, images or data.parent, unreviewed=unreviewed)
    else:
        found = scene_examples(data)
    with progress_bar(len(found), "reading") as step:
        for example in readable(found, report=report, step=step):
            examples[example.split].append(example)
    for split in ("train", "validation"):
        if not examples[split]:
            raise UsageError(f"{data} has no images of the split {split}; add some")
    examples["validation"] = examples["validation"][:VALIDATION]
    return examples


def _small(
    data: Path,
    examples: Sequence[Example],
    start: Path,
    recipe: ReasonerRecipe,
    *,
    resume: bool,
    report: Report,
) -> ConditionalBlip:
    """The small one, able to see and to speak; kept beside the result, to resume from."""
    if resume and (start / "config.json").is_file():
        return ConditionalBlip.from_pretrained(start, generation=GREEDY)
    blip = small.new(seed=recipe.seed)
    with progress_bar(recipe.language, "language") as step:
        teach_language(
            blip,
            steps=recipe.language,
            batch=64,
            rate=2e-3,
            seed=recipe.seed,
            precision=recipe.autocast,
            report=report,
            step=step,
        )
    full = max(1, recipe.naming // 4)
    _teach_tower(blip, data, recipe, passes=recipe.naming, full=full, rate=1e-3, report=report)
    with progress_bar(recipe.queries, "queries") as step:
        teach_queries(
            blip,
            examples,
            steps=recipe.queries,
            batch=16,
            rate=1e-3,
            seed=recipe.seed,
            precision=recipe.autocast,
            report=report,
            step=step,
        )
    blip.save_pretrained(start)
    return blip


def _see_more(
    blip: ConditionalBlip,
    data: Path,
    start: Path,
    recipe: ReasonerRecipe,
    *,
    resume: bool,
    report: Report,
) -> None:
    """Teach the tower of a small one further, in place; kept beside the result, to resume from."""
    tower = blip.model.vision_model
    if not small.is_small(blip) or not data.is_dir():
        raise UsageError("only a small reasoner learns to see, on scenes; leave --seeing out")
    if resume and (start / "config.json").is_file():
        before = ConditionalBlip.from_pretrained(start, generation=GREEDY)
        tower.load_state_dict(before.model.vision_model.state_dict())
        return
    tower.requires_grad_(True)
    _teach_tower(blip, data, recipe, passes=0, full=recipe.seeing, rate=5e-4, report=report)
    blip.save_pretrained(start)


def _teach_tower(
    blip: ConditionalBlip,
    data: Path,
    recipe: ReasonerRecipe,
    *,
    passes: int,
    full: int,
    rate: float,
    report: Report,
) -> None:
    source = find(data, category=ANY)
    arrays = decode(source.items["train"], small.SIDE, small.SIDE, warn=report, step=_nothing)
    processor = blip.processor.image_processor
    mean = torch.tensor(processor.image_mean).view(1, 3, 1, 1)
    std = torch.tensor(processor.image_std).view(1, 3, 1, 1)

    def prepare(views: np.ndarray, rng: np.random.Generator) -> Tensor:
        lit = views * rng.uniform(0.8, 1.2, (len(views), 1, 1, 3)).astype(np.float32)
        x = torch.from_numpy(lit).permute(0, 3, 1, 2).clamp(0, 255) / 255
        return ((x - mean) / std).float()

    Namer(
        blip.model.vision_model,
        arrays,
        passes=passes,
        full=full,
        batch=128,
        rate=rate,
        grounds=0.3,
        seed=recipe.seed,
        precision=recipe.autocast,
        tap=tap_tower,
    ).run(prepare, report=report, step=_nothing)
    blip.model.vision_model.eval()


def _nothing() -> None:
    pass
