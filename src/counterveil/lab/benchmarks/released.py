"""Measures the files that the whole pipeline releases for the images of a folder."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from counterveil import outcomes, profiles
from counterveil.images import load
from counterveil.lab.benchmarks.anytime_curve import count_images
from counterveil.lab.benchmarks.bootstrap import bootstrap_mean, bootstrap_ratio
from counterveil.lab.benchmarks.cse import Measurement, decode_mask, describe_search
from counterveil.lab.benchmarks.datasets import FlaggedImage
from counterveil.lab.benchmarks.image_folder import ImageFolder
from counterveil.lab.benchmarks.veil_metrics import Veil
from counterveil.pipeline import Examination, Pipeline
from counterveil.pipeline.mask import resize_mask
from counterveil.types import Mask

SMALL_VEIL = 0.03
"""Veils of less than this share of the image are counted apart: they may be scraps."""

_SEARCH_STAGES = ("attribution", "regions", "search")

Item = dict[str, Any]
"""What was measured on one image, as JSON data."""


def release_pipeline(folder: ImageFolder) -> Pipeline:
    """The profile's pipeline with the folder's classifier and threshold."""
    return profiles.load(folder.release_config())


class ReleaseMeasure:
    """Examines files of a folder with the whole pipeline, and measures what is released."""

    def __init__(self, folder: ImageFolder) -> None:
        self._folder = folder
        pipeline = release_pipeline(folder)
        (only,) = pipeline.classifiers
        self._counter = count_images(only.classifier)
        counted = replace(only, classifier=self._counter)
        self._pipeline = Pipeline([counted], pipeline.components, config=pipeline.config)
        self._warm = False

    def __call__(self, item: FlaggedImage) -> Item:
        """Outcome, mask (a PNG file in base64) and figures of one image.

        ``released`` and ``search`` are the figures of the released file and of the search alone,
        ``released_veil`` and ``search_veil`` those of their veils.
        """
        path, name = self._folder.path(item), self._folder.file_name(item)
        if not self._warm:  # compilation and loading are not part of any image's time
            self._pipeline.examine(path)
            self._warm = True
        before, start = self._counter.images, time.perf_counter()
        examination = self._pipeline.examine(path, name=name)
        elapsed = (time.perf_counter() - start) * 1000
        evaluations = self._counter.images - before
        mask = None if examination.mask is None else decode_mask(examination.mask)
        area = 0.0 if mask is None else float(mask.mean())
        verified = outcomes.verified(examination.record)
        search = _search_measurement(examination)
        return {
            "name": name,
            "score": item.score,
            "outcome": outcomes.outcome(examination.record).key,
            "mask": base64.b64encode(examination.mask or b"").decode(),
            "released": {
                **search,
                # A veil over everything is no counterfactual.
                "found": float(verified and 0 < area < 1),
                "verified": float(verified),
                "obfuscation": area,
                "evaluations": float(evaluations),
                "milliseconds": elapsed,
            },
            "released_veil": self._released_veil(item, examination, mask),
            "search": search,
            "search_veil": self._search_veil(item, examination),
        }

    def _released_veil(
        self, item: FlaggedImage, examination: Examination, mask: Mask | None
    ) -> Veil | None:
        frame = examination.record.source.frame
        pixels = next(f.pixels for f in load(self._folder.path(item)) if f.frame == frame)
        if mask is None or not mask.any() or mask.all() or mask.shape != pixels.shape[:2]:
            return None
        fill = self._pipeline.components.fill
        return self._folder.metrics(pixels, mask, fill, index=item.index)

    def _search_veil(self, item: FlaggedImage, examination: Examination) -> Veil | None:
        for explanation in examination.explanations.values():
            if explanation.result.outcome == "found":
                mask = resize_mask(explanation.result.mask, *item.image.shape[:2])
                fill = self._pipeline.components.fill
                return self._folder.metrics(item.image, mask, fill, index=item.index)
        return None


def decode_item_mask(item: Item) -> Mask | None:
    """The released mask of an item ``(H, W)``; ``None`` if nothing was released."""
    return decode_mask(base64.b64decode(item["mask"])) if item["mask"] else None


def summarise_release(items: Sequence[Item], paper: Sequence[Measurement]) -> dict[str, Any]:
    """Outcomes, and ratios to the paper's search on the same images.

    Returns:
        ``outcomes``: number of images by key; ``small``, ``small_disputed``: veils below
        ``SMALL_VEIL``, and how many of them a judge of the profile disputes;
        ``relative_area`` (images for which the paper's search found a counterfactual; a veil over
        the whole image counts as 1), ``relative_evaluations``, ``relative_milliseconds``: ratios
        of means; ``photographs``: a row for each.
    """
    released = [item["released"] for item in items]
    pairs = list(zip(released, paper, strict=True))
    counts = Counter(item["outcome"] for item in items)
    small = [item for item in items if 0 < item["released"]["obfuscation"] < SMALL_VEIL]
    return {
        "images": len(items),
        "outcomes": {key: counts[key] for key in outcomes.OUTCOMES if counts[key]},
        "verified": bootstrap_mean([each["verified"] for each in released]).to_dict(),
        "small": len(small),
        "small_disputed": sum(item["outcome"] == "disputed" for item in small),
        "relative_area": _ratio([pair for pair in pairs if pair[1]["found"]], "obfuscation"),
        "relative_evaluations": _ratio(pairs, "evaluations"),
        "relative_milliseconds": _ratio(pairs, "milliseconds"),
        "photographs": [
            {"area": item["released"]["obfuscation"]}
            | {key: item[key] for key in ("name", "score", "outcome")}
            for item in items
        ],
    }


def _search_measurement(examination: Examination) -> Measurement:
    """Figures of the search alone, before the veil is completed and judged."""
    timing = examination.record.timing_ms
    for explanation in examination.explanations.values():
        return {
            **describe_search(explanation),
            "optimality_gap": None,
            "milliseconds": sum(timing.get(stage, 0.0) for stage in _SEARCH_STAGES),
        }
    names = ("depth", "obfuscation", "regions", "irreducible", "evaluations", "optimality_gap")
    return {"found": 0.0, **dict.fromkeys(names), "milliseconds": None}


def _ratio(pairs: Sequence[tuple[Measurement, Measurement]], name: str) -> dict[str, float | None]:
    known = [(a[name], b[name]) for a, b in pairs if a[name] is not None and b[name] is not None]
    return bootstrap_ratio([a for a, _ in known], [b for _, b in known]).to_dict()
