"""Values of the options, and the checks that pydantic runs on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from counterveil.categories import Category
from counterveil.errors import UsageError

AttributionName = Literal[
    "fullgrad", "gradcam", "gradcam++", "fullgrad+gradcam", "xgradcam", "ablationcam", "occlusion"
]
SegmentationName = Literal["bass", "slic", "felzenszwalb", "watershed", "quickshift", "sam"]
CompletionName = Literal["none", "colour", "foreground"]
SearchName = Literal[
    "greedy", "minimal", "levelsets", "csra", "sedc", "ben", "reference", "exhaustive"
]


def to_categories(value: Any) -> tuple[Category, ...]:
    """Categories from TOML tables; categories that are made already stay as they are."""
    if not isinstance(value, list | tuple):
        raise ValueError("no [[category]] table; write two brackets and one table per category")
    made = []
    for number, item in enumerate(value, 1):
        try:
            made.append(item if isinstance(item, Category) else Category.from_dict(item))
        except UsageError as error:
            raise ValueError(f"[[category]] number {number}: {error}") from error
    keys = [category.key for category in made]
    repeated = next((key for key in keys if keys.count(key) > 1), None)
    if repeated is not None:
        raise ValueError(f"two categories have the key {repeated!r}")
    return tuple(made)


def check_fill_name(value: Any) -> Any:
    """Checks the strength of a blur or pixelation, too."""
    from counterveil.fills import fill

    if isinstance(value, str):
        fill(value)
    return value


Fraction = Annotated[float, Field(ge=0, le=1)]
