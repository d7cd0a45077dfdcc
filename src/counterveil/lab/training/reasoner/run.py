"""Trains a reasoner from scenes or reviewed answers; writes model, metrics and model card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterveil.categories import Category
from counterveil.errors import UsageError
from counterveil.lab.training.dataset import (
    ANY_CATEGORY,
    SplitName,
    check_counts,
    decode_samples,
    index_dataset,
)
from counterveil.lab.training.object_pretraining import ObjectPretrainer
from counterveil.lab.training.reasoner import evaluation, instruction_data, pretraining
from counterveil.lab.training.reasoner import small_model as small
from counterveil.lab.training.reasoner.dataset import Example, readable_examples, scene_examples
from counterveil.lab.training.reasoner.finetuning import SMALL, ReasonerTrainConfig, finetune
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.options import GREEDY

logger = logging.getLogger(__name__)

MAX_VALIDATION_IMAGES = 1000
"""Enough for a validation loss and for the two parameters of the calibration."""
MAX_TEST_IMAGES = 1000  # images that the metrics of the model card are measured on


def train_reasoner(
    data: Path,
    out: Path,
    config: ReasonerTrainConfig,
    *,
    categories: Sequence[Category] | None = None,
    images: Path | None = None,
    unreviewed: bool = False,
    resume: bool,
) -> None:
    """Train a reasoner and write it with metrics and model card.

    Vision encoder and language model are frozen; Q-Former, control embeddings and projection are
    trained, as in the paper and in InstructBLIP.

    Args:
        data: folder of scenes, or JSON lines of
            :mod:`counterveil.lab.training.reasoner.instruction_data`.
        out: folder to write.
        config: of the training.
        categories: that a stock checkpoint is conditioned on; the paper's if ``None``.
        images: folder of the images of the JSON lines; the folder of that file if ``None``.
        unreviewed: also train on answers that nobody has reviewed.
        resume: continue from the last checkpoint.

    Raises:
        UsageError: the data or an option cannot be used, or images are unsafe in a category that
            the model is not conditioned on.
        ModelError: the initial checkpoint cannot be loaded.
    """
    if config.start != SMALL:  # keeps settings without effect out of the model card
        config = replace(config, object_pretraining_epochs=0)
        config = replace(config, language_pretraining_steps=0, qformer_pretraining_steps=0)
    elif data.is_file():
        raise UsageError(
            f"the small model learns from a folder of scenes, but {data} is a file; draw scenes "
            "with `counterveil scenes`, or pass another --start"
        )
    examples = _load_examples(data, images, unreviewed=unreviewed)
    out.mkdir(parents=True, exist_ok=True)
    blip = _initial_model(data, examples["train"], out / "start", config, categories, resume=resume)
    check_categories(examples, blip)
    trainer = finetune(blip, examples, out, config, resume=resume)
    if trainer.is_world_process_zero():  # all processes hold the same weights
        _finish(blip, examples, out, config, trainer.state.log_history)


def check_categories(examples: dict[str, list[Example]], blip: ConditionalBlip) -> None:
    """Check that the model is conditioned on every category of the examples.

    Raises:
        UsageError: names the missing categories.
    """
    flagged = {key for split in examples.values() for each in split for key in each.truth.flagged}
    unknown = sorted(flagged - set(blip.control_config.categories))
    if unknown:
        raise UsageError(
            f"images are unsafe in {', '.join(unknown)}, but the model is conditioned only on "
            f"{', '.join(blip.control_config.categories)}; pass a profile with all of these "
            "categories (--profile) and start from a stock checkpoint"
        )


def _load_examples(
    data: Path, images: Path | None, *, unreviewed: bool
) -> dict[str, list[Example]]:
    found: Sequence[Example]
    if data.is_file():
        found = instruction_data.examples(data, images or data.parent, unreviewed=unreviewed)
    else:
        found = scene_examples(data)
    examples: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    for example in readable_examples(found):
        examples[example.split].append(example)
    needed: tuple[SplitName, ...] = ("train", "validation")
    check_counts(
        data,
        {split: {"with answers": len(examples[split])} for split in needed},
        "Add images; those that could not be read do not count.",
    )
    examples["validation"] = examples["validation"][:MAX_VALIDATION_IMAGES]
    return examples


def _initial_model(
    data: Path,
    examples: Sequence[Example],
    start: Path,
    config: ReasonerTrainConfig,
    categories: Sequence[Category] | None,
    *,
    resume: bool,
) -> ConditionalBlip:
    if config.start == SMALL:
        blip = _pretrained_small_model(data, examples, start, config, resume=resume)
    else:
        blip = ConditionalBlip.from_pretrained(
            config.start, categories=categories, tokens=config.control_tokens
        )
        if config.vision_epochs:
            _train_vision_further(blip, data, start, config, resume=resume)
    own = blip.control_config.categories
    wanted = own if categories is None else tuple(category.key for category in categories)
    if wanted != own:
        raise UsageError(
            f"{config.start} is already conditioned on {', '.join(own)}, but the profile has "
            f"{', '.join(wanted)}; omit --profile, or start from a stock checkpoint"
        )
    return blip


def _pretrained_small_model(
    data: Path,
    examples: Sequence[Example],
    start: Path,
    config: ReasonerTrainConfig,
    *,
    resume: bool,
) -> ConditionalBlip:
    """The small model after pretraining of all its parts; saved in ``start`` for resuming."""
    if resume and (start / "config.json").is_file():
        return ConditionalBlip.from_pretrained(start, generation=GREEDY)
    blip = small.build_small_model(seed=config.seed)
    seed, precision, epochs = config.seed, config.precision, config.object_pretraining_epochs
    pretraining.pretrain_language_model(
        blip, steps=config.language_pretraining_steps, seed=seed, precision=precision
    )
    _pretrain_vision(blip, data, config, epochs, max(1, epochs // 4), 1e-3)
    pretraining.pretrain_qformer(
        blip, examples, steps=config.qformer_pretraining_steps, seed=seed, precision=precision
    )
    blip.save_pretrained(start)
    return blip


def _train_vision_further(
    blip: ConditionalBlip, data: Path, start: Path, config: ReasonerTrainConfig, *, resume: bool
) -> None:
    """Train the vision encoder of a small model, in place; saved in ``start`` for resuming."""
    encoder = blip.model.vision_model
    if not small.is_small_model(blip) or not data.is_dir():
        raise UsageError(
            "only the vision encoder of a small reasoner can be trained, and only on scenes; "
            "omit --vision-epochs"
        )
    if resume and (start / "config.json").is_file():
        saved = ConditionalBlip.from_pretrained(start, generation=GREEDY)
        encoder.load_state_dict(saved.model.vision_model.state_dict())
        return
    encoder.requires_grad_(True)
    _pretrain_vision(blip, data, config, 0, config.vision_epochs, 5e-4)
    blip.save_pretrained(start)


def _pretrain_vision(
    blip: ConditionalBlip,
    data: Path,
    config: ReasonerTrainConfig,
    epochs: int,
    image_epochs: int,
    learning_rate: float,
) -> None:
    samples = index_dataset(data, category=ANY_CATEGORY, required=()).samples["train"]
    arrays = decode_samples(samples, small.INPUT_SIZE, small.INPUT_SIZE)
    processor = blip.processor.image_processor
    mean = torch.tensor(processor.image_mean).view(1, 3, 1, 1)
    std = torch.tensor(processor.image_std).view(1, 3, 1, 1)

    def preprocess(views: np.ndarray, rng: np.random.Generator) -> Tensor:
        jittered = views * rng.uniform(0.8, 1.2, (len(views), 1, 1, 3)).astype(np.float32)
        x = torch.from_numpy(jittered).permute(0, 3, 1, 2).clamp(0, 255) / 255
        return ((x - mean) / std).float()

    ObjectPretrainer(
        blip.model.vision_model,
        arrays,
        epochs=epochs,
        image_epochs=image_epochs,
        batch_size=128,
        learning_rate=learning_rate,
        background_augmentation=0.3,
        seed=config.seed,
        precision=config.precision,
        build_head=small.PatchHead,
    ).run(preprocess)
    blip.model.vision_model.eval()


def _finish(
    blip: ConditionalBlip,
    examples: dict[str, list[Example]],
    out: Path,
    config: ReasonerTrainConfig,
    history: list[dict[str, Any]],
) -> None:
    """Calibrate, evaluate and write the model; a small model in half precision."""
    half, seed = small.is_small_model(blip), config.seed
    if half:
        blip.model.half().float()  # round now, so that the rounded weights are evaluated
    validation, test = examples["validation"], examples["test"][:MAX_TEST_IMAGES]
    scale, shift = evaluation.calibrate_yes_no(blip, validation, config.sampling, seed=seed)
    logger.info(f"P(yes) calibrated: scale {scale:.3f}, shift {shift:.3f}")
    predictions = evaluation.predict_yes_no(blip, test, config.sampling, seed=seed + 1)
    if half:
        blip.model.half()
    blip.save_pretrained(out)
    metrics = {
        **evaluation.training_metrics(examples, config),
        "small_model": half,
        "scale": scale,
        "shift": shift,
        "history": history,
        "test": predictions.metrics(),
    }
    evaluation.write_metrics_and_card(out, metrics, categories=blip.control_config.categories)
