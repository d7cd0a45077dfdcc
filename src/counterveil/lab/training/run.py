"""Trains a classifier from a folder and writes weights, metrics and a model card."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from counterveil import __version__
from counterveil.atomic import write_atomic
from counterveil.classifiers.checkpoints import load_file
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.lab.training.classifier import ClassifierTrainer, TrainConfig
from counterveil.lab.training.dataset import (
    SPLITS,
    DatasetIndex,
    ImageArrays,
    SplitName,
    check_decoded,
    decode_samples,
    index_dataset,
)
from counterveil.lab.training.evaluation import (
    accuracy_by_group,
    accuracy_under_masks,
    fit_logit_shift,
    predict,
    shift_output_bias,
)

logger = logging.getLogger(__name__)


def train_classifier(
    data: Path,
    out: Path,
    config: TrainConfig,
    *,
    category: str | None,
    unsafe: str | None,
    size: int,
    resume: bool,
) -> None:
    """Train a classifier and write ``out`` with its metrics and model card beside it.

    Args:
        data: folder; see :func:`index_dataset`, also for ``category`` and ``unsafe``.
        out: weights to write, ``.safetensors``.
        config: what needs masks or annotations is switched off if the data set has none.
        category: trained category of scenes.
        unsafe: unsafe class of an ImageFolder.
        size: side of the input, pixels.
        resume: continue from the checkpoint.

    Raises:
        UsageError: the folder or an option cannot be used.
        ModelError: the initial weights cannot be read or downloaded.
    """
    index = index_dataset(data, category=category, unsafe=unsafe)
    out.parent.mkdir(parents=True, exist_ok=True)
    if not index.has_masks:
        config = replace(config, localization_weight=0.0)
    if not index.has_classes:
        config = replace(config, object_pretraining_epochs=0, background_augmentation=0.0)
    arrays: dict[SplitName, ImageArrays] = {
        split: decode_samples(index.samples[split], size, size, description=f"reading {split}")
        for split in SPLITS
    }
    check_decoded(data, index, arrays)
    checkpoint = out.with_suffix(".checkpoint")
    trainer = ClassifierTrainer(
        config, arrays["train"], arrays["validation"], checkpoint=checkpoint
    )
    if resume and trainer.resume():
        logger.info(f"resumed after epoch {trainer.state.epoch}")
    trainer.run()
    shift = _write_calibrated(out, trainer, arrays["validation"], index)
    metrics = {"logit_shift": shift, **_metrics(out, trainer, arrays)}
    write_atomic(out.with_suffix(".metrics.json"), (json.dumps(metrics, indent=1) + "\n").encode())
    card = _model_card(out.name, metrics, category=category, digest=index.digest)
    write_atomic(out.with_suffix(".md"), card.encode())
    checkpoint.unlink()
    logger.info(f"wrote {out}: accuracy {metrics['test']['all']:.4f} on the test split")


def _write_calibrated(
    out: Path, trainer: ClassifierTrainer, validation: ImageArrays, index: DatasetIndex
) -> float:
    """Write the best weights, calibrated on the validation split; returns the logit shift."""
    config, classifier = trainer.config, trainer.best_classifier()
    scores = predict(classifier, validation)
    cost = config.false_negative_cost
    shift = fit_logit_shift(scores, validation.unsafe, false_negative_cost=cost)
    weights = shift_output_bias(trainer.state.best_weights, classifier.module, shift)
    write_weights(
        out, weights, architecture=config.architecture, spec=trainer.spec, digest=index.digest
    )
    return shift


def write_weights(
    path: Path, state: Mapping[str, Tensor], *, architecture: str, spec: InputSpec, digest: str
) -> None:
    """Write safetensors with metadata; the matrices of ``slim`` in half precision."""
    half = architecture == "slim"
    tensors = {
        key: (value.half() if half and value.ndim > 1 else value).contiguous()
        for key, value in state.items()
    }
    metadata = {
        "architecture": architecture,
        "classes": 2,
        "unsafe": [1],
        "input": {key: getattr(spec, key) for key in ("height", "width", "mean", "std", "mode")},
        "version": __version__,
        "data": digest,
    }
    write_atomic(path, save(tensors, {"counterveil": json.dumps(metadata, sort_keys=True)}))


def _metrics(
    out: Path, trainer: ClassifierTrainer, arrays: dict[SplitName, ImageArrays]
) -> dict[str, Any]:
    """Metrics of the written file; it is read back because half precision changes the scores."""
    config = trainer.config
    classifier = load_file(out, name=out.name, device=config.device)
    test = arrays["test"]
    return {
        # The name alone: a path would tell about the machine.
        "config": asdict(replace(config, start=Path(config.start).name)),
        "images": {split: len(arrays[split]) for split in SPLITS},
        "best_validation_accuracy": trainer.state.best_accuracy,
        "test": {**accuracy_by_group(classifier, test), **accuracy_under_masks(classifier, test)},
        "history": trainer.state.history,
    }


def _model_card(name: str, metrics: Mapping[str, Any], *, category: str | None, digest: str) -> str:
    rows = "\n".join(f"| {key.replace('_', ' ')} | {v:.4f} |" for key, v in metrics["test"].items())
    images = metrics["images"]
    settings = "\n".join(f"- {key}: {value}" for key, value in metrics["config"].items())
    limits = (
        "It was trained only on abstract pictograms drawn by `counterveil scenes`. Its scores of "
        "photographs mean nothing."
        if category
        else "It is as accurate and as biased as the images of its training folder."
    )
    return f"""# {name}

A binary image classifier for {category or "the classes of an image folder"}. Output 1 is *unsafe*.

## Use and limits

{limits} A score is not a decision: a person decides.

## Accuracy on the test split

| images | accuracy |
|---|---|
{rows}

The test split has {images["test"]} images; none of them was used in training.

## Training

{settings}
- data: sha256 of splits, names and labels {digest}
- shift of the unsafe logit, fitted on the validation split: {metrics["logit_shift"]:.3f}
- images: {images["train"]} for training, {images["validation"]} for validation
- torch {torch.__version__.split("+")[0]}, counterveil {__version__}
"""
