"""The bench ``cse``: the paper's Tables 3 and 4 and the rivals, on the scenes or on a folder.

On the scenes also classifiers, released files and borders, which need the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import counterveil
from counterveil import profiles
from counterveil.errors import UsageError
from counterveil.lab.benchmarks import cse
from counterveil.lab.benchmarks.accuracy import accuracy, scenes_needed
from counterveil.lab.benchmarks.methods import OURS, PAPER, Method, tables
from counterveil.lab.benchmarks.optimum import Optimum
from counterveil.lab.benchmarks.resume import Saved
from counterveil.lab.benchmarks.subjects import Case, Folder, Scenes, Subject, flagged, weights
from counterveil.pipeline import CategoryClassifier, Pipeline

SEED = 2040
"""Of the scenes measured on; none of them was trained on, whatever the seed (split ``test``)."""

PLACES = ("centre", *cse.EDGES)
"""Where the unsafe object of a scene is put."""
PARTS = ("classifiers", "paper", "attributions", "partitions", "searches", "released", "edges")
"""What can be measured, each by itself."""

_WORDLESS = profiles.Overrides(reasoner="")
"""Words are the other bench's."""

CHUNK = 10
"""Images measured between two savings."""


@dataclass(frozen=True)
class Size:
    """How much is measured, in scenes a category, or in images of a folder.

    Attributes:
        accuracy: for the classifiers; an eighth as many come from the other categories.
        paper: for the paper's settings (its tables: 585 in all, 195 a category).
        ours: of them, those for our search.
        released: for the released files.
        edge: touching each edge, and twice as many away from all.
        tables: for the attributions and the partitions.
        searches: for the searches, of which the rivals score up to 2,048 images a scene.
        optimum: of each row of a table, those whose least area is looked for.
        proof: most images scored for one least area.
        heavy: of the searches' scenes, those for CSRA with the paper's ten regions; 0: none.
        parts: which of ``PARTS`` are measured.
    """

    accuracy: int
    paper: int
    ours: int
    released: int
    edge: int
    tables: int
    searches: int
    optimum: int
    proof: int
    heavy: int
    parts: tuple[str, ...] = PARTS


FULL = Size(
    accuracy=2000,
    paper=195,
    ours=30,
    released=50,
    edge=4,
    tables=10,
    searches=8,
    optimum=8,
    proof=1024,
    heavy=2,
)
QUICK = Size(
    accuracy=40,
    paper=6,
    ours=6,
    released=2,
    edge=1,
    tables=2,
    searches=1,
    optimum=1,
    proof=256,
    heavy=0,
)


