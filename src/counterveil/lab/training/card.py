"""What is written beside trained weights: metrics and a model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from counterveil import __version__
from counterveil.atomic import write_atomic
from counterveil.classifiers.torch_classifier import InputSpec
from counterveil.lab.training.classifier import Recipe


def write_weights(
    path: Path, state: Mapping[str, Tensor], *, recipe: Recipe, spec: InputSpec, digest: str
) -> None:
    """Weights as safetensors, matrices in half precision for ``slim``, with what made them."""
    half = recipe.architecture == "slim"
    tensors = {
        key: (value.half() if half and value.ndim > 1 else value).contiguous()
        for key, value in state.items()
    }
    metadata = {
        "architecture": recipe.architecture,
        "classes": 2,
        "unsafe": [1],
        "input": asdict(spec),
        "version": __version__,
        "data": digest,
    }
    write_atomic(path, save(tensors, {"counterveil": json.dumps(metadata, sort_keys=True)}))


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """The metrics, beside the weights."""
    text = json.dumps(metrics, indent=1) + "\n"
    write_atomic(path.with_suffix(".metrics.json"), text.encode())


def write_card(
    path: Path, *, recipe: Recipe, category: str | None, metrics: Mapping[str, Any], digest: str
) -> None:
    """The model card, beside the weights."""
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in metrics["test"].items())
    settings = "\n".join(f"- {name}: {value}" for name, value in asdict(recipe).items())
    proxy = (
        "It knows abstract pictograms drawn by `counterveil scenes` and nothing else. Its scores "
        "of photographs mean nothing."
        if category
        else "It knows what its training folder shows, and is as good and as biased as that."
    )
    card = f"""# {path.name}

A binary image classifier, {category or "from an image folder"}: output 1 is *unsafe*.

## Use and limits

{proxy} A score is no verdict: a person decides.

## Test split

| images | right |
|---|---|
{rows}

{metrics["counts"]["test"]} images, none of them trained on.

## Training

{settings}
- data: sha256 of names, labels and splits {digest}
- shift of the logit, for the likelihood of the validation images: {metrics["shift"]:.3f}
- images: {metrics["counts"]["train"]} to train, {metrics["counts"]["validation"]} to choose by
- torch {torch.__version__.split("+")[0]}, counterveil {__version__}
"""
    write_atomic(path.with_suffix(".md"), card.encode())
