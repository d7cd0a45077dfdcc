"""Lessons -> weights, by transformers' Trainer, on one device or many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from counterveil.lab.training.reasoner.examples import Example
from counterveil.lab.training.reasoner.lessons import Collator, Lessons
from counterveil.lab.training.reasoner.recipe import ReasonerRecipe
from counterveil.reasoning.conditional import ConditionalBlip


@dataclass(frozen=True, eq=False)
class Learnt:
    """What came of a training.

    Attributes:
        history: what was measured on the way.
        main: this process is the one that writes; one of several GPUs' is.
    """

    history: list[dict[str, Any]]
    main: bool


def instruct(
    blip: ConditionalBlip,
    examples: dict[str, list[Example]],
    out: Path,
    recipe: ReasonerRecipe,
    *,
    resume: bool,
    report: Callable[[str], None],
) -> Learnt:
    """Learn to answer, with codes."""
    from transformers import PrinterCallback, Trainer

    lessons = Lessons(examples["train"], blip, recipe.mix, seed=recipe.seed)
    freeze(blip.model)
    with progress_bar(description="training") as step:
        trainer = Trainer(
            model=blip.model,
            args=_arguments(out, recipe, len(lessons)),
            train_dataset=lessons,
            eval_dataset=Lessons(examples["validation"], blip, recipe.mix, seed=recipe.seed + 1),
            data_collator=Collator(blip, gain=recipe.gain),
            callbacks=[_watch(lessons, step, report)],
        )
        trainer.remove_callback(PrinterCallback)  # it tells on stdout what is reported already
        found = sorted((out / "checkpoints").glob("checkpoint-*"))
        trainer.train(resume_from_checkpoint=bool(resume and found))
    blip.model.eval()
    blip.model.config.use_cache = True  # Trainer turns it off, and what is saved would be slow
    return Learnt(trainer.state.log_history, main=trainer.is_world_process_zero())


def _arguments(out: Path, recipe: ReasonerRecipe, images: int) -> Any:
    from transformers import TrainingArguments

    steps = -(-images // recipe.batch) * recipe.epochs
    ends = 0 < recipe.steps < steps
    steps = recipe.steps if ends else steps
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=recipe.batch,
        per_device_eval_batch_size=recipe.batch,
        num_train_epochs=recipe.epochs,
        max_steps=steps if ends else -1,
        learning_rate=recipe.rate,
        weight_decay=recipe.decay,
        lr_scheduler_type="cosine",
        warmup_steps=min(1000, steps // 20),
        bf16=recipe.precision == "bfloat16",
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
        seed=recipe.seed,
        deepspeed=recipe.deepspeed or None,
    )
    # Several GPUs need a process each: DataParallel would part questions from their images.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def _watch(lessons: Lessons, step: ProgressBar, report: Callable[[str], None]) -> Any:
    from transformers import TrainerCallback

    class CategoryClassifier(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            step.set_total(state.max_steps, completed=state.global_step)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            lessons.epoch = round(state.epoch or 0)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            step()

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any
        ) -> None:
            told = ", ".join(f"{k} {v:.4g}" for k, v in logs.items() if isinstance(v, float))
            if state.is_world_process_zero:
                report(f"step {state.global_step}/{state.max_steps}: {told}")

    return CategoryClassifier()


def freeze(model: torch.nn.Module) -> None:
    """Let only the Q-Former, its queries, the control embeddings and the projection learn."""
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("vision_model.", "language_model."))
        parameter.requires_grad_(not frozen)
