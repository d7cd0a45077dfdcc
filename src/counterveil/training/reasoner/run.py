"""From images with questions and answers to a reasoner."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterveil.errors import UsageError
from counterveil.reasoning import ConditionalBlip
from counterveil.reasoning.proxy import GENERATION
from counterveil.training.data import ANY, decode, find
from counterveil.training.naming import Namer
from counterveil.training.reasoner import instruct as instruct_data
from counterveil.training.reasoner import small
from counterveil.training.reasoner.calibration import calibrate
from counterveil.training.reasoner.contrast import teach_queries
from counterveil.training.reasoner.examples import Example, scene_examples
from counterveil.training.reasoner.language import teach_language
from counterveil.training.reasoner.lessons import Collator, Lessons, Mix
from counterveil.training.tower import tap_tower

Report = Callable[[str], None]
VALIDATION = 1000
"""Most validation images asked about: enough for a loss and for two numbers."""
SMALL = "small"
"""Instead of a checkpoint: the small one for the proxy scenes, from scratch."""


@dataclass(frozen=True)
class ReasonerRecipe:
    """How to train a reasoner; the defaults are for a stock checkpoint, as the paper trains it.

    Attributes:
        start: folder or hub repository of an InstructBLIP, or ``small``.
        epochs: passes over the images.
        steps: after which training ends, where it has not ended before; 0 = none.
        batch: images a step and device.
        rate: largest learning rate, AdamW, cosine after a warm-up.
        decay: weight decay.
        mix: what is shown how often.
        naming: passes over thumbnails, for ``small``: its vision tower first learns to name
            things.
        language: steps in which the language model of ``small`` learns to speak of things.
        queries: steps in which the Q-Former of ``small`` learns to name what the tower sees.
        gain: most by which a colour channel is made darker or brighter.
        tokens: control tokens a category.
        seed: of everything random.
        precision: ``bfloat16`` or ``float32``.
        deepspeed: path of a DeepSpeed configuration; empty without.
    """

    start: str
    epochs: int = 2
    steps: int = 0
    batch: int = 16
    rate: float = 5e-5
    decay: float = 0.05
    mix: Mix = field(default_factory=Mix)
    naming: int = 0
    language: int = 0
    queries: int = 0
    gain: float = 0.0
    tokens: int = 4
    seed: int = 0
    precision: str = "float32"
    deepspeed: str = ""

    def autocast(self) -> AbstractContextManager[Any]:
        """To be entered anew for each forward."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast("cpu", torch.bfloat16)


def train(
    data: Path,
    out: Path,
    recipe: ReasonerRecipe,
    *,
    images: Path | None = None,
    unreviewed: bool = False,
    resume: bool,
    report: Report,
) -> None:
    """Train a reasoner and write it, with metrics and a card.

    Args:
        data: scenes, or the JSON lines of :mod:`counterveil.training.reasoner.instruct`.
        out: folder to write.
        recipe: how.
        images: the folder that the JSON lines speak of; theirs where ``None``.
        unreviewed: learn proposals that nobody has reviewed, too.
        resume: go on from the last checkpoint.
        report: told a line now and then.

    The vision tower and the language model are frozen; the Q-Former, the control embeddings and
    the projection learn (the paper's recipe, and InstructBLIP's).

    Raises:
        UsageError: the folder or an option is not usable.
        ModelError: the checkpoint to start from cannot be had.
    """
    examples = _examples(data, images, unreviewed=unreviewed)
    out.mkdir(parents=True, exist_ok=True)
    if recipe.start == SMALL:
        blip = _small(data, examples["train"], out / "start", recipe, resume=resume, report=report)
    else:
        blip = ConditionalBlip.from_pretrained(recipe.start, tokens=recipe.tokens)
    history = instruct(blip, examples, out, recipe, resume=resume, report=report)
    scale, shift = calibrate(blip, examples["validation"], recipe.mix, seed=recipe.seed)
    report(f"P(yes) calibrated: scale {scale:.3f}, shift {shift:.3f}")
    blip.save_pretrained(out)
    metrics = {"recipe": asdict(recipe), "scale": scale, "shift": shift, "history": history}
    _write(out / "metrics.json", metrics)


def instruct(
    blip: ConditionalBlip,
    examples: dict[str, list[Example]],
    out: Path,
    recipe: ReasonerRecipe,
    *,
    resume: bool,
    report: Report,
) -> list[dict[str, Any]]:
    """Learn to answer, with codes; returns what was measured on the way."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    lessons = Lessons(examples["train"], blip, recipe.mix, seed=recipe.seed)

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            lessons.epoch = round(state.epoch or 0)

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any
        ) -> None:
            shown = ", ".join(f"{k} {v:.4g}" for k, v in logs.items() if isinstance(v, float))
            report(f"step {state.global_step}/{state.max_steps}: {shown}")

    model = blip.model
    freeze(model)
    steps = -(-len(lessons) // recipe.batch) * recipe.epochs
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
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=lessons,
        eval_dataset=Lessons(examples["validation"], blip, recipe.mix, seed=recipe.seed + 1),
        data_collator=Collator(blip, gain=recipe.gain),
        callbacks=[Watch()],
    )
    found = sorted((out / "checkpoints").glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=bool(resume and found))
    model.eval()
    history: list[dict[str, Any]] = trainer.state.log_history
    return history


def freeze(model: torch.nn.Module) -> None:
    """Let only the Q-Former, its queries, the control embeddings and the projection learn."""
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("vision_model.", "language_model."))
        parameter.requires_grad_(not frozen)


def _examples(data: Path, images: Path | None, *, unreviewed: bool) -> dict[str, list[Example]]:
    examples: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    if data.is_file():
        found = instruct_data.examples(data, images or data.parent, unreviewed=unreviewed)
    else:
        found = scene_examples(data)
    for example in found:
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
        return ConditionalBlip.from_pretrained(start, generation=GENERATION)
    blip = small.new(seed=recipe.seed)
    teach_language(
        blip,
        steps=recipe.language,
        batch=64,
        rate=2e-3,
        seed=recipe.seed,
        precision=recipe.autocast,
        report=report,
        step=_nothing,
    )
    _teach_tower(blip, data, recipe, report)
    teach_queries(
        blip,
        examples,
        steps=recipe.queries,
        batch=16,
        rate=1e-3,
        seed=recipe.seed,
        precision=recipe.autocast,
        report=report,
    )
    blip.save_pretrained(start)
    return blip


def _teach_tower(blip: ConditionalBlip, data: Path, recipe: ReasonerRecipe, report: Report) -> None:
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
        passes=recipe.naming,
        full=max(1, recipe.naming // 4),
        batch=128,
        rate=1e-3,
        grounds=0.3,
        seed=recipe.seed,
        precision=recipe.autocast,
        tap=tap_tower,
    ).run(prepare, report=report, step=_nothing)
    blip.model.vision_model.eval()


def _nothing() -> None:
    pass


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", "utf-8")
