"""Calibration, metrics and model card of a trained reasoner."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize

from counterveil import __version__
from counterveil.atomic import write_atomic
from counterveil.images import load
from counterveil.lab.training.loop import track
from counterveil.lab.training.reasoner.dataset import Example, SamplingConfig, draw_control_code
from counterveil.lab.training.reasoner.finetuning import ReasonerTrainConfig
from counterveil.reasoning.conditional import ConditionalBlip

CARD = "README.md"  # name under which a model hub shows the card
MAX_SCALE, MAX_SHIFT = 20.0, 10.0
"""Bounds of the calibration; a model that needs more has not learned the task."""
_BATCH = 16
_LOG_SCALE_STD, _SHIFT_STD = 1.0, 2.0
"""Standard deviations of the priors on log scale and shift, both with mean 0 (no change)."""


@dataclass(frozen=True, eq=False)
class YesNoPredictions:
    """Predictions for yes/no questions."""

    log_odds: np.ndarray  # of yes, (N,)
    labels: np.ndarray  # true answers, (N,) bool, True = yes

    def metrics(self) -> dict[str, float]:
        """Number of answers, accuracy, balanced accuracy and log loss; empty without answers."""
        if not len(self.log_odds):
            return {}
        correct = (self.log_odds >= 0) == self.labels
        classes = [correct[self.labels], correct[~self.labels]]
        signs = np.where(self.labels, -1.0, 1.0)
        return {
            "answers": len(correct),
            "accuracy": float(correct.mean()),
            "balanced_accuracy": float(np.mean([each.mean() for each in classes if len(each)])),
            "log_loss": float(np.logaddexp(0, signs * self.log_odds).mean()),
        }


def predict_yes_no(
    blip: ConditionalBlip, examples: Sequence[Example], sampling: SamplingConfig, *, seed: int
) -> YesNoPredictions:
    """Ask all yes/no questions, with control codes drawn as in training."""
    rng = np.random.default_rng([seed, 5])
    log_odds: list[float] = []
    labels: list[bool] = []
    for start in track(range(0, len(examples), _BATCH), "asking"):
        batch = examples[start : start + _BATCH]
        asked = [[a for a in example.truth.answers if a.yes is not None] for example in batch]
        codes = [
            draw_control_code(e.truth.flagged, blip.control_config.categories, sampling, rng)
            for e in batch
        ]
        predictions = blip.answer(
            [load(example.image)[0].pixels for example in batch],
            [[answer.question for answer in answers] for answers in asked],
            codes,
            text=False,
        )
        for answers, predicted in zip(asked, predictions, strict=True):
            labels += [bool(answer.yes) for answer in answers]
            log_odds += [_log_odds(each.p_yes) for each in predicted]
    return YesNoPredictions(np.array(log_odds, float), np.array(labels, bool))


def calibrate_yes_no(
    blip: ConditionalBlip, examples: Sequence[Example], sampling: SamplingConfig, *, seed: int
) -> tuple[float, float]:
    """Fit scale and shift of P(yes) on validation examples and set them; returns both."""
    blip.calibrate(1.0, 0.0)
    predictions = predict_yes_no(blip, examples, sampling, seed=seed)
    scale, shift = fit_platt_scaling(predictions.log_odds, predictions.labels)
    blip.calibrate(scale, shift)
    return scale, shift


def fit_platt_scaling(log_odds: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Scale and shift of log-odds ``(N,)`` with the highest posterior given ``labels`` ``(N,)``.

    A few answers that are all correct would make the scale grow without limit. Hence Platt's
    smoothed targets instead of 0 and 1, and a prior on both parameters with the weight of one
    answer.

    References:
        Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2.
    """
    yes, no = int(labels.sum()), int((~labels).sum())
    if not yes or not no:
        return 1.0, 0.0
    target = np.where(labels, (yes + 1) / (yes + 2), 1 / (no + 2))

    def negative_log_posterior(parameters: np.ndarray) -> float:
        log_scale, shift = parameters
        z = np.exp(log_scale) * log_odds + shift
        loss = (np.logaddexp(0, z) - target * z).sum()
        return float(loss + (log_scale / _LOG_SCALE_STD) ** 2 / 2 + (shift / _SHIFT_STD) ** 2 / 2)

    log_max = float(np.log(MAX_SCALE))
    bounds = ((-log_max, log_max), (-MAX_SHIFT, MAX_SHIFT))
    found = minimize(negative_log_posterior, np.zeros(2), method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(found[0])), float(found[1])


