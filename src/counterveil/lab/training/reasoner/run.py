"""Trains a reasoner from scenes or reviewed answers; writes model, metrics and model card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from counterveil.categories import Category
from counterveil.errors import UsageError
from counterveil.lab.training.dataset import ANY_CATEGORY, decode_samples, index_dataset
from counterveil.lab.training.evaluation import terminal_progress
from counterveil.lab.training.object_pretraining import ObjectPretrainer
from counterveil.lab.training.reasoner import evaluation, instruction_data, pretraining
from counterveil.lab.training.reasoner import small_model as small
from counterveil.lab.training.reasoner.dataset import (
    Collator,
    Example,
    ReasonerDataset,
    SamplingConfig,
    readable_examples,
    scene_examples,
)
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
    for split in ("train", "validation"):
        if not examples[split]:
            raise UsageError(f"{data} has no images of the split {split}; add some")
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
    samples = index_dataset(data, category=ANY_CATEGORY).samples["train"]
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


SMALL = "small"  # initial weights: none; train the small model for the proxy scenes from scratch


@dataclass(frozen=True)
class ReasonerTrainConfig:
    """Configuration of a training; the defaults are the paper's for a stock checkpoint."""

    start: str  # folder or hub repository of an InstructBLIP, or small
    epochs: int = 2  # over the images
    max_steps: int = 0  # steps after which training ends early; 0 = no limit
    batch_size: int = 16  # images of one step and device
    learning_rate: float = 5e-5  # peak; AdamW, cosine schedule with warm-up
    weight_decay: float = 0.05  # of AdamW
    # of questions, control codes and augmentations
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    object_pretraining_epochs: int = 0  # small: epochs over thumbnails for its vision encoder
    # epochs over whole images for the vision encoder of a trained small model
    vision_epochs: int = 0
    language_pretraining_steps: int = 0  # small: steps for its language model
    qformer_pretraining_steps: int = 0  # small: steps for its Q-Former
    colour_jitter: float = 0.0  # largest relative change of a colour channel
    control_tokens: int = 4  # for each category
    seed: int = 0  # of all random numbers
    precision: str = "float32"  # bfloat16 or float32
    deepspeed: str = ""  # path of a DeepSpeed configuration, or empty


def finetune(
    blip: ConditionalBlip,
    examples: dict[str, list[Example]],
    out: Path,
    config: ReasonerTrainConfig,
    *,
    resume: bool,
) -> Any:
    """Train Q-Former, control embeddings and projection, in place; returns the ``Trainer``."""
    from transformers import PrinterCallback, Trainer

    train, validation = (
        ReasonerDataset(examples[split], blip, config.sampling, seed=seed)
        for split, seed in (("train", config.seed), ("validation", config.seed + 1))
    )
    freeze_pretrained(blip.model)
    with terminal_progress() as progress:
        trainer = Trainer(
            model=blip.model,
            args=_training_arguments(out, config, len(train)),
            train_dataset=train,
            eval_dataset=validation,
            data_collator=Collator(blip, colour_jitter=config.colour_jitter),
            callbacks=[_callback(train, progress)],
        )
        trainer.remove_callback(PrinterCallback)  # the callback logs the same
        checkpoints = sorted((out / "checkpoints").glob("checkpoint-*"))
        trainer.train(resume_from_checkpoint=bool(resume and checkpoints))
    blip.model.eval()
    blip.model.config.use_cache = True  # Trainer turns it off, which would slow down generation
    return trainer


def freeze_pretrained(model: torch.nn.Module) -> None:
    """Freeze vision encoder and language model; the other parameters are trained."""
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("vision_model.", "language_model."))
        parameter.requires_grad_(not frozen)


def _training_arguments(out: Path, config: ReasonerTrainConfig, images: int) -> Any:
    from transformers import TrainingArguments

    steps = -(-images // config.batch_size) * config.epochs
    limited = 0 < config.max_steps < steps
    steps = config.max_steps if limited else steps
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        num_train_epochs=config.epochs,
        max_steps=steps if limited else -1,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=min(1000, steps // 20),
        bf16=config.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=0.25,
        save_strategy="steps",
        save_steps=max(1, min(500, steps // 4)),
        save_total_limit=1,
        logging_steps=max(1, min(100, steps // 10)),
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=0,
        disable_tqdm=True,
        report_to=[],
        seed=config.seed,
        deepspeed=config.deepspeed or None,
    )
    # One process for each GPU: DataParallel would separate questions from their images.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def _callback(dataset: ReasonerDataset, progress: Progress) -> Any:
    from transformers import TrainerCallback

    task = progress.add_task("training", total=None)

    class LogCallback(TrainerCallback):  # type: ignore[misc]
        """Sets the epoch of the data set, moves the progress bar and logs losses."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress.update(task, total=state.max_steps, completed=state.global_step)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            dataset.epoch = round(state.epoch or 0)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress.advance(task)

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any
        ) -> None:
            values = ", ".join(f"{k} {v:.4g}" for k, v in logs.items() if isinstance(v, float))
            if state.is_world_process_zero:
                logger.info(f"step {state.global_step}/{state.max_steps}: {values}")

    return LogCallback()
