"""What a pipeline is made of; all of it is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from counterveil.attribution import Attribution
from counterveil.categories import Category, ControlCode
from counterveil.errors import UsageError
from counterveil.fills import Fill
from counterveil.images import Limits
from counterveil.search import Search
from counterveil.segmentation import Segmentation
from counterveil.types import Classifier

T = TypeVar("T")


@dataclass(frozen=True)
class CategoryClassifier:
    """A category, and the classifier that watches for it."""

    category: Category
    classifier: Classifier


@dataclass(frozen=True)
class Named(Generic[T]):
    """A method, and the name that the record knows it by."""

    name: str
    method: T


@dataclass(frozen=True)
class Components:
    """How a counterfactual is found.

    Attributes:
        attribution: for classifiers that can be looked into.
        black_box: attribution for those that only score.
        segmentation: the regions that are ranked and veiled.
        refinement_labels: the partition that the veil is given back by; ``None`` keeps whole regions.
        search: which regions.
        fill: what veiled pixels become, in the search and in the file alike.
    """

    attribution: Named[Attribution]
    black_box: Named[Attribution]
    segmentation: Named[Segmentation]
    refinement_labels: Segmentation | None
    search: Named[Search]
    fill: Fill


@dataclass(frozen=True)
class Settings:
    """How far a pipeline goes.

    Attributes:
        target: the search stays below this score where it can; the threshold of a category
            where that is lower.
        slack: by how much giving back pieces finer than a region may raise the score.
        max_regions: most regions veiled for a category.
        max_evaluations: most images scored for a category.
        side: longest side, in pixels, at which the search works; masks are brought back to
            full resolution, and what ships is verified there.
        guided: whether the attribution guides the partition (finer where it is hot); one that
            ranks by occlusion needs the regions first, and cannot.
        objects: whether the veil is completed to whole objects by their looks, so that what the
            classifier does not need is not left in sight; only where ``Components.refinement_labels`` is given.
        limits: of untrusted files.
        answers: whether more is veiled where the reasoner still answers yes under the veil.
        questions: whose questions the reasoner is asked: those of all categories, so that it can
            disagree with the classifiers, or of the flagged ones.
        guidance: of each category, in ``[0, 1]``, that the reasoner is conditioned on, 0 for one
            that is not named; ``None``: the classifiers' own.

    Raises:
        UsageError: a number is out of range.
    """

    target: float = 0.3
    slack: float = 0.05
    max_regions: int = 10
    max_evaluations: int = 512
    side: int = 512
    guided: bool = False
    objects: bool = True
    limits: Limits = field(default_factory=Limits)
    answers: bool = False
    questions: Literal["all", "flagged"] = "all"
    guidance: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.target <= 1:  # NaN is not
            raise UsageError(f"target must be above 0 and at most 1, got {self.target}")
        if min(self.side, self.max_regions, self.max_evaluations) < 1:
            raise UsageError("side, max_regions and max_evaluations must be at least 1")
        ControlCode(self.guidance or {})
