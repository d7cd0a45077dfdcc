"""Names -> parts: the one place where a profile's words become a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, cast

import numpy as np

from counterveil import attribution, classifiers, fills, reasoning, search, segmentation
from counterveil._device import check_device
from counterveil._tables import check_names, read_table
from counterveil.categories import CATEGORIES, PAPER, Category, read_toml
from counterveil.errors import ModelError, UsageError
from counterveil.images import Limits
from counterveil.pipeline import Pipeline
from counterveil.pipeline.components import CategoryClassifier, Components, Named, Settings
from counterveil.segmentation import Segmentation
from counterveil.types import AttributionMap, Image, Labels

FINER = 1 / 28
"""Side of the pieces a veil is given back by, as a part of the image's shorter side."""

_WORDS = ("attribution", "segmentation", "search", "fill", "notice", "reasoner")
_NUMBERS = (
    "target",
    "max_regions",
    "max_evaluations",
    "max_frames",
    "max_bytes",
    "max_pixels",
    "side",
)
_SWITCHES = ("objects", "answers", "guided")
_TABLES = ("guidance",)
_KEYS = (*_WORDS, *_NUMBERS, *_SWITCHES, *_TABLES)

_SCANS = 15
"""Of the largest picture allowed, in a JPEG; a progressive one has some ten."""


@dataclass(frozen=True)
class Profile:
    """Categories and methods under one name.

    Attributes:
        name: what records call it.
        categories: what is watched for, each with its classifier's spec.
        attribution: name in ``counterveil.attribution.ATTRIBUTIONS``.
        segmentation: name in ``counterveil.segmentation.SEGMENTATIONS``.
        search: name in ``counterveil.search.SEARCHES``.
        fill: as ``counterveil.fills.fill`` reads it.
        notice: a sentence for every record made under this profile.
        reasoner: spec, as ``counterveil.reasoning.load`` reads it; empty: no rationale.
        settings: how far the search goes.
    """

    name: str
    categories: tuple[Category, ...]
    attribution: str = "fullgrad"
    segmentation: str = "bass"
    search: str = "minimal"
    fill: str = "black"
    notice: str = ""
    reasoner: str = ""
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True)
class Overrides:
    """What a caller wants otherwise than the profile; ``None`` leaves it as it is."""

    attribution: str | None = None
    segmentation: str | None = None
    search: str | None = None
    fill: str | None = None
    reasoner: str | None = None
    target: float | None = None
    max_regions: int | None = None
    max_evaluations: int | None = None
    max_frames: int | None = None
    max_bytes: int | None = None
    max_pixels: int | None = None
    side: int | None = None
    objects: bool | None = None
    answers: bool | None = None
    guided: bool | None = None
    guidance: Mapping[str, float] | None = None

    def given(self) -> dict[str, Any]:
        """Only what is wanted otherwise."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


_ZERO_SHOT = "zeroshot:google/siglip2-base-patch16-224#"


def _hub(key: str, spec: str) -> Category:
    return replace(CATEGORIES[key], classifier=spec)


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "proxy": Profile(
            "proxy",
            tuple(CATEGORIES[key] for key in PAPER),
            notice="the proxy classifiers know drawn pictograms only; "
            "their scores say nothing of photographs",
            reasoner="proxy:scenes",
        ),
        "nudenet": Profile(
            "nudenet",
            (
                replace(
                    CATEGORIES["sexually_explicit"],
                    classifier="nudenet:FEMALE_BREAST_EXPOSED+FEMALE_GENITALIA_EXPOSED+"
                    "MALE_GENITALIA_EXPOSED+ANUS_EXPOSED+BUTTOCKS_EXPOSED",
                ),
                CATEGORIES["faces"],
            ),
            attribution="occlusion",
            settings=Settings(target=0.05),
        ),
        "hub": Profile(
            "hub",
            (
                _hub("sexually_explicit", "hub:Falconsai/nsfw_image_detection#nsfw"),
                _hub(
                    "cyberbullying",
                    _ZERO_SHOT + "a rude hand gesture|a person pointing a weapon|"
                    "a sign with an insult||a photo of people|a place|an object",
                ),
                _hub(
                    "self_harm",
                    _ZERO_SHOT + "an injured forearm|a blade held to an arm|spilled pills||"
                    "a photo of people|a place|an object",
                ),
            ),
            attribution="gradcam",
            notice="cyberbullying and self-harm are judged zero-shot by SigLIP 2: "
            "measure it on data of your own before you rely on it",
        ),
    }
)
"""The built-in profiles by name."""


def profile(name: str) -> Profile:
    """A built-in profile, or one read from a TOML file.

    Raises:
        UsageError: no such profile, or the file is not one.
    """
    if name in PROFILES:
        return PROFILES[name]
    if name.endswith(".toml"):
        return _read(Path(name))
    raise UsageError(
        f"no profile is called {name!r}; choose one of {', '.join(PROFILES)}, or name a .toml file"
    )


def from_profile(
    name: str | Profile, *, overrides: Overrides | None = None, device: str = "cpu"
) -> Pipeline:
    """The pipeline of a profile. A profile never falls back to another.

    Args:
        name: ``proxy`` (drawn scenes only), ``nudenet`` (photographs, offline), ``hub``
            (photographs, downloads on first use), a ``.toml`` file, or a ``Profile``.
        overrides: what is wanted otherwise.
        device: where the models run, as torch names it.

    Raises:
        UsageError: a name is unknown, the device is not there, or a setting needs another one.
        ModelError: a classifier, the reasoner or a segmentation's model cannot be loaded.
        MissingExtraError: a classifier needs an extra that is not installed.
    """
    chosen = name if isinstance(name, Profile) else profile(name)
    chosen = with_overrides(chosen, overrides or Overrides())
    _check_together(chosen)
    check_device(device)
    used = methods(chosen, device=device)
    _check_weights(used.segmentation)
    watches = [
        CategoryClassifier(c, _loaded(classifiers, c.classifier, device)) for c in chosen.categories
    ]
    return Pipeline(
        watches,
        used,
        settings=chosen.settings,
        profile=chosen.name,
        notice=chosen.notice,
        reasoner=_loaded(reasoning, chosen.reasoner, device) if chosen.reasoner else None,
    )


def _loaded(room: ModuleType, spec: str, device: str) -> Any:
    """What a room loads; code that a ``python:`` spec names may try to end the program."""
    try:
        return room.load(spec, device=device)
    except SystemExit as error:
        raise ModelError(
            f"{spec}: tried to end the program while it was loaded (SystemExit: {error.code})"
        ) from error


def _check_together(chosen: Profile) -> None:
    """Refuse settings that would do nothing without another one."""
    settings = chosen.settings
    asks = {"veiling for answers": settings.answers, "guidance": settings.guidance is not None}
    for what, wanted in asks.items():
        if wanted and not chosen.reasoner:
            raise UsageError(f"{what} needs a reasoner, and none is named; see --reasoner")
    known = [category.key for category in chosen.categories]
    for key in settings.guidance or {}:
        if key not in known:
            raise UsageError(f"guidance for {key!r}: the categories here are {', '.join(known)}")


def _check_weights(segmentation: Named[Segmentation]) -> None:
    """Load a segmentation's checkpoint now, rather than fail on every image."""
    if segmentation.name == "sam":
        cast(Any, segmentation.method)._loaded  # noqa: B018


