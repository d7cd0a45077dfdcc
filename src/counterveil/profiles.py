"""Names -> parts: the one place where a profile's words become a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from counterveil import attribution, classifiers, reasoning, regions, search, veil
from counterveil._tables import check_names, read_table
from counterveil.categories import CATEGORIES, PAPER, Category, read_toml
from counterveil.errors import UsageError
from counterveil.pipeline import Counterveil
from counterveil.pipeline.parts import Methods, Named, Settings, Watch
from counterveil.types import Heat, Image, Labels

FINER = 1 / 28
"""Side of the pieces a veil is given back by, as a part of the image's shorter side."""

_WORDS = ("attribution", "segmentation", "search", "fill", "notice", "reasoner")
_NUMBERS = ("target", "max_regions", "max_forwards", "max_frames", "side")
_SWITCHES = ("objects", "answers")


@dataclass(frozen=True)
class Profile:
    """Categories and methods under one name.

    Attributes:
        name: what records call it.
        categories: what is watched for, each with its classifier's spec.
        attribution: name in ``counterveil.attribution.ATTRIBUTIONS``.
        segmentation: name in ``counterveil.regions.SEGMENTATIONS``.
        search: name in ``counterveil.search.SEARCHES``.
        fill: as ``counterveil.veil.fill`` reads it.
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
    max_forwards: int | None = None
    max_frames: int | None = None
    side: int | None = None
    objects: bool | None = None
    answers: bool | None = None

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
) -> Counterveil:
    """The pipeline of a profile. A profile never falls back to another.

    Args:
        name: ``proxy`` (drawn scenes only), ``nudenet`` (photographs, offline), ``hub``
            (photographs, downloads on first use), a ``.toml`` file, or a ``Profile``.
        overrides: what is wanted otherwise.
        device: where the models run, as torch names it.

    Raises:
        UsageError: a name is unknown.
        ModelError: a classifier or the reasoner cannot be loaded.
        MissingExtraError: a classifier needs an extra that is not installed.
    """
    chosen = name if isinstance(name, Profile) else profile(name)
    chosen = with_overrides(chosen, overrides or Overrides())
    watches = [Watch(c, classifiers.load(c.classifier, device=device)) for c in chosen.categories]
    return Counterveil(
        watches,
        methods(chosen),
        settings=chosen.settings,
        profile=chosen.name,
        notice=chosen.notice,
        reasoner=reasoning.load(chosen.reasoner, device=device) if chosen.reasoner else None,
    )


def methods(chosen: Profile) -> Methods:
    """The methods that a profile names."""
    return Methods(
        attribution=Named(chosen.attribution, attribution.make(chosen.attribution)),
        black_box=Named("occlusion", attribution.make("occlusion")),
        segmentation=Named(chosen.segmentation, regions.make(chosen.segmentation)),
        finer=_finer if chosen.search == "minimal" else None,
        search=Named(chosen.search, search.make(chosen.search)),
        fill=veil.fill(chosen.fill),
    )


def _finer(
    image: Image, *, guidance: Heat | None = None, rng: np.random.Generator | None = None
) -> Labels:
    """The partition that veils are given back by; as fine, relative to it, on any image."""
    size = max(4, round(min(image.shape[:2]) * FINER))
    return regions.make("bass", size=size)(image, guidance=guidance, rng=rng)


def with_overrides(chosen: Profile, overrides: Overrides) -> Profile:
    """The profile with what the caller wants otherwise."""
    given = overrides.given()
    words = {name: value for name, value in given.items() if name in _WORDS}
    return replace(chosen, **words, settings=_settings(chosen.settings, given))


def _settings(settings: Settings, given: Mapping[str, Any]) -> Settings:
    budget = replace(
        settings.budget,
        regions=given.get("max_regions", settings.budget.regions),
        forwards=given.get("max_forwards", settings.budget.forwards),
    )
    limits = replace(settings.limits, frames=given.get("max_frames", settings.limits.frames))
    return replace(
        settings,
        target=given.get("target", settings.target),
        side=given.get("side", settings.side),
        objects=given.get("objects", settings.objects),
        answers=given.get("answers", settings.answers),
        budget=budget,
        limits=limits,
    )


def _read(path: Path) -> Profile:
    categories = read_toml(path, beside=[*_WORDS, *_NUMBERS, *_SWITCHES])
    values = {k: v for k, v in read_table(path).items() if k != "category"}
    check_names(values, [*_WORDS, *_NUMBERS, *_SWITCHES])
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
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            fits, wanted = fits and 0 < value <= 1, "a number above 0 and at most 1"
        else:
            fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
            wanted = "a whole number above 0"
        if not fits:
            raise UsageError(f"{path}: key {name!r} must be {wanted}, got {value!r}")
