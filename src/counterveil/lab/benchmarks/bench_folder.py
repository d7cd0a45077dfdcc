"""Parts of the benchmark ``cse`` for a folder: released files, stability, false alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from counterveil.images import load
from counterveil.lab.benchmarks.bootstrap import bootstrap_mean
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.cse import Measurement, summarise
from counterveil.lab.benchmarks.datasets import FlaggedImage
from counterveil.lab.benchmarks.image_folder import ImageFolder
from counterveil.lab.benchmarks.released import (
    Item,
    ReleaseMeasure,
    release_pipeline,
    summarise_release,
)
from counterveil.lab.benchmarks.sizes import FALSE_ALARMS, RELEASED, STABILITY
from counterveil.lab.benchmarks.stability import measure_stability, summarise_stability
from counterveil.lab.benchmarks.veil_metrics import summarise_veils


class FolderBenchmark:
    """Measures what only a folder has.

    Args:
        folder: the images.
        checkpoint: holds finished parts, and stores new ones.
        released: most images whose released files are measured.
        stability: most images whose copies are compared.
    """

    def __init__(
        self, folder: ImageFolder, checkpoint: Checkpoint, *, released: int, stability: int
    ) -> None:
        self._folder, self._checkpoint = folder, checkpoint
        self._counts = {RELEASED: released, STABILITY: stability}

    @cached_property
    def released_items(self) -> list[Item]:
        """What :class:`ReleaseMeasure` found for each image."""
        return self._measure(RELEASED, ReleaseMeasure(self._folder))

    def released(self, paper: Sequence[Measurement]) -> dict[str, Any]:
        """Released files, beside the paper's search on the same images."""
        judges = self._folder.release_config().categories[0].judges
        summary = summarise_release(self.released_items, paper)
        return {"profile": self._folder.profile.name, "judges": list(judges), **summary}

    def released_rows(self) -> dict[str, dict[str, Any]]:
        """Rows for a table of counterfactuals: the profile's search alone, and released files."""
        rows = {self._row_name(key): key for key in ("search", RELEASED)}
        return {
            name: {
                self._folder.classifier.category.key: summarise(
                    [_without(item[key], "verified") for item in self.released_items]
                )
            }
            for name, key in rows.items()
        }

    def released_veils(self) -> dict[str, dict[str, Any]]:
        """Figures of the veils, by the same names."""
        return {
            self._row_name(key): summarise_veils(
                [veil for item in self.released_items if (veil := item[f"{key}_veil"]) is not None]
            )
            for key in ("search", RELEASED)
        }

    def stability(self) -> dict[str, Any]:
        """Released veils of copies of the same picture."""
        pipeline = release_pipeline(self._folder)

        def measure(item: FlaggedImage) -> Item:
            path = self._folder.path(item)
            found = measure_stability(pipeline, load(path)[0].pixels)
            return {"name": self._folder.file_name(item), **found}

        items = self._measure(STABILITY, measure)
        return {**summarise_stability(items), "photographs": items}

    def false_alarms(self) -> dict[str, Any]:
        """How many images each category flags or warns of, by profile and category."""
        return {
            config.name: {
                category.key: self._alarms(
                    category.classifier, category.threshold, category.warn_threshold
                )
                for category in config.categories
            }
            for config in map(self._folder.find_profile, self._folder.options.profiles)
        }

    def _alarms(self, spec: str, threshold: float, warn_threshold: float) -> dict[str, Any]:
        scores = self._folder.scores(spec, self._checkpoint)
        highest = np.array([max(each) for each in scores if each])
        flagged = highest >= threshold
        warned = ~flagged & (highest >= warn_threshold) & (warn_threshold > 0)
        return {
            "images": len(highest),
            "threshold": threshold,
            "warn_threshold": warn_threshold,
            "flagged": int(flagged.sum()),
            "flagged_share": bootstrap_mean(flagged.astype(float).tolist()).to_dict(),
            "warned": int(warned.sum()),
        }

    def _row_name(self, key: str) -> str:
        what = "search" if key == "search" else "released files"
        return f"{what} (profile {self._folder.profile.name})"

    def _measure(self, part: str, measure: Callable[[FlaggedImage], Item]) -> list[Item]:
        found = self._folder.flagged_images(self._folder.classifier, self._counts[part])

        # Each image is a part of its own: one takes seconds, and nothing measured may be lost.
        def measure_chunk(items: range) -> Iterator[Item]:
            return map(measure, found[items.start : items.stop])

        return self._checkpoint.measure(part, len(found), measure_chunk, chunk_size=1)


def folder_step_count(folder: ImageFolder, parts: Sequence[str], *, counts: dict[str, int]) -> int:
    """Number of items that the checkpoint will count, without the methods.

    Args:
        folder: the images.
        parts: parts of the benchmark.
        counts: most images of each part.
    """
    available = available_images(folder, max(counts.values()))
    steps = sum(min(count, available) for part, count in counts.items() if part in parts)
    specs = {folder.spec} if folder.options.highest else set()
    if FALSE_ALARMS in parts:
        for name in folder.options.profiles:
            specs |= {category.classifier for category in folder.find_profile(name).categories}
    return steps + len(specs) * len(folder)


def available_images(folder: ImageFolder, count: int) -> int:
    """How many of ``count`` images there are; before :meth:`ImageFolder.rank` at most."""
    if folder.options.highest:
        return min(count, folder.options.highest, len(folder))
    return len(folder.flagged_images(folder.classifier, count))


def _without(measurement: Measurement, name: str) -> Measurement:
    return {key: value for key, value in measurement.items() if key != name}
