"""Benchmark ``reasoning``: a reasoner's answers about scenes, with several control codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from counterveil.images import encode_png
from counterveil.lab.benchmarks import reasoning
from counterveil.lab.benchmarks.bootstrap import Estimate
from counterveil.lab.benchmarks.checkpoint import Step
from counterveil.lab.benchmarks.cse import decode_mask
from counterveil.lab.benchmarks.datasets import load_pictograms
from counterveil.lab.scenes import Scene
from counterveil.pipeline import Pipeline
from counterveil.reasoning import load as load_reasoner

SEED = 2025
"""Seed of the test scenes. No training uses the split ``test``."""
EXAMPLES = 6
"""Scenes whose descriptions are shown on the page."""
ANNOTATION_SAMPLES = 60
"""Scenes whose answers are kept for ``counterveil annotate``."""


@dataclass(frozen=True)
class Size:
    """Scenes per category, and how many of them the pipeline veils to measure grounding."""

    scenes: int
    veiled: int


FULL = Size(scenes=200, veiled=10)
QUICK = Size(scenes=20, veiled=4)


def step_count(size: Size) -> int:
    """Number of calls of ``step``."""
    return 3 * (2 * size.scenes + size.veiled)


def run(size: Size, *, reasoner: str, device: str, step: Step) -> dict[str, Any]:
    """Measure; JSON data in which every estimate has its 95 % interval.

    ``step`` is called after each scene.
    """
    model = load_reasoner(reasoner, device=device)
    scenes = reasoning.draw_scenes(size.scenes, seed=SEED)
    by_condition = reasoning.predict(model, scenes, reasoning.CONDITIONS, describe=True, step=step)
    error, bins = reasoning.calibration_error(
        [each for predictions in by_condition.values() for each in predictions]
    )
    right = by_condition["right code"]
    # Scenes are in order of category; the first of each category are veiled.
    veiled = [each for i, each in enumerate(right) if i % size.scenes < size.veiled]
    pipeline_mask = _pipeline_mask(load_pictograms(device))
    grounding = {
        "veil of the truth": reasoning.grounding(model, right, Scene.mask, step=step),
        "our own veil": reasoning.grounding(model, veiled, pipeline_mask, step=step),
    }
    return {
        "reasoner": model.info.name,
        "category_accuracy": {
            name: _to_dict(reasoning.category_accuracy(each)) for name, each in by_condition.items()
        },
        "question_accuracy": {
            name: _to_dict(reasoning.question_accuracy(each)) for name, each in by_condition.items()
        },
        "wrong_code_specificity": _to_dict(
            reasoning.wrong_code_specificity(by_condition["wrong code"])
        ),
        "calibration": {"error": error, "bins": bins},
        "grounding": _to_dict(grounding),
        "examples": list(reasoning.example_descriptions(by_condition, EXAMPLES)),
        "annotation_samples": list(reasoning.annotation_samples(by_condition, ANNOTATION_SAMPLES)),
    }


def _pipeline_mask(pipeline: Pipeline) -> reasoning.MaskFunction:
    def mask_of(scene: Scene) -> Any:
        mask = pipeline.examine(encode_png(scene.pixels)).mask
        assert mask is not None
        return decode_mask(mask)

    return mask_of


def _to_dict(rows: dict[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_dict() for name, estimate in rows.items()}
