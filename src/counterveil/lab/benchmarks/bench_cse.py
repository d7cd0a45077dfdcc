"""Benchmark ``cse``: the paper's Tables 3 and 4 and rivals, on scenes or on a folder of images.

On scenes, which have a ground truth, also the classifiers, released files and objects at the
border of the image. On a folder, also the veils' shapes, their effect on other classifiers, and
the parts of :mod:`~counterveil.lab.benchmarks.bench_folder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import counterveil
from counterveil.errors import UsageError
from counterveil.lab.benchmarks import cse
from counterveil.lab.benchmarks.accuracy import measure_accuracy, scene_count
from counterveil.lab.benchmarks.bench_folder import (
    FolderBenchmark,
    available_images,
    folder_step_count,
)
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.datasets import (
    Dataset,
    FlaggedImage,
    SceneDataset,
    classifier_hashes,
    flagged_scenes,
    load_pictograms,
)
from counterveil.lab.benchmarks.image_folder import ImageFolder
from counterveil.lab.benchmarks.methods import OURS, PAPER, Method, method_tables
from counterveil.lab.benchmarks.sizes import (
    EDGES,
    FALSE_ALARMS,
    ON_REQUEST,
    POSITIONS,
    RELEASED,
    STABILITY,
    Size,
    image_count,
    scenes_at,
)
from counterveil.lab.benchmarks.veil_metrics import VeilMetrics, summarise_veils
from counterveil.pipeline import CategoryClassifier, Pipeline

SEED = 2040
"""Seed of the test scenes. No training uses the split ``test``."""
Tables = Mapping[str, Sequence[Method]]
Measured = Mapping[tuple[str, str], list[cse.Measurement]]
"""Metrics of each image by method and category."""


def settings(size: Size, *, sam: str = "", folder: ImageFolder | None = None) -> dict[str, Any]:
    """Everything that distinguishes this measurement from another one, as JSON data."""
    data: Mapping[str, Any] = (
        {"weights": classifier_hashes()} if folder is None else folder.settings()
    )
    size_data = {**asdict(size), "parts": list(size.parts)}
    return {"version": counterveil.__version__, "seed": SEED, "size": size_data, "sam": sam, **data}


def step_count(size: Size, *, sam: str = "", folder: ImageFolder | None = None) -> int:
    """Number of items that the checkpoint will count."""
    rows = _unique_methods(_tables(size, sam, folder), size)
    counts = [count for _, count in rows]
    if folder is not None:
        available = available_images(folder, max(counts, default=0))
        more = {RELEASED: size.released, STABILITY: size.stability}
        return sum(min(count, available) for count in counts) + folder_step_count(
            folder, size.parts, counts=more
        )
    scenes = {
        "classifiers": scene_count(size.accuracy),
        "released": size.released,
        "edges": sum(scenes_at(size, position) for position in POSITIONS),
    }
    return 3 * (sum(counts) + sum(scenes[part] for part in size.parts if part in scenes))


def run(
    size: Size,
    *,
    device: str,
    checkpoint: Checkpoint | None = None,
    sam: str = "",
    folder: ImageFolder | None = None,
    measures: FolderBenchmark | None = None,
) -> dict[str, Any]:
    """Measure; JSON data in which every estimate has its 95 % interval.

    Args:
        size: numbers of images, and parts.
        device: where the models run.
        checkpoint: holds finished parts, and stores new ones.
        sam: checkpoint of Segment Anything, for a row of its own; empty: no such row.
        folder: images to use instead of the scenes.
        measures: what :func:`folder_benchmark` made, to keep what it measured; ``None``: a new one.
    """
    checkpoint = checkpoint or Checkpoint()
    benchmark = _Benchmark(size, _tables(size, sam, folder), checkpoint)
    if folder is None:
        results = benchmark.on_scenes(device)
    else:
        measures = measures or folder_benchmark(size, folder, checkpoint)
        results = benchmark.on_folder(folder, measures)
    return {**results, "measured": settings(size, sam=sam, folder=folder)}


def folder_benchmark(size: Size, folder: ImageFolder, checkpoint: Checkpoint) -> FolderBenchmark:
    """The parts that only a folder has."""
    return FolderBenchmark(folder, checkpoint, released=size.released, stability=size.stability)


def _tables(size: Size, sam: str, folder: ImageFolder | None) -> Tables:
    rows = method_tables(
        sam, has_gradients=folder is None or folder.has_gradients, expensive=size.expensive > 0
    )
    chosen = {name: methods for name, methods in rows.items() if name in size.parts}
    if folder is None:
        if alone := [part for part in size.parts if part in ON_REQUEST]:
            raise UsageError(f"{', '.join(alone)} measures photographs; name them: --data FOLDER")
        return chosen
    if RELEASED in size.parts:  # released files are compared with the paper's search
        chosen = {**chosen, RELEASED: (PAPER,)}
    if not chosen and not set(size.parts) & set(ON_REQUEST):
        parts = ", ".join((*rows, RELEASED, *ON_REQUEST))
        raise UsageError(f"a folder has no ground truth; choose from the parts {parts}")
    return chosen


def _unique_methods(tables: Tables, size: Size) -> list[tuple[Method, int]]:
    """Each method once, with its number of images; a method may be in several tables."""
    counts: dict[str, tuple[Method, int]] = {}
    for table, methods in tables.items():
        for method in methods:
            before = counts.get(method.name, (method, 0))[1]
            counts[method.name] = method, max(before, image_count(size, table, method))
    return list(counts.values())


class _Benchmark:
    """Measures parts that the checkpoint does not hold yet."""

    def __init__(self, size: Size, tables: Tables, checkpoint: Checkpoint) -> None:
        self._size, self._tables, self._checkpoint = size, tables, checkpoint
        self._optimum = cse.Optimum(max_evaluations=size.optimum_evaluations)
        self.scenes = SceneDataset(SEED)
        self._veil_metrics: VeilMetrics | None = None

    def on_scenes(self, device: str) -> dict[str, Any]:
        """All parts that scenes have."""
        pipeline = load_pictograms(device)
        results, _ = self.counterfactuals(pipeline.classifiers, self.scenes)
        measures: dict[str, Callable[[CategoryClassifier], Any]] = {
            "classifiers": self.accuracy,
            "released": partial(self.released, pipeline),
        }
        for part, measure in measures.items():
            if part in self._size.parts:
                results[part] = {each.category.key: measure(each) for each in pipeline.classifiers}
        if "edges" in self._size.parts:
            results["edges"] = self.edges(pipeline)
        return results

    def on_folder(self, folder: ImageFolder, more: FolderBenchmark) -> dict[str, Any]:
        """All parts that a folder has."""
        size, parts = self._size, self._size.parts
        if folder.options.highest:
            folder.rank(self._checkpoint)
        self._veil_metrics = folder.metrics
        # Early: a model that is missing shall not be found out after hours.
        alarms = {FALSE_ALARMS: more.false_alarms()} if FALSE_ALARMS in parts else {}
        results, measured = self.counterfactuals([folder.classifier], folder)
        key = folder.classifier.category.key
        results["veils"] = {
            name: summarise_veils([one["veil"] for one in some if one["veil"] is not None])
            for (name, _), some in measured.items()
        }
        if RELEASED in parts:
            results[RELEASED] = more.released(measured[PAPER.name, key][: size.released])
            results["counterfactuals"][RELEASED] |= more.released_rows()
            results["veils"] |= more.released_veils()
        if STABILITY in parts:
            results[STABILITY] = more.stability()
        return {**results, **alarms, "images": folder.summary()}

    def accuracy(self, classifier: CategoryClassifier) -> dict[str, Any]:
        """Accuracy of a classifier."""
        count = self._size.accuracy
        return measure_accuracy(classifier, self._checkpoint, count=count, seed=SEED)

    def counterfactuals(
        self, classifiers: Sequence[CategoryClassifier], dataset: Dataset
    ) -> tuple[dict[str, Any], Measured]:
        """Results by table, method and category (and all categories), comparisons; metrics."""
        keys = [classifier.category.key for classifier in classifiers]
        measured: Measured = {
            (method.name, classifier.category.key): self._method(method, classifier, dataset, count)
            for classifier in classifiers
            for method, count in _unique_methods(self._tables, self._size)
        }
        results: dict[str, Any] = {}
        for table, methods in self._tables.items():
            for method in methods:
                count = image_count(self._size, table, method)
                chosen = {key: measured[method.name, key][:count] for key in keys}
                if len(keys) > 1:
                    chosen["all"] = [one for key in keys for one in chosen[key]]
                rows = {key: cse.summarise(some) for key, some in chosen.items()}
                results.setdefault(table, {})[method.name] = rows
        comparisons = self._comparisons(measured, keys)
        more = {"comparisons": comparisons} if comparisons else {}
        return {"counterfactuals": results, **more}, measured

    def _comparisons(self, measured: Measured, keys: list[str]) -> dict[str, Any]:
        """Each of our searches and each rival, on the same images of all categories."""

        def pair(*methods: Method) -> dict[str, Any]:
            count = min(image_count(self._size, "searches", method) for method in methods)
            return cse.compare(
                *(
                    [item for key in keys for item in measured[method.name, key][:count]]
                    for method in methods
                )
            )

        rows = self._tables.get("searches", ())
        rivals = [method for method in rows if method not in OURS]
        return {
            f"{ours.name}, compared with {rival.name}": pair(ours, rival)
            for ours in rows
            if ours in OURS
            for rival in rivals
        }

    def released(self, pipeline: Pipeline, classifier: CategoryClassifier) -> dict[str, Any]:
        """Released files of one category."""
        count = self._size.released
        measured = self._images(
            f"released {classifier.category.key}",
            count,
            lambda: self.scenes.flagged_images(classifier, count),
            cse.measure_release(pipeline, classifier),
        )
        return cse.summarise(measured, include_not_found=True)

    def edges(self, pipeline: Pipeline) -> dict[str, Any]:
        """Released files by position of the unsafe object, for each category and for all."""
        measured = {
            (classifier.category.key, position): self._at(pipeline, classifier, position)
            for classifier in pipeline.classifiers
            for position in POSITIONS
        }
        keys = [classifier.category.key for classifier in pipeline.classifiers]

        def rows(keys: Sequence[str]) -> dict[str, Any]:
            items = {at: [one for key in keys for one in measured[key, at]] for at in POSITIONS}
            items["any edge"] = [one for edge in EDGES for one in items[edge]]
            return {at: cse.summarise(some, include_not_found=True) for at, some in items.items()}

        return {key: rows([key]) for key in keys} | {"all": rows(keys)}

    def _at(
        self, pipeline: Pipeline, classifier: CategoryClassifier, position: str
    ) -> list[cse.Measurement]:
        count = scenes_at(self._size, position)
        return self._images(
            f"edge {position} {classifier.category.key}",
            count,
            lambda: list(flagged_scenes(classifier, count=count, seed=SEED + 1, position=position)),
            cse.measure_release(pipeline, classifier),
        )

    def _method(
        self, method: Method, classifier: CategoryClassifier, dataset: Dataset, count: int
    ) -> list[cse.Measurement]:
        """One method on the images of one category; the first are compared with the optimum."""
        name = f"{method.name}, {classifier.category.key}"
        compared = min(count, self._size.optimum)
        first = self._images(
            name,
            compared,
            lambda: dataset.flagged_images(classifier, compared),
            cse.MethodMeasure(method, classifier, self._optimum, veil_metrics=self._veil_metrics),
        )
        if len(first) < compared or count == compared:
            return first
        return first + self._images(
            f"{name}, more",
            count - compared,
            lambda: dataset.flagged_images(classifier, count)[compared:],
            cse.MethodMeasure(method, classifier, veil_metrics=self._veil_metrics),
        )

    def _images(
        self,
        name: str,
        count: int,
        find: Callable[[], Sequence[FlaggedImage]],
        measure: cse.Measure,
    ) -> list[cse.Measurement]:
        """Metrics of each image; ``find`` is called only if a chunk is missing."""

        def measure_chunk(items: range) -> Iterator[cse.Measurement]:
            return map(measure, find()[items.start : items.stop])

        return self._checkpoint.measure(name, count, measure_chunk)
