"""Parts of the benchmark ``cse``, and how many scenes or images each of them measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from counterveil.errors import UsageError
from counterveil.lab.benchmarks.methods import PAPER, Method

RELEASED, STABILITY, FALSE_ALARMS = "released", "stability", "false-alarms"
"""Parts that a folder of images has, too, and that only such a folder has."""
EDGES = ("top", "bottom", "left", "right")
POSITIONS = ("centre", *EDGES)
"""Positions of the unsafe object in the part ``edges``."""
ON_REQUEST = (STABILITY, FALSE_ALARMS)
"""Parts that are measured only where they are named, and on a folder only."""
PARTS = ("classifiers", "paper", "attributions", "partitions", "searches", "released", "edges",
         *ON_REQUEST)  # fmt: skip
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
        stability: images of a folder whose copies are compared.
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
    stability: int = 12
    parts: tuple[str, ...] = PARTS[: -len(ON_REQUEST)]


FULL = Size(
    accuracy=2000, paper=195, ours=30, released=50, edge=4, tables=10, searches=8, optimum=8,
    optimum_evaluations=1024, expensive=2,
)  # fmt: skip
QUICK = Size(
    accuracy=40, paper=6, ours=6, released=2, edge=1, tables=2, searches=1, optimum=1,
    optimum_evaluations=256, expensive=0, stability=1,
)  # fmt: skip


def select_parts(size: Size, parts: Sequence[str]) -> Size:
    """The size with some parts only; all but ``ON_REQUEST`` if ``parts`` is empty.

    Raises:
        UsageError: a part is unknown.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise UsageError(f"unknown part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    chosen = tuple(part for part in PARTS if (part in parts if parts else part not in ON_REQUEST))
    # The rows of "paper" are also among the searches, on the same images, and need the optimum
    # only there.
    optimum = size.optimum if "searches" in chosen else 0
    return replace(size, parts=chosen, optimum=optimum)


def image_count(size: Size, table: str, method: Method) -> int:
    """Number of images of a method in a table."""
    paper = size.paper if method.name == PAPER.name else size.ours
    counts = {"searches": size.searches, "paper": paper, RELEASED: size.released}
    count = counts.get(table, size.tables)
    return min(count, size.expensive) if method.expensive else count


def scenes_at(size: Size, position: str) -> int:
    """Number of scenes with the unsafe object at a position."""
    # Twice as many in the centre: every edge is compared with it.
    return size.edge * (2 if position == "centre" else 1)