def methods(chosen: Profile, *, device: str = "cpu") -> Components:
    """The methods that a profile names; a segmentation with a network runs on the device."""
    options = {"device": device} if chosen.segmentation == "sam" else {}
    return Components(
        attribution=Named(chosen.attribution, attribution.make(chosen.attribution)),
        black_box=Named("occlusion", attribution.make("occlusion")),
        segmentation=Named(chosen.segmentation, segmentation.make(chosen.segmentation, **options)),
        refinement_labels=_finer if chosen.search == "minimal" else None,
        search=Named(chosen.search, search.make(chosen.search)),
        fill=fills.fill(chosen.fill),
    )


def _finer(
    image: Image, *, guidance: AttributionMap | None = None, rng: np.random.Generator | None = None
) -> Labels:
    """The partition that veils are given back by; as fine, relative to it, on any image."""
    size = max(4, round(min(image.shape[:2]) * FINER))
    return segmentation.make("bass", size=size)(image, guidance=guidance, rng=rng)


def with_overrides(chosen: Profile, overrides: Overrides) -> Profile:
    """The profile with what the caller wants otherwise."""
    given = overrides.given()
    words = {name: value for name, value in given.items() if name in _WORDS}
    return replace(chosen, **words, settings=_settings(chosen.settings, given))


def _settings(settings: Settings, given: Mapping[str, Any]) -> Settings:
    return replace(
        settings,
        target=given.get("target", settings.target),
        side=given.get("side", settings.side),
        objects=given.get("objects", settings.objects),
        answers=given.get("answers", settings.answers),
        guided=given.get("guided", settings.guided),
        guidance=given.get("guidance", settings.guidance),
        max_regions=given.get("max_regions", settings.max_regions),
        max_evaluations=given.get("max_evaluations", settings.max_evaluations),
        limits=_limits(settings.limits, given),
    )


def _limits(limits: Limits, given: Mapping[str, Any]) -> Limits:
    """The limits, those on a whole file raised with what one frame may have."""
    pixels = given.get("max_pixels", limits.pixels)
    return replace(
        limits,
        bytes=given.get("max_bytes", limits.bytes),
        frames=given.get("max_frames", limits.frames),
        pixels=pixels,
        total_pixels=max(limits.total_pixels, pixels),
        scan_pixels=max(limits.scan_pixels, _SCANS * pixels),
    )


def _read(path: Path) -> Profile:
    categories = read_toml(path, beside=_KEYS)
    values = {k: v for k, v in read_table(path).items() if k != "category"}
    check_names(values, _KEYS)
    _check_kinds(values, path)
    words = {name: value for name, value in values.items() if name in _WORDS}
    base = Profile(path.stem, categories)
    return replace(base, **words, settings=_settings(base.settings, values))


def _check_kinds(values: Mapping[str, Any], path: Path) -> None:
    for name, value in values.items():
        if name in _WORDS:
            fits, wanted = isinstance(value, str), "a string"
        elif name in _SWITCHES:
            fits, wanted = isinstance(value, bool), "true or false"
        elif name == "target":
            fits, wanted = _is_number(value) and 0 < value <= 1, "a number above 0 and at most 1"
        elif name in _TABLES:
            fits = isinstance(value, Mapping) and all(
                _is_number(number) and 0 <= number <= 1 for number in value.values()
            )
            wanted = "a table of categories, each with a number from 0 to 1"
        else:
            fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
            wanted = "a whole number above 0"
        if not fits:
            raise UsageError(f"{path}: key {name!r} must be {wanted}, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
