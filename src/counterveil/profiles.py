"""Built-in profiles, and the one place where names become parts of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from counterveil import attribution, classifiers, fills, reasoning, search, segmentation
from counterveil.categories import CATEGORIES, PAPER_CATEGORIES, Category
from counterveil.config import Config, make_config, read_config
from counterveil.errors import MissingExtraError, ModelError, UsageError
from counterveil.pipeline import CategoryClassifier, Components, NamedMethod, Pipeline
from counterveil.registry import check_device
from counterveil.segmentation import LoadsWeights, ObjectSegmenter
from counterveil.types import AttributionMap, Image, Labels

FINE_SIZE = 1 / 28
"""Side of a fine region relative to the image's shorter side."""

_SIGLIP = "zeroshot:google/siglip2-base-patch16-224#"


def _with_classifier(key: str, spec: str) -> Category:
    return replace(CATEGORIES[key], classifier=spec)


_BULLYING_BY_TEXT = replace(
    CATEGORIES["cyberbullying"],
    title="Bullying by text",
    description="Offensive words written in the image.",
    questions=tuple(q for q in CATEGORIES["cyberbullying"].questions if q.key == "hate_speech"),
    classifier="text:",
    optional=True,
)

PROFILES: Mapping[str, Config] = MappingProxyType(
    {
        "photographs": Config(
            name="photographs",
            categories=(
                replace(
                    _with_classifier("sexually_explicit", "open_nsfw:"),
                    # Yahoo calls scores below 0.2 safe and above 0.8 unsafe.
                    threshold=0.8,
                    warn_threshold=0.2,
                    judges=("open_nsfw:6",),
                    judge_threshold=0.8,
                ),
                _BULLYING_BY_TEXT,
                replace(CATEGORIES["faces"], optional=True),
            ),
            attribution="fullgrad+gradcam",
            search="levelsets",
            region_size="fine",
            margin=0.5,
            search_size=384,
            completion="none",  # the search veils whole pieces by itself
            not_covered="gestures, weapons and self-harm; add the profile hub, a chat model, or "
            "categories of your own",
        ),
        "pictograms": Config(
            name="pictograms",
            categories=tuple(CATEGORIES[key] for key in PAPER_CATEGORIES),
            notice="the pictogram classifiers know drawn pictograms only; "
            "their scores say nothing about photographs",
            reasoner="pictograms:scenes",
        ),
        "nudenet": Config(
            name="nudenet",
            categories=(
                _with_classifier(
                    "sexually_explicit",
                    "nudenet:FEMALE_BREAST_EXPOSED+FEMALE_GENITALIA_EXPOSED+"
                    "MALE_GENITALIA_EXPOSED+ANUS_EXPOSED+BUTTOCKS_EXPOSED",
                ),
                _with_classifier("faces", "nudenet:FACE_FEMALE+FACE_MALE"),
            ),
            attribution="occlusion",
            completion="foreground",
            margin=0.9,
        ),
        "hub": Config(
            name="hub",
            categories=(
                _with_classifier("sexually_explicit", "hub:Falconsai/nsfw_image_detection#nsfw"),
                _with_classifier(
                    "cyberbullying",
                    _SIGLIP + "a rude hand gesture|a person pointing a weapon|"
                    "a sign with an insult||a photo of people|a place|an object",
                ),
                _with_classifier(
                    "self_harm",
                    _SIGLIP + "an injured forearm|a blade held to an arm|spilled pills||"
                    "a photo of people|a place|an object",
                ),
            ),
            attribution="gradcam",
            completion="foreground",
            notice="cyberbullying and self-harm are judged zero-shot by SigLIP 2: "
            "measure it on your own data before you rely on it",
        ),
    }
)
"""The built-in profiles by name."""


def find_profile(name: str, **options: Any) -> Config:
    """The configuration of a profile, with some options changed.

    Args:
        name: a built-in profile, or a ``.toml`` file.
        options: fields of :class:`~counterveil.config.Config` that replace the profile's, and
            ``thresholds``.

    Raises:
        UsageError: no such profile, the file is wrong, or an option is wrong.
    """
    if name in PROFILES:
        base = PROFILES[name]
    elif name.endswith(".toml"):
        base = read_config(Path(name))
    else:
        raise UsageError(
            f"no profile is called {name!r}; choose one of {', '.join(PROFILES)}, "
            "or name a .toml file"
        )
    return make_config(base, **options) if options else base