def _log_odds(p: float | None) -> float:
    assert p is not None  # ConditionalBlip answers every question
    clipped = min(max(p, 1e-9), 1 - 1e-9)
    return float(np.log(clipped) - np.log1p(-clipped))


def training_metrics(
    examples: Mapping[str, Sequence[Example]], config: ReasonerTrainConfig
) -> dict[str, Any]:
    """Configuration and data of a training as plain values; paths by their last name alone."""
    if Path(config.start).is_dir():
        config = replace(config, start=Path(config.start).name)
    config = replace(config, deepspeed=Path(config.deepspeed).name)
    unsafe: dict[str, int] = {}
    for example in (example for split in examples.values() for example in split):
        for key in example.truth.flagged:
            unsafe[key] = unsafe.get(key, 0) + 1
    return {
        "config": asdict(config),
        "data": {
            "images": {split: len(found) for split, found in examples.items()},
            "answers": {
                split: sum(len(example.truth.answers) for example in found)
                for split, found in examples.items()
            },
            "unsafe": unsafe,
            "sha256": dataset_digest(examples),
        },
    }


def dataset_digest(examples: Mapping[str, Sequence[Example]]) -> str:
    """sha256 of splits, image names, flagged categories, questions and answers."""
    digest = hashlib.sha256()
    for split, found in examples.items():
        for example in sorted(found, key=lambda each: str(each.image)):
            answers = [(a.question, a.answer, a.yes) for a in example.truth.answers]
            value = [split, example.image.name, list(example.truth.flagged), answers]
            digest.update(json.dumps(value).encode() + b"\n")
    return digest.hexdigest()


def write_metrics_and_card(
    out: Path, metrics: Mapping[str, Any], *, categories: Sequence[str]
) -> None:
    """Write ``metrics.json`` and the model card into the model's folder."""
    text = json.dumps(metrics, indent=1, sort_keys=True) + "\n"
    write_atomic(out / "metrics.json", text.encode())
    write_atomic(out / CARD, model_card(out.name, metrics, categories=categories).encode())


def model_card(name: str, metrics: Mapping[str, Any], *, categories: Sequence[str]) -> str:
    """The model card, Markdown with the metadata of a model hub."""
    config, data = metrics["config"], metrics["data"]
    limits = (
        "It was trained only on abstract pictograms drawn by `counterveil scenes`. What it says "
        "about photographs means nothing."
        if metrics["small_model"]
        else "It is as accurate and as biased as its training images and as the model from which "
        "training started."
    )
    results = {name.replace("_", " "): value for name, value in metrics["test"].items()}
    losses = [row["eval_loss"] for row in metrics["history"] if "eval_loss" in row]
    settings = {k: v for k, v in config.items() if k not in ("sampling", "start")}
    splits = "\n".join(
        f"| {split} | {data['images'][split]} | {data['answers'][split]} |"
        for split in data["images"]
    )
    return f"""---
library_name: transformers
pipeline_tag: image-text-to-text
tags: [counterveil, content-moderation, instructblip]
---

# {name}

Describes images and answers a moderator's questions, conditioned on the categories that classifiers
flagged: {", ".join(categories)}. Use it with `counterveil run --reasoner blip:FOLDER`.

## Use and limits

{limits} Its answers are not decisions: a person decides. The control code may be wrong; the model
is trained to look at the image nevertheless. `counterveil bench reasoning` measures how well it
does so. The figures below describe only images of the training data's own test split.

## Data

| split | images | answers |
|---|---|---|
{splits}

Unsafe images: {_listed(data["unsafe"])}. sha256 of splits, names, questions and answers:
`{data["sha256"]}`.

## Metrics

Yes/no questions on the test split, with control codes correct, absent and wrong at the rates of
training: {_listed(results) or "no such images"}. Validation losses during training:
{", ".join(f"{loss:.4f}" for loss in losses) or "none"}. P(yes) is calibrated on the validation
split: scale {metrics["scale"]:.3f}, shift {metrics["shift"]:.3f}.

## Training

- start: {config["start"]}
- frozen: vision encoder and language model{_vision_training(config)}
{_bullets(settings)}
{_bullets(config["sampling"])}
- torch {torch.__version__.split("+")[0]}, counterveil {__version__}
"""


def _vision_training(config: Mapping[str, Any]) -> str:
    return ", after further training of the vision encoder" if config["vision_epochs"] else ""


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _bullets(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in values.items() if value != "")
