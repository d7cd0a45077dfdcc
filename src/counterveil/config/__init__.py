"""One configuration: TOML files, the command line and Python read the options declared here.

```toml
# counterveil.toml
attribution = "gradcam"
margin = 0.4

[[category]]
key = "logos"
title = "Competitors' logos"
classifier = "zeroshot:google/siglip2-base-patch16-224#a photo with a logo"
threshold = 0.6
questions = ["Is there a logo in the image?"]
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from counterveil.categories import Category, check_keys, unknown_key
from counterveil.config.toml import read_toml
from counterveil.config.values import (
    AttributionName,
    CompletionName,
    Fraction,
    SearchName,
    SegmentationName,
    check_fill_name,
    to_categories,
)
from counterveil.errors import UsageError

if TYPE_CHECKING:
    from counterveil.images import Limits

_SCANS_OF_LARGEST_JPEG = 15
"""A progressive JPEG has about ten scans; each costs one pass over all pixels."""


class Config(BaseModel):
    """All options of a pipeline.

    Make one with :func:`make_config` or :func:`read_config`: they turn pydantic's errors into
    :class:`~counterveil.errors.UsageError`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,  # "4" is no number and 1 is no switch: a typing error must not pass
        allow_inf_nan=False,
    )

    name: str = Field("custom", description="Name of the profile in records.")
    categories: Annotated[tuple[Category, ...], BeforeValidator(to_categories)] = Field(
        (), description="What to look for; in a file, one [[category]] table each."
    )
    notice: str = Field("", description="Sentence that every record carries as a warning.")
    not_covered: str = Field(
        "",
        description="What the profile cannot judge, and what to add for it; every record, the "
        "report and the end of a run say so.",
    )
    attribution: AttributionName = Field(
        "fullgrad", description="Attribution map: how much each pixel argues for unsafe."
    )
    segmentation: SegmentationName = Field(
        "bass", description="Segmentation into the regions that are veiled."
    )
    region_size: Literal["coarse", "fine"] = Field(
        "coarse",
        description="Size of the regions: coarse, about 16 in an image, as the segmentation's "
        "default is; fine, 1/28 of the shorter side, for the search levelsets (segmentation bass "
        "only).",
    )
    search: SearchName = Field(
        "minimal",
        description="Counterfactual search: minimal (ours, for drawings), levelsets (ours, for "
        "photographs), greedy (the paper's), or a baseline.",
    )
    fill: Annotated[str, BeforeValidator(check_fill_name)] = Field(
        "black",
        description="What veiled pixels become: black, white, grey, #rrggbb; blur[:radius] and "
        "pixelate[:blocks] for viewing only.",
    )
    reasoner: str = Field(
        "",
        description="Vision-language model that writes the rationale, such as blip:REPO; empty: "
        "no rationale.",
    )
    margin: float = Field(
        0.4,
        ge=0,
        lt=1,
        description="The veiled image must score below (1 - margin) times the category's "
        "threshold. 0: just below the threshold.",
    )
    max_score_increase: Fraction = Field(
        0.05,
        description="How much the score may rise while pieces smaller than a region are given "
        "back.",
    )
    max_regions: int = Field(
        10,
        ge=1,
        description="Most regions that the search chooses for one category. The mask may "
        "touch more of them: it is reduced in smaller pieces, completed to whole objects, and "
        "joined with the masks of other categories.",
    )
    max_evaluations: int = Field(
        512, ge=2, description="Most images that the search scores for one counterfactual."
    )
    search_size: int = Field(
        512,
        ge=1,
        description="Longest side, in pixels, of the image that the search works on. The mask is "
        "enlarged afterwards, and the veiled image is verified at full resolution.",
    )
    completion: CompletionName = Field(
        "colour",
        description="Veil more of an object than the decision needs (search minimal only): colour, "
        "whole objects by colour and attribution, for drawn scenes; foreground, a bounded part of "
        "what the segmenter calls an object, for photographs; or none.",
    )
    segmenter: str = Field(
        "u2netp:",
        description="Tells objects and people from the background, for completion foreground: "
        "u2netp:, u2netp:FILE.onnx or sam:REPO. Empty, or u2netp: without its package: by colour "
        "and attribution, as bounded.",
    )
    guided_segmentation: bool = Field(
        False, description="Make regions finer where the attribution map is high."
    )
    veil_answers: bool = Field(
        False,
        description="Veil more while the reasoner still answers yes about the veiled image.",
    )
    questions: Literal["all", "flagged"] = Field(
        "all", description="Ask the questions of all categories, or only of the flagged ones."
    )
    guidance: dict[str, Fraction] | None = Field(
        None,
        description="Condition the reasoner with this strength, 0 to 1, for each category, instead "
        "of the classifiers' scores. A category that is not named counts as 0.",
    )
    max_frames: int = Field(
        8, ge=1, description="Most frames that are assessed in a file of several frames."
    )
    max_bytes: int = Field(64 * 1024 * 1024, ge=1, description="Largest file, in bytes.")
    max_pixels: int = Field(80_000_000, ge=1, description="Largest frame, in pixels.")
    device: str = Field("cpu", description="Where the models run: cpu, cuda, cuda:1, mps.")

    _folders: dict[str, Path] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _check_combinations(self) -> Config:
        """Refuse an option that has no effect without another one."""
        for option, used in {
            "veil_answers": self.veil_answers,
            "guidance": self.guidance is not None,
        }.items():
            if used and not self.reasoner:
                raise ValueError(f"{option} needs a reasoner; set the option reasoner as well")
        if self.region_size == "fine" and self.segmentation != "bass":
            raise ValueError("region_size = fine needs segmentation = bass")
        keys = [category.key for category in self.categories]
        for key in self.guidance or {}:
            if keys and key not in keys:
                raise ValueError(f"guidance names {key!r}; the categories are {', '.join(keys)}")
        return self

    def folder_of(self, option: str) -> Path | None:
        """Folder of the settings file that gave an option; ``None`` if none did."""
        return self._folders.get(option)

    def limits(self) -> Limits:
        """Limits on untrusted files; limits on a whole file grow with those on a frame."""
        from counterveil.images import Limits

        default = Limits()
        return Limits(
            bytes=self.max_bytes,
            pixels=self.max_pixels,
            frames=self.max_frames,
            total_pixels=max(default.total_pixels, self.max_pixels),
            scan_pixels=max(default.scan_pixels, _SCANS_OF_LARGEST_JPEG * self.max_pixels),
        )