def load(profile: str | Config = "photographs", **options: Any) -> Pipeline:
    """Load a pipeline that examines images.

    A profile never falls back to another one.

    Args:
        profile: ``photographs`` (offline), ``pictograms`` (drawn scenes only), ``nudenet``
            (photographs, offline), ``hub`` (photographs, downloads models on first use), a
            ``.toml`` file, or a
            :class:`~counterveil.config.Config`.
        options: fields of :class:`~counterveil.config.Config` that replace the profile's, such as
            ``margin=0`` or ``search="greedy"``, and ``thresholds={"self_harm": 0.7}``.

    Raises:
        UsageError: a name or an option is wrong, or the device cannot be used here.
        ModelError: a classifier, the reasoner or the segmentation's model cannot be loaded.
        MissingExtraError: a model needs an extra that is not installed, and its category is not
            optional.

    Example:
        >>> import counterveil
        >>> pipeline = counterveil.load("pictograms", margin=0.2, reasoner="")
        >>> pipeline.config.margin
        0.2
    """
    if isinstance(profile, Config):
        config = make_config(profile, **options) if options else profile
    else:
        config = find_profile(profile, **options)
    check_device(config.device)
    components = make_components(config)
    _load_weights_early(components)
    classified, missing = _load_categories(config)
    if missing:
        config = _without(config, missing)
    return Pipeline(
        classified,
        components,
        config=config,
        reasoner=_load_model(
            reasoning, config.reasoner, config.device, config.folder_of("reasoner")
        )
        if config.reasoner
        else None,
    )


def make_components(config: Config) -> Components:
    """The methods that a configuration names; SAM runs on the configured device.

    Raises:
        UsageError: a name is wrong.
        ModelError: the segmenter of objects cannot be loaded.
    """
    options = {"device": config.device} if config.segmentation == "sam" else {}
    coarse = segmentation.make(config.segmentation, **options)
    regions = fine_regions if config.region_size == "fine" else coarse
    return Components(
        attribution=NamedMethod(config.attribution, attribution.make(config.attribution)),
        black_box_attribution=NamedMethod("occlusion", attribution.make("occlusion")),
        segmentation=NamedMethod(config.segmentation, regions),
        black_box_segmentation=coarse,
        refinement=fine_regions if config.search == "minimal" else None,
        search=NamedMethod(config.search, search.make(config.search)),
        fill=fills.fill(config.fill),
        segmenter=_load_segmenter(config),
    )


def _load_segmenter(config: Config) -> ObjectSegmenter | None:
    """``None`` where none is used, or where the default one's package is not installed.

    The record then warns.
    """
    if config.completion != "foreground" or config.search != "minimal" or not config.segmenter:
        return None
    try:
        return segmentation.load_object_segmenter(
            config.segmenter, device=config.device, folder=config.folder_of("segmenter")
        )
    except MissingExtraError:
        return None


def _load_categories(
    config: Config,
) -> tuple[list[CategoryClassifier], dict[str, MissingExtraError]]:
    """The categories with their classifiers, and why optional ones are left out, by key.

    Raises:
        MissingExtraError: of a category that is not optional, or of all that there are.
    """
    folder = config.folder_of("categories")
    classified: list[CategoryClassifier] = []
    missing: dict[str, MissingExtraError] = {}
    for category in config.categories:
        try:
            classifier, *judges = (
                _load_model(classifiers, spec, config.device, folder)
                for spec in (category.classifier, *category.judges)
            )
        except MissingExtraError as error:
            if not category.optional:
                raise
            missing[category.key] = error
        else:
            classified.append(CategoryClassifier(category, classifier, tuple(judges)))
    if missing and not classified:
        raise next(iter(missing.values()))
    return classified, missing


def _without(config: Config, missing: Mapping[str, MissingExtraError]) -> Config:
    """The configuration without categories whose extra is missing; ``not_covered`` tells them."""
    left_out = [
        f"{category.title} ({missing[category.key]})"
        for category in config.categories
        if category.key in missing
    ]
    gaps = [config.not_covered] if config.not_covered else []
    return config.model_copy(
        update={
            "categories": tuple(each for each in config.categories if each.key not in missing),
            "not_covered": "; ".join([*gaps, *left_out]),
        }
    )


def fine_regions(
    image: Image,
    *,
    guidance: AttributionMap | None = None,
    rng: np.random.Generator | None = None,
) -> Labels:
    """Small BASS regions ``(H, W)``; their size follows the image's, so any image gets as many."""
    # At least 4 pixels: BASS needs a few pixels to estimate a colour.
    size = max(4, round(min(image.shape[:2]) * FINE_SIZE))
    return segmentation.make("bass", size=size)(image, guidance=guidance, rng=rng)


def _load_model(room: ModuleType, spec: str, device: str, folder: Path | None) -> Any:
    """A model by its spec. Code behind a ``python:`` spec may try to end the program."""
    try:
        return room.load(spec, device=device, folder=folder)
    except SystemExit as error:
        raise ModelError(
            f"{spec}: tried to end the program while it was loaded (SystemExit: {error.code})"
        ) from error


def _load_weights_early(components: Components) -> None:
    """A missing checkpoint is one error now, not one error for each image later."""
    if isinstance(components.segmentation.method, LoadsWeights):
        components.segmentation.method.load()
