"""From a folder to weights, metrics and a card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from counterveil.classifiers.checkpoints import load_file
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.lab.training import card
from counterveil.lab.training.calibration import shift, shifted
from counterveil.lab.training.classifier import Recipe, Trainer
from counterveil.lab.training.data import SPLITS, Arrays, Source, SplitName, decode, find
from counterveil.lab.training.metrics import accuracy_by_group, scores, veiled_safe
from counterveil.progress import progress_bar
from counterveil.types import ModelInfo

Report = Callable[[str], None]


def train(
    data: Path,
    out: Path,
    recipe: Recipe,
    *,
    category: str | None,
    unsafe: str | None,
    size: int,
    resume: bool,
    report: Report,
) -> None:
    """Train a classifier from a folder, and write what came of it.

    Raises:
        UsageError: the folder or an option is not usable.
        ModelError: the weights to start from cannot be had.
    """
    source = find(data, category=category, unsafe=unsafe)
    out.parent.mkdir(parents=True, exist_ok=True)
    if not source.masks:
        recipe = replace(recipe, pointing=0.0)
    if not source.kinds:
        recipe = replace(recipe, naming=0, grounds=0.0)
    arrays = {split: _decoded(source, split, size, report) for split in SPLITS}
    with progress_bar(description="training") as step:
        trainer = Trainer(
            recipe,
            arrays["train"],
            arrays["validation"],
            checkpoint=out.with_suffix(".checkpoint"),
            report=report,
            step=step,
        )
        if resume and trainer.resume():
            report(f"resumed after epoch {trainer.progress.epoch}")
        naming = trainer.namer.steps if trainer.namer else 0
        step.set_total(naming + trainer.steps * (recipe.epochs - trainer.progress.epoch))
        trainer.run()
    by = _write(out, trainer, arrays["validation"], recipe, source)
    recipe = replace(recipe, start=Path(recipe.start).name)
    metrics = {"shift": by, **_metrics(out, recipe, arrays, trainer)}
    card.write_metrics(out, metrics)
    card.write_card(out, recipe=recipe, category=category, metrics=metrics, digest=source.digest)
    out.with_suffix(".checkpoint").unlink()
    report(f"wrote {out}: {metrics['test']['all']:.4f} right on the test split")


def _write(
    out: Path, trainer: Trainer, validation: Arrays, recipe: Recipe, source: Source
) -> float:
    """Write the best weights, their score set right; returns by how much."""
    trainer.module.load_state_dict(trainer.best)
    classifier = TorchClassifier(
        trainer.module, info=ModelInfo("training"), input_spec=trainer.spec, device=recipe.device
    )
    by = shift(scores(classifier, validation), validation.unsafe, misses=recipe.misses)
    card.write_weights(
        out,
        shifted(trainer.best, trainer.module, by),
        recipe=recipe,
        spec=trainer.spec,
        digest=source.digest,
    )
    return by


def _metrics(
    out: Path, recipe: Recipe, arrays: dict[SplitName, Arrays], trainer: Trainer
) -> dict[str, Any]:
    """Of the file that was written, not of what was meant to be written."""
    classifier = load_file(out, name=out.name, device=recipe.device)
    test = arrays["test"]
    return {
        "recipe": asdict(recipe),
        "counts": {split: len(arrays[split]) for split in SPLITS},
        "best validation": trainer.progress.best,
        "test": {**accuracy_by_group(classifier, test), **veiled_safe(classifier, test)},
        "history": trainer.progress.history,
    }


def _decoded(source: Source, split: SplitName, size: int, report: Report) -> Arrays:
    items = source.items[split]
    with progress_bar(len(items), f"reading {split}") as step:
        return decode(items, size, size, warn=report, step=step)
