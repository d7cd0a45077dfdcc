"""The bench ``reasoning``: what a reasoner says of the scenes, under several codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from counterveil import profiles
from counterveil.images import encode_png, load
from counterveil.lab.benchmarks import reasoning as measure
from counterveil.lab.benchmarks.interval import Estimate
from counterveil.lab.scenes import Scene
from counterveil.pipeline import Pipeline
from counterveil.reasoning import load as load_reasoner
from counterveil.types import Mask

SEED = 2025
"""Of the scenes measured on; none of them was trained on, whatever the seed (split ``test``)."""


JUDGED = 60
"""Scenes whose words are kept for people to judge (``--annotate``)."""


@dataclass(frozen=True)
class Size:
    """How many scenes a category.

    Attributes:
        scenes: asked about.
        veiled: of them, veiled by our own pipeline for the grounding.
    """

    scenes: int
    veiled: int


FULL = Size(scenes=200, veiled=10)
QUICK = Size(scenes=20, veiled=4)


def steps(size: Size) -> int:
    """How often ``step`` will be called."""
    return 3 * (2 * size.scenes + size.veiled)


def run(size: Size, *, reasoner: str, device: str, step: Callable[[], None]) -> dict[str, Any]:
    """Measure; the result is plain data, every estimate with its 95 % interval."""
    asked = load_reasoner(reasoner, device=device)
    drawn = measure.scenes(size.scenes, seed=SEED)
    said = measure.ask(asked, drawn, measure.CONDITIONS, texts=True, step=step)
    right = said["right code"]
    error, bins = measure.calibration([one for some in said.values() for one in some])
    wordless = profiles.Overrides(reasoner="")
    pipeline = profiles.from_profile("proxy", overrides=wordless, device=device)
    few = [one for at, one in enumerate(right) if at % size.scenes < size.veiled]
    grounding = {
        "veil of the truth": measure.grounding(asked, right, _truth, step=step),
        "our own veil": measure.grounding(asked, few, _ours(pipeline), step=step),
    }
    return {
        "reasoner": asked.info.name,
        "coarse": {name: _plain(measure.coarse(some)) for name, some in said.items()},
        "fine": {name: _plain(measure.fine(some)) for name, some in said.items()},
        "wolf": _plain(measure.wolf(said["wrong code"])),
        "calibration": {"error": error, "bins": bins},
        "grounding": _plain(grounding),
        "samples": list(measure.samples(said, 6)),
        "to_judge": list(measure.to_judge(said, JUDGED)),
    }


def _truth(scene: Scene) -> Mask:
    return scene.mask()


def _ours(pipeline: Pipeline) -> measure.Veil:
    def veil(scene: Scene) -> Mask:
        mask = pipeline.examine(encode_png(scene.pixels)).mask
        assert mask is not None
        found: Mask = load(mask)[0].pixels[..., 0] > 127
        return found

    return veil


def _plain(rows: dict[str, Estimate]) -> dict[str, Any]:
    return {name: value.to_dict() for name, value in rows.items()}
