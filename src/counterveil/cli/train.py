"""``counterveil train``: train a classifier or a reasoner."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Train a classifier or a reasoner.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Epochs = Annotated[int, typer.Option(min=1)]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate.")]
BackgroundAugmentation = Annotated[
    float, typer.Option(min=0, max=1, help="Share of the scenes with a replaced background.")
]
Seed = Annotated[int, typer.Option(min=0)]
Precision = Annotated[str, typer.Option(help="auto, bfloat16 or float32.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")]


@app.command()
def classifier(
    context: typer.Context,
    data: Annotated[
        Path, typer.Argument(help="Folder of scenes, or with one folder for each class.")
    ],
    out: Annotated[Path, typer.Option(help="Weights to write, FILE.safetensors.")],
    category: Annotated[
        str | None, typer.Option(help="Category of the scenes to train; any = all of them.")
    ] = None,
    unsafe: Annotated[
        str | None, typer.Option(help="Unsafe class of the folder; 'unsafe' if omitted.")
    ] = None,
    arch: Annotated[str, typer.Option(help="resnet50 (the paper's), resnet18, slim.")] = "resnet50",
    start: Annotated[
        str, typer.Option(help="Initial weights: imagenet, none, or a file.")
    ] = "imagenet",
    epochs: Epochs = 50,
    batch_size: Annotated[int, typer.Option(min=2)] = 64,
    learning_rate: LearningRate = 1e-3,
    mask_augmentation: Annotated[
        bool, typer.Option(help="Veil random regions of the training images.")
    ] = True,
    background_augmentation: BackgroundAugmentation = 0.0,
    object_pretraining_epochs: Annotated[
        int, typer.Option(min=0, help="Epochs of classifying the scenes' objects first.")
    ] = 0,
    false_negative_cost: Annotated[
        float, typer.Option(min=0.1, help="Cost of a miss over a false alarm, in calibration.")
    ] = 1.0,
    size: Annotated[int, typer.Option(min=32, help="Input side, pixels.")] = 224,
    seed: Seed = 0,
    precision: Precision = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    resume: Resume = False,
) -> None:
    """Train a classifier; writes weights, metrics and a model card."""
    from counterveil.errors import UsageError
    from counterveil.lab.training.classifier import TrainConfig
    from counterveil.lab.training.run import train_classifier

    if out.suffix != ".safetensors":
        raise UsageError(
            f"weights are written as safetensors; pass --out {out.with_suffix('.safetensors')}"
        )
    config = TrainConfig(
        architecture=arch,
        **{**_fields(context, TrainConfig), "precision": _precision(precision, device)},
    )
    show_training_log()
    train_classifier(data, out, config, category=category, unsafe=unsafe, size=size, resume=resume)


@app.command()
def reasoner(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help="Folder of scenes, or answers as FILE.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    start: Annotated[
        str, typer.Option(help="Initial InstructBLIP (folder or hub), or small: for the scenes.")
    ],
    profile: Annotated[
        str | None, typer.Option(help="Profile or FILE.toml with the categories to condition on.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images that FILE.jsonl names.")
    ] = None,
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="Also train on answers without a review.")
    ] = False,
    epochs: Epochs = 2,
    max_steps: Annotated[int, typer.Option(min=0, help="Limit of the steps; 0 = none.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images of one step and device.")] = 16,
    learning_rate: LearningRate = 5e-5,
    questions_per_image: Annotated[
        int, typer.Option(min=1, help="Questions asked each time an image is used.")
    ] = 4,
    open_question_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the images with an open question first.")
    ] = 0.0,
    background_augmentation: BackgroundAugmentation = 0.0,
    colour_jitter: Annotated[
        float, typer.Option(min=0, max=1, help="Largest relative change of a colour channel.")
    ] = 0.0,
    object_pretraining_epochs: Annotated[
        int, typer.Option(min=0, help="small: epochs of object pretraining (vision encoder).")
    ] = 3,
    vision_epochs: Annotated[
        int, typer.Option(min=0, help="A trained small model: further vision encoder epochs.")
    ] = 0,
    language_pretraining_steps: Annotated[
        int, typer.Option(min=1, help="small: pretraining steps of the language model.")
    ] = 1500,
    qformer_pretraining_steps: Annotated[
        int, typer.Option(min=1, help="small: pretraining steps of the Q-Former.")
    ] = 1000,
    seed: Seed = 0,
    precision: Precision = "auto",
    deepspeed: Annotated[
        Path | None, typer.Option(help="DeepSpeed configuration, for several GPUs.")
    ] = None,
    resume: Resume = False,
) -> None:
    """Train a reasoner; writes model, metrics and a model card.

    A stock checkpoint is conditioned on the categories of the profile, or on the paper's three;
    a checkpoint that Counterveil trained keeps its own. For several GPUs see examples/deepspeed.
    """
    import torch

    from counterveil.lab.training.reasoner.dataset import SamplingConfig
    from counterveil.lab.training.reasoner.finetuning import ReasonerTrainConfig
    from counterveil.lab.training.reasoner.run import train_reasoner
    from counterveil.profiles import find_profile

    options = _fields(context, ReasonerTrainConfig)
    options["precision"] = _precision(precision, "cuda" if torch.cuda.is_available() else "cpu")
    options["deepspeed"] = str(deepspeed or "")
    config = ReasonerTrainConfig(
        sampling=SamplingConfig(**_fields(context, SamplingConfig)), **options
    )
    show_training_log()
    train_reasoner(
        data,
        out,
        config,
        categories=find_profile(profile).categories if profile else None,
        images=images,
        unreviewed=unreviewed,
        resume=resume,
    )


def _fields(context: typer.Context, config: type) -> dict[str, Any]:
    """The options whose names are fields of a configuration."""
    names = {field.name for field in fields(config)}
    return {name: value for name, value in context.params.items() if name in names}


class _EchoHandler(logging.Handler):
    """Prints log messages on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


def show_training_log() -> None:
    """Print what training logs."""
    logger = logging.getLogger("counterveil.lab.training")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        logger.addHandler(_EchoHandler())


def _precision(name: str, device: str) -> str:
    """``auto``: bfloat16 where the hardware supports it, else float32."""
    import torch

    from counterveil.errors import UsageError

    if name in ("bfloat16", "float32"):
        return name
    if name != "auto":
        raise UsageError(f"unknown precision {name!r}; choose auto, bfloat16 or float32")
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    supported = device == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if supported else "float32"
