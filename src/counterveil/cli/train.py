"""``counterveil train``: train what Counterveil runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Train a classifier or a reasoner.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def classifier(
    data: Annotated[Path, typer.Argument(help="Scenes, or a folder with a folder a class.")],
    out: Annotated[Path, typer.Option(help="Weights to write, FILE.safetensors.")],
    category: Annotated[
        str | None, typer.Option(help="Which category of the scenes; any = all.")
    ] = None,
    unsafe: Annotated[
        str | None, typer.Option(help="Which class of a folder is unsafe; 'unsafe' if none.")
    ] = None,
    arch: Annotated[str, typer.Option(help="resnet50 (the paper's), resnet18, slim.")] = "resnet50",
    start: Annotated[
        str, typer.Option(help="imagenet, none, or weights of the same architecture.")
    ] = "imagenet",
    epochs: Annotated[int, typer.Option(min=1)] = 50,
    batch: Annotated[int, typer.Option(min=2)] = 64,
    rate: Annotated[float, typer.Option(help="Largest learning rate.")] = 1e-3,
    veils: Annotated[
        bool, typer.Option(help="Train under veils, so that masked images are nothing strange.")
    ] = True,
    grounds: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the scenes that get another ground.")
    ] = 0.0,
    naming: Annotated[
        int, typer.Option(min=0, help="First learn to name the scenes' things, this many passes.")
    ] = 0,
    misses: Annotated[
        float, typer.Option(min=0.1, help="What a miss weighs, over a false alarm, at the end.")
    ] = 1.0,
    size: Annotated[int, typer.Option(min=32, help="Input side, pixels.")] = 224,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    precision: Annotated[str, typer.Option(help="auto, bfloat16 or float32.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
) -> None:
    """Train a classifier; writes weights, metrics and a model card."""
    from counterveil.errors import UsageError
    from counterveil.lab.training.classifier import Recipe
    from counterveil.lab.training.run import train

    if out.suffix != ".safetensors":
        raise UsageError(f"weights are written as safetensors; name {out.stem}.safetensors")
    recipe = Recipe(
        architecture=arch,
        start=start,
        epochs=epochs,
        batch=batch,
        rate=rate,
        veils=veils,
        grounds=grounds,
        naming=naming,
        misses=misses,
        seed=seed,
        precision=_precision(precision, device),
        device=device,
    )
    train(
        data,
        out,
        recipe,
        category=category,
        unsafe=unsafe,
        size=size,
        resume=resume,
        report=lambda line: typer.echo(line, err=True),
    )


@app.command()
def reasoner(
    data: Annotated[Path, typer.Argument(help="Scenes, or questions and answers as FILE.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    start: Annotated[
        str, typer.Option(help="An InstructBLIP (folder or hub), or small: for the scenes.")
    ],
    profile: Annotated[
        str | None,
        typer.Option(help="Whose categories to condition on; a profile or FILE.toml."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images that FILE.jsonl speaks of.")
    ] = None,
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="Learn answers that nobody has reviewed, too.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    steps: Annotated[int, typer.Option(min=0, help="End after so many steps; 0 = do not.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Images a step and device.")] = 16,
    rate: Annotated[float, typer.Option(help="Largest learning rate.")] = 5e-5,
    questions: Annotated[
        int, typer.Option(min=1, help="Asked of an image each time that it is seen.")
    ] = 4,
    opening: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the images first asked an open question."),
    ] = 0.0,
    grounds: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the scenes that get another ground.")
    ] = 0.0,
    gain: Annotated[
        float, typer.Option(min=0, max=1, help="Most that a colour channel is darkened or lit by.")
    ] = 0.0,
    naming: Annotated[
        int, typer.Option(min=0, help="small: passes in which the vision tower learns to name.")
    ] = 3,
    seeing: Annotated[
        int,
        typer.Option(min=0, help="A trained small one: passes in which its tower names further."),
    ] = 0,
    language: Annotated[
        int, typer.Option(min=0, help="small: steps in which the language model learns to speak.")
    ] = 1500,
    queries: Annotated[
        int, typer.Option(min=0, help="small: steps in which the Q-Former learns to name.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    precision: Annotated[str, typer.Option(help="auto, bfloat16 or float32.")] = "auto",
    deepspeed: Annotated[
        Path | None, typer.Option(help="A DeepSpeed configuration, for several GPUs.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
) -> None:
    """Train a reasoner; writes model, metrics and a card.

    A stock checkpoint is conditioned on the categories of the profile, or on the paper's three;
    one that Counterveil trained keeps its own. For several GPUs see examples/deepspeed.
    """
    import torch

    from counterveil.lab.training.reasoner.lessons import Mix
    from counterveil.lab.training.reasoner.recipe import ReasonerRecipe
    from counterveil.lab.training.reasoner.run import train
    from counterveil.profiles import find_profile

    recipe = ReasonerRecipe(
        start=start,
        epochs=epochs,
        steps=steps,
        batch=batch,
        rate=rate,
        mix=Mix(questions=questions, opening=opening, grounds=grounds),
        naming=naming,
        seeing=seeing,
        language=language,
        queries=queries,
        gain=gain,
        seed=seed,
        precision=_precision(precision, "cuda" if torch.cuda.is_available() else "cpu"),
        deepspeed=str(deepspeed or ""),
    )
    train(
        data,
        out,
        recipe,
        categories=find_profile(profile).categories if profile else None,
        images=images,
        unreviewed=unreviewed,
        resume=resume,
        report=lambda line: typer.echo(line, err=True),
    )


def _precision(asked: str, device: str) -> str:
    """bfloat16 where the hardware computes in it."""
    import torch

    from counterveil.errors import UsageError

    if asked in ("bfloat16", "float32"):
        return asked
    if asked != "auto":
        raise UsageError(f"no precision is called {asked!r}; choose auto, bfloat16 or float32")
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    fast = device == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if fast else "float32"
