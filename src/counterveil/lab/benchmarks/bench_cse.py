"""Benchmark ``cse``: the paper's Tables 3 and 4 and rivals, on scenes or on a folder of images.

On scenes, which have a ground truth, also the classifiers, released files and objects at the
border of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import counterveil
from counterveil.errors import UsageError
from counterveil.lab.benchmarks import cse
from counterveil.lab.benchmarks.accuracy import measure_accuracy, scene_count
from counterveil.lab.benchmarks.checkpoint import Checkpoint
from counterveil.lab.benchmarks.datasets import (
    Dataset,
    FlaggedImage,
    ImageFolder,
    SceneDataset,
    classifier_hashes,
    flagged_scenes,
    load_pictograms,
)
from counterveil.lab.benchmarks.methods import OURS, PAPER, Method, method_tables
from counterveil.pipeline import CategoryClassifier, Pipeline

SEED = 2040
"""Seed of the test scenes. No training uses the split ``test``."""
EDGES = ("top", "bottom", "left", "right")
POSITIONS = ("centre", *EDGES)
"""Positions of the unsafe object in the part ``edges``."""
PARTS = ("classifiers", "paper", "attributions", "partitions", "searches", "released", "edges")
"""Parts of the benchmark; each can be measured alone."""


@dataclass(frozen=True)
class Size:
    """Numbers of scenes per category, or of images of a folder.

    Attributes:
        paper: for the paper's method (its tables have 195 images per category).
        ours: for our search beside it.
        edge: scenes with the object at each edge; twice as many with it in the centre.
        tables: for the attributions and the partitions.
        searches: for the searches; rivals score up to 2,048 images for each.
        optimum: images of each row that are compared with the optimum.
        optimum_evaluations: most images scored for one optimum.
        expensive: for expensive methods; 0 leaves them out.
    """

    accuracy: int
    paper: int
    ours: int
    released: int
    edge: int
    tables: int
    searches: int
    optimum: int
    optimum_evaluations: int
    expensive: int
    parts: tuple[str, ...] = PARTS


FULL = Size(
    accuracy=2000, paper=195, ours=30, released=50, edge=4, tables=10, searches=8, optimum=8,
    optimum_evaluations=1024, expensive=2,
)  # fmt: skip
QUICK = Size(
    accuracy=40, paper=6, ours=6, released=2, edge=1, tables=2, searches=1, optimum=1,
    optimum_evaluations=256, expensive=0,
)  # fmt: skip

Tables = Mapping[str, Sequence[Method]]
Measured = Mapping[tuple[str, str], list[cse.Measurement]]
"""Metrics of each image by method and category."""


def select_parts(size: Size, parts: Sequence[str]) -> Size:
    """The size with some parts only; all parts if ``parts`` is empty.

    Raises:
        UsageError: a part is unknown.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise UsageError(f"unknown part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    chosen = tuple(part for part in PARTS if not parts or part in parts)
    # The rows of "paper" are also among the searches, on the same images, and need the optimum
    # only there.
    optimum = size.optimum if "searches" in chosen else 0
    return replace(size, parts=chosen, optimum=optimum)


def settings(size: Size, *, sam: str = "", folder: ImageFolder | None = None) -> dict[str, Any]:
    """Everything that distinguishes this measurement from another one, as JSON data."""
    data: Mapping[str, Any] = (
        {"weights": classifier_hashes()}
        if folder is None
        else {"data": folder.name, "classifier": folder.spec}
    )
    size_data = {**asdict(size), "parts": list(size.parts)}
    return {"version": counterveil.__version__, "seed": SEED, "size": size_data, "sam": sam, **data}


def step_count(size: Size, *, sam: str = "", folder: ImageFolder | None = None) -> int:
    """Number of items that the checkpoint will count."""
    rows = _unique_methods(_tables(size, sam, folder), size)
    counts = [count for _, count in rows]
    if folder is not None:
        available = len(folder.flagged_images(folder.classifier, max(counts)))
        return sum(min(count, available) for count in counts)
    scenes = {
        "classifiers": scene_count(size.accuracy),
        "released": size.released,
        "edges": sum(_scenes_at(size, position) for position in POSITIONS),
    }
    return 3 * (sum(counts) + sum(scenes[part] for part in size.parts if part in scenes))


def run(
    size: Size,
    *,
    device: str,
    checkpoint: Checkpoint | None = None,
    sam: str = "",
    folder: ImageFolder | None = None,
) -> dict[str, Any]:
    """Measure; JSON data in which every estimate has its 95 % interval.

    Args:
        size: numbers of images, and parts.
        device: where the models run.
        checkpoint: holds finished parts, and stores new ones.
        sam: checkpoint of Segment Anything, for a row of its own; empty: no such row.
        folder: images to use instead of the scenes.
    """
    tables = _tables(size, sam, folder)
    benchmark = _Benchmark(size, tables, checkpoint or Checkpoint())
    if folder is not None:
        results = benchmark.counterfactuals([folder.classifier], folder)
        available = folder.flagged_images(folder.classifier, max(size.tables, size.searches))
        results["images"] = {
            "read": folder.images_read,
            "flagged": len(available),
            "has_gradients": folder.has_gradients,
        }
    else:
        pipeline = load_pictograms(device)
        results = benchmark.counterfactuals(pipeline.classifiers, benchmark.scenes)
        measures: dict[str, Callable[[CategoryClassifier], Any]] = {
            "classifiers": benchmark.accuracy,
            "released": partial(benchmark.released, pipeline),
        }
        for part, measure in measures.items():
            if part in size.parts:
                results[part] = {each.category.key: measure(each) for each in pipeline.classifiers}
        if "edges" in size.parts:
            results["edges"] = benchmark.edges(pipeline)
    return {**results, "measured": settings(size, sam=sam, folder=folder)}


def _tables(size: Size, sam: str, folder: ImageFolder | None) -> Tables:
    rows = method_tables(
        sam, has_gradients=folder is None or folder.has_gradients, expensive=size.expensive > 0
    )
    chosen = {name: methods for name, methods in rows.items() if name in size.parts}
    if folder is not None and not chosen:
        raise UsageError(f"a folder has no ground truth; choose from the parts {', '.join(rows)}")
    return chosen


def _unique_methods(tables: Tables, size: Size) -> list[tuple[Method, int]]:
    """Each method once, with its number of images; a method may be in several tables."""
    counts: dict[str, tuple[Method, int]] = {}
    for table, methods in tables.items():
        for method in methods:
            before = counts.get(method.name, (method, 0))[1]
            counts[method.name] = method, max(before, _image_count(size, table, method))
    return list(counts.values())


def _image_count(size: Size, table: str, method: Method) -> int:
    paper = size.paper if method.name == PAPER.name else size.ours
    count = {"searches": size.searches, "paper": paper}.get(table, size.tables)
    return min(count, size.expensive) if method.expensive else count


def _scenes_at(size: Size, position: str) -> int:
    # Twice as many in the centre: every edge is compared with it.
    return size.edge * (2 if position == "centre" else 1)


class _Benchmark:
    """Measures parts that the checkpoint does not hold yet."""

    def __init__(self, size: Size, tables: Tables, checkpoint: Checkpoint) -> None:
        self._size, self._tables, self._checkpoint = size, tables, checkpoint
        self._optimum = cse.Optimum(max_evaluations=size.optimum_evaluations)
        self.scenes = SceneDataset(SEED)

    def accuracy(self, classifier: CategoryClassifier) -> dict[str, Any]:
        """Accuracy of a classifier."""
        count = self._size.accuracy
        return measure_accuracy(classifier, self._checkpoint, count=count, seed=SEED)

    def counterfactuals(
        self, classifiers: Sequence[CategoryClassifier], dataset: Dataset
    ) -> dict[str, Any]:
        """Results by table, method and category (and all categories), and comparisons."""
        keys = [classifier.category.key for classifier in classifiers]
        measured: Measured = {
            (method.name, classifier.category.key): self._method(method, classifier, dataset, count)
            for classifier in classifiers
            for method, count in _unique_methods(self._tables, self._size)
        }
        results: dict[str, Any] = {}
        for table, methods in self._tables.items():
            for method in methods:
                count = _image_count(self._size, table, method)
                chosen = {key: measured[method.name, key][:count] for key in keys}
                if len(keys) > 1:
                    chosen["all"] = [one for key in keys for one in chosen[key]]
                rows = {key: cse.summarise(some) for key, some in chosen.items()}
                results.setdefault(table, {})[method.name] = rows
        comparisons = self._comparisons(measured, keys)
        return {"counterfactuals": results, **({"comparisons": comparisons} if comparisons else {})}

    def _comparisons(self, measured: Measured, keys: list[str]) -> dict[str, Any]:
        """Each of our searches and each rival, on the same images of all categories."""

        def pair(*methods: Method) -> dict[str, Any]:
            count = min(_image_count(self._size, "searches", method) for method in methods)
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
        count = _scenes_at(self._size, position)
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
            cse.MethodMeasure(method, classifier, self._optimum),
        )
        if len(first) < compared or count == compared:
            return first
        return first + self._images(
            f"{name}, more",
            count - compared,
            lambda: dataset.flagged_images(classifier, count)[compared:],
            cse.MethodMeasure(method, classifier),
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