def only(size: Size, parts: Sequence[str]) -> Size:
    """The size of some parts; nothing is measured of the others.

    Raises:
        UsageError: there is no such part.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise UsageError(
            f"the bench has no part {', '.join(unknown)}; choose among {', '.join(PARTS)}"
        )
    chosen = tuple(part for part in PARTS if not parts or part in parts)
    # Both rows of the paper's settings stand among the searches, too, on the same images.
    proven = size.optimum if "searches" in chosen else 0
    return replace(size, parts=chosen, optimum=proven)


def heading(size: Size, *, sam: str = "", folder: Folder | None = None) -> dict[str, Any]:
    """What tells one measurement from another, as plain data."""
    own: dict[str, Any] = {}
    if folder is None:
        own["weights"] = weights()
    else:
        own |= {"data": folder.name, "classifier": folder.spec}
    about = {
        "version": counterveil.__version__,
        "seed": SEED,
        "size": {**asdict(size), "parts": list(size.parts)},
        "sam": sam,
    }
    return {**about, **own}


def steps(size: Size, *, sam: str = "", folder: Folder | None = None) -> int:
    """How often ``step`` will be called."""
    counts = [count for _, count in _methods(_tables(size, sam, folder), size)]
    if folder is not None:
        there = len(folder.cases(folder.watch, max(counts)))
        return sum(min(count, there) for count in counts)
    each = {
        "classifiers": scenes_needed(size.accuracy),
        "released": size.released,
        "edges": sum(_at_place(size, place) for place in PLACES),
    }
    return 3 * (sum(counts) + sum(each[part] for part in size.parts if part in each))


def run(
    size: Size,
    *,
    device: str,
    step: Callable[[], None],
    saved: Saved | None = None,
    sam: str = "",
    folder: Folder | None = None,
) -> dict[str, Any]:
    """Measure; the result is plain data, every estimate with its 95 % interval.

    Args:
        size: how much.
        device: where the models run.
        step: called after each image.
        saved: what was measured before, and where more of it goes.
        sam: checkpoint of Segment Anything, for a row of its own; empty: none.
        folder: measured on instead of the scenes.
    """
    memory = Saved(None, {}, resume=False) if saved is None else saved
    bench = _Bench(size, _tables(size, sam, folder), memory, step)
    if folder is not None:
        results = bench.counterfactuals([folder.watch], folder)
        there = len(folder.cases(folder.watch, max(size.tables, size.searches)))
        results["images"] = {"read": folder.read, "flagged": there, "opened": folder.opened}
    else:
        pipeline = profiles.from_profile("proxy", overrides=_WORDLESS, device=device)
        measures: dict[str, Callable[[CategoryClassifier], Any]] = {
            "classifiers": bench.accuracy,
            "released": partial(bench.released, pipeline),
        }
        results = bench.counterfactuals(pipeline.watches, bench.scenes)
        for part, measure in measures.items():
            if part in size.parts:
                results[part] = {w.category.key: measure(w) for w in pipeline.watches}
        if "edges" in size.parts:
            results["edges"] = bench.edges(pipeline)
    return {**results, "measured": heading(size, sam=sam, folder=folder)}


Tables = Mapping[str, Sequence[Method]]


def _tables(size: Size, sam: str, folder: Folder | None) -> Tables:
    rows = tables(sam, opened=folder is None or folder.opened, heavy=size.heavy > 0)
    chosen = {name: methods for name, methods in rows.items() if name in size.parts}
    if folder is not None and not chosen:
        raise UsageError(f"without a truth, only these parts can be measured: {', '.join(rows)}")
    return chosen


def _methods(rows: Tables, size: Size) -> list[tuple[Method, int]]:
    """Every row once, with the images it is measured on; a row may stand in several tables."""
    counts: dict[str, tuple[Method, int]] = {}
    for table, methods in rows.items():
        for method in methods:
            before = counts.get(method.name, (method, 0))[1]
            counts[method.name] = method, max(before, _count(size, table, method))
    return list(counts.values())


def _count(size: Size, table: str, method: Method) -> int:
    paper = size.paper if method.name == PAPER.name else size.ours
    count = {"searches": size.searches, "paper": paper}.get(table, size.tables)
    return min(count, size.heavy) if method.heavy else count


class _Bench:
    """Measures parts of the bench that are not saved yet."""

    def __init__(self, size: Size, rows: Tables, saved: Saved, step: Callable[[], None]) -> None:
        self._size, self._rows, self._saved, self._step = size, rows, saved, step
        self._optimum = Optimum(evaluations=size.proof)
        self.scenes = Scenes(SEED)

    def accuracy(self, watch: CategoryClassifier) -> dict[str, Any]:
        """How often a classifier is right."""
        key, count = watch.category.key, self._size.accuracy
        measure = partial(
            accuracy,
            key,
            watch.classifier,
            count=count,
            seed=SEED,
            threshold=watch.category.threshold,
            step=self._step,
        )
        return dict(self._part(f"classifier {key}", scenes_needed(count), measure))

    def counterfactuals(
        self, watches: Sequence[CategoryClassifier], subject: Subject
    ) -> dict[str, Any]:
        """By table, row and category, and all categories together."""
        measured = {
            (method.name, watch.category.key): self._row(method, watch, subject, count)
            for watch in watches
            for method, count in _methods(self._rows, self._size)
        }
        keys = [watch.category.key for watch in watches]
        results: dict[str, Any] = {}
        for table, methods in self._rows.items():
            for method in methods:
                count = _count(self._size, table, method)
                cases = {key: measured[method.name, key][:count] for key in keys}
                if len(keys) > 1:
                    cases["all"] = [case for key in keys for case in cases[key]]
                rows = {key: cse.summary(some) for key, some in cases.items()}
                results.setdefault(table, {})[method.name] = rows
        beside = self._beside(measured, keys)
        return {"counterfactuals": results, **({"beside": beside} if beside else {})}

    def _beside(self, measured: Mapping[tuple[str, str], list[Any]], keys: list[str]) -> Any:
        """Each of our searches beside each rival, on the same images of all categories."""
        rows = self._rows.get("searches", ())

        def pair(one: Method, other: Method) -> dict[str, Any]:
            both = min(_count(self._size, "searches", method) for method in (one, other))
            ours, theirs = (
                [case for key in keys for case in measured[method.name, key][:both]]
                for method in (one, other)
            )
            return cse.beside(ours, theirs)

        return {
            f"{one.name}, beside {other.name}": pair(one, other)
            for one in rows
            if one in OURS
            for other in rows
            if other not in OURS
        }

    def released(self, pipeline: Pipeline, watch: CategoryClassifier) -> dict[str, Any]:
        """Files of the default pipeline."""
        name, count = f"released {watch.category.key}", self._size.released
        find = partial(self.scenes.cases, watch, count)
        return cse.summary(self._cases(name, count, find, cse.release(pipeline, watch)), every=True)

    def edges(self, pipeline: Pipeline) -> dict[str, Any]:
        """The same, where the unsafe object touches an edge, and where it touches none."""
        cases = {
            (watch.category.key, place): self._placed(pipeline, watch, place)
            for watch in pipeline.watches
            for place in PLACES
        }
        every = [watch.category.key for watch in pipeline.watches]

        def rows(keys: Sequence[str]) -> dict[str, Any]:
            at = {place: [c for key in keys for c in cases[key, place]] for place in PLACES}
            at["any edge"] = [case for edge in cse.EDGES for case in at[edge]]
            return {place: cse.summary(some, every=True) for place, some in at.items()}

        return {key: rows([key]) for key in every} | {"all": rows(every)}

    def _placed(self, pipeline: Pipeline, watch: CategoryClassifier, place: str) -> list[Any]:
        count, name = _at_place(self._size, place), f"edge {place} {watch.category.key}"
        find = partial(_at_edge, watch, count, place)
        return self._cases(name, count, find, cse.release(pipeline, watch))

    def _row(
        self, method: Method, watch: CategoryClassifier, subject: Subject, count: int
    ) -> list[Any]:
        """One row on the images of one category; the first few also against the optimum."""
        name = f"{method.name}, {watch.category.key}"
        near = cse.explain(method, watch, self._optimum)
        far = cse.explain(method, watch, None)
        proven = min(count, self._size.optimum)
        first = self._cases(name, proven, partial(subject.cases, watch, proven), near)
        if len(first) < proven or count == proven:
            return first
        rest = partial(_after, subject, watch, proven, count)
        return first + self._cases(f"{name}, more", count - proven, rest, far)

    def _cases(
        self, name: str, count: int, find: Callable[[], Sequence[Case]], measure: cse.Measure
    ) -> list[Any]:
        """Figures of each image, a chunk at a time; ``find`` is asked when one is missing."""
        figures: list[Any] = []
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            chunk = partial(self._chunk, find, slice(start, stop), measure)
            figures += self._part(f"{name}, {start} to {stop}", None, chunk)
        return figures

    def _chunk(
        self, find: Callable[[], Sequence[Case]], part: slice, measure: cse.Measure
    ) -> list[Any]:
        figures = []
        for case in find()[part]:
            figures.append(measure(case))
            self._step()
        return figures

    def _part(self, name: str, count: int | None, measure: Callable[[], Any]) -> Any:
        """A part that was saved, its steps called; or measured now, which calls them."""
        known = name in self._saved
        value = self._saved.once(name, measure)
        for _ in range((len(value) if count is None else count) if known else 0):
            self._step()
        return value


def _after(subject: Subject, watch: CategoryClassifier, start: int, stop: int) -> Sequence[Case]:
    return subject.cases(watch, stop)[start:]


def _at_place(size: Size, place: str) -> int:
    """Twice as many at the centre, which every edge is compared with."""
    return size.edge * (2 if place == "centre" else 1)


def _at_edge(watch: CategoryClassifier, count: int, edge: str) -> Sequence[Case]:
    return list(flagged(watch, count=count, seed=SEED + 1, edge=edge))