def make_config(
    base: Config | None = None, *, thresholds: Mapping[str, float] | None = None, **options: Any
) -> Config:
    """A configuration with some options changed, validated as a whole.

    Args:
        base: the other options; the defaults if ``None``.
        thresholds: new thresholds of some categories, by key.
        options: fields of :class:`Config`.

    Raises:
        UsageError: an option is unknown, has the wrong type, is out of range, or needs another
            option. The message says what is allowed.
    """
    # Merged first and validated once, so that combinations are checked on the result.
    values = {name: getattr(base, name) for name in Config.model_fields} if base else {}
    config = _validated({**values, **options}, list(Config.model_fields))
    if thresholds:
        categories = _with_thresholds(config.categories, thresholds)
        config = config.model_copy(update={"categories": categories})
    if base:
        kept = {name: path for name, path in base._folders.items() if name not in options}
        config._folders.update(kept)
    return config


def _with_thresholds(
    categories: tuple[Category, ...], thresholds: Mapping[str, float]
) -> tuple[Category, ...]:
    keys = [category.key for category in categories]
    for key, value in thresholds.items():
        if key not in keys:
            raise UsageError(f"threshold names {key!r}; the categories are {', '.join(keys)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"the threshold of {key!r} must be a number, got {value!r}")
    return tuple(
        replace(category, threshold=float(thresholds.get(category.key, category.threshold)))
        for category in categories
    )


def read_config(path: Path | str) -> Config:
    """The configuration in a TOML file. Its name is the file's name without the suffix.

    Raises:
        UsageError: the file cannot be read, is not TOML, has no category, or an option is wrong.
            The message names the file, the key and what is allowed.
    """
    path = Path(path)
    table = read_toml(path)
    # TOML writes one [[category]] table for each category, in the singular.
    allowed = ["category" if name == "categories" else name for name in Config.model_fields]
    try:
        for key in table.keys() & _REPLACED:
            raise UsageError(_REPLACED[key])
        check_keys(table, allowed)
        values = {"categories" if key == "category" else key: v for key, v in table.items()}
        config = _validated({"name": path.stem, **values}, allowed)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    if not config.categories:
        raise UsageError(f"{path}: no [[category]] table; add one for each category")
    config._folders.update(
        dict.fromkeys(("categories", "reasoner", "segmenter"), path.parent.absolute())
    )
    return config


def to_toml(config: Config) -> str:
    """The configuration as a commented TOML file that :func:`read_config` reads back."""
    import tomli_w

    lines: list[str] = []
    tables: dict[str, Any] = {}
    for name, field in Config.model_fields.items():
        value = getattr(config, name)
        if name == "categories":
            tables["category"] = [category.to_dict() for category in value]
        elif isinstance(value, dict):
            tables[name] = value
        elif value is not None:
            lines += [f"# {field.description}", tomli_w.dumps({name: value})]
    return "\n".join(lines) + "\n" + tomli_w.dumps(dict(sorted(tables.items(), reverse=True)))


def allowed_values(name: str) -> str:
    """What an option accepts, in words: ``"a number above 0 and at most 1"``."""
    field = Config.model_fields[name]
    kind: Any = field.annotation
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if name == "guidance":
        return "a table with a number from 0 to 1 for each category"
    words = {bool: "true or false", str: "a string", int: "a whole number", float: "a number"}
    bounds = {type(bound): bound for bound in field.metadata}
    limits = [
        text.format(value)
        for kind_of_bound, text in _BOUNDS.items()
        for value in [getattr(bounds.get(kind_of_bound), kind_of_bound.__name__.lower(), None)]
        if value is not None
    ]
    return " ".join([words.get(kind, "a list of tables"), " and ".join(limits)]).strip()


_BOUNDS = {Gt: "above {}", Ge: "of at least {}", Le: "at most {}", Lt: "below {}"}


_REPLACED = {
    "target": "unknown key 'target'; write margin = 1 - target / threshold instead: margin = 0.4 "
    "stands for target = 0.3 where the threshold is 0.5",
}
"""Options of earlier versions, and what to write instead."""


def _validated(values: Mapping[str, Any], allowed: list[str]) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        messages = [_message(each, allowed) for each in error.errors()]
        raise UsageError("; ".join(dict.fromkeys(messages))) from error


def _message(error: Any, allowed: list[str]) -> str:
    """One error of pydantic in a sentence that says what is allowed."""
    if not error["loc"]:
        return str(error["ctx"]["error"])
    key = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return _REPLACED.get(key) or unknown_key(key, allowed)
    if error["type"] == "value_error":
        reason = error["ctx"]["error"]  # a message of ours, from a validator above
        return str(reason) if key == "categories" else f"{key!r}: {reason}"
    return f"{key!r} must be {allowed_values(key)}, got {error['input']!r}"
