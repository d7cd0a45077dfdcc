"""Instruction tuning of the reasoner with transformers' Trainer, on one device or several."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from counterveil.lab.training.loop import terminal_progress
from counterveil.lab.training.reasoner.dataset import (
    Collator,
    Example,
    ReasonerDataset,
    SamplingConfig,
)
from counterveil.reasoning.conditional import ConditionalBlip

logger = logging.getLogger(__name__)

SMALL = "small"  # initial weights: none; train the small model for the drawn scenes from scratch


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
