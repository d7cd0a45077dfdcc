"""Names and numbers in words, and the phrases that several texts or tables use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from counterveil.record import Answer, CategoryResult, CounterfactualResult, Record, Source

_METHODS = MappingProxyType(
    {"fullgrad": "FullGrad", "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++",
     "xgradcam": "XGrad-CAM", "ablationcam": "Ablation-CAM", "bass": "BASS", "slic": "SLIC",
     "felzenszwalb": "Felzenszwalb", "watershed": "Compact Watershed", "sam": "SAM"}
)  # fmt: skip
_PROGRAM_SCHEMES = ("python", "worker")
_PRIVATE = frozenset({"faces"})
"""Keys of categories that name no offence: what they find is veiled for privacy."""

_REPOSITORY_SCHEMES = ("hub", "zeroshot", "hf", "blip")


def percent(value: float) -> str:
    """A fraction in ``[0, 1]`` as percent; never rounded to 0 or 100 unless it is exactly that."""
    if 0 < value < 0.001:
        return "under 0.1 %"
    if 0.999 < value < 1:
        return "over 99.9 %"
    return f"{100 * value:.1f} %"


def pluralize(count: int, noun: str) -> str:
    """``1 region``, ``2 regions``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def join_list(items: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def end_sentence(text: str) -> str:
    """The text with a full stop, where it has no end mark."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def category_title(category: CategoryResult) -> str:
    """The category's name for people."""
    return category.title or category.key


def category_titles(categories: Sequence[CategoryResult]) -> str:
    """``Self-harm and Faces``."""
    return join_list([category_title(category) for category in categories])


def is_private(category: CategoryResult) -> bool:
    """Whether a category names no offence, but something that is veiled for privacy."""
    return category.key in _PRIVATE


def privacy_sentence(flagged: Sequence[CategoryResult]) -> list[str]:
    """Says of which flagged categories nobody is accused; none where there is no such category."""
    private = [category for category in flagged if is_private(category)]
    if not private:
        return []
    return [f"{category_titles(private)}: no offence, veiled for privacy."]


def method_name(method: str) -> str:
    """A method's name as its paper writes it."""
    return _METHODS.get(method, method or "an unnamed method")


def public_model_name(name: str) -> str:
    """A model's name without hosts, folders and commands, for readers outside.

    Args:
        name: as in :class:`counterveil.types.ModelInfo`.
    """
    scheme, colon, argument = name.partition(":")
    if not colon:
        return _last_part(name)
    if scheme in _PROGRAM_SCHEMES:
        return "a program of our own"
    if scheme == "chat":
        return _last_part(argument.rpartition("#")[2]) if "#" in argument else "a model of our own"
    argument = argument.partition("#")[0]
    local = scheme not in _REPOSITORY_SCHEMES or argument[:1] in "/.~" or argument.count("/") > 1
    return f"{scheme}:{_last_part(argument) if local else argument}"


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def veiled_percent(flagged: Sequence[CategoryResult]) -> str:
    """Veiled part of the image."""
    # One mask serves all categories; a category that needed no veil itself records an area of 0.
    return percent(max((c.counterfactual.area_fraction for c in flagged), default=0.0))


def ratings(flagged: Sequence[CategoryResult], source: Source | None) -> str:
    """Title and score of each category, with its frame and its view where there are several."""
    several = source is not None and source.frames > 1
    return join_list(
        [
            f"{category_title(category)} ({percent(category.score)}"
            f"{f' in frame {category.frame}' if several else ''}"
            f"{f', {category.view}' if category.view else ''})"
            for category in flagged
        ]
    )


def none_flagged(categories: Sequence[CategoryResult]) -> str:
    """Sentence for an image that no category flagged."""
    if not categories:
        return "No category was assessed."
    closest = max(categories, key=lambda c: c.score / c.threshold)
    return (
        f"No category flagged this image. {category_title(closest)} came closest, at "
        f"{percent(closest.score)} with a threshold of {percent(closest.threshold)}."
    )


def veil_area(flagged: Sequence[CategoryResult], *, whole: bool) -> str:
    """Sentence on the size of the veil."""
    covered = "the whole image" if whole else f"{veiled_percent(flagged)} of the image"
    return f"The veil covers {covered}."


def released_frame(source: Source | None) -> list[str]:
    """Sentences on the frames of a file; none where it holds one."""
    if source is None or source.frames == 1:
        return []
    return [
        f"The file holds {source.frames} frames, counted from 0; {len(source.frames_assessed)} of "
        f"them were assessed. Only frame {source.frame} is released."
    ]


def answer_status(answer: Answer) -> Literal["yes", "not_assessed", "no"]:
    """Status of an answer; one that was not assessed is neither yes nor no."""
    if answer.p_yes is None:
        return "not_assessed"
    return "yes" if answer.yes else "no"


def answer_text(answer: Answer) -> str:
    """The model's sentence, or why the question was not assessed."""
    if answer.p_yes is None:
        return f"not assessed: {answer.reason or 'no reason was given'}"
    return answer.answer


def answer_evidence(answer: Answer, *, flagged: bool) -> str:
    """Part of the image that an answer rests on; ``flagged``: the image has a veil."""
    if answer.p_yes is None:
        return ""
    if answer.grounded:
        return "what is veiled"
    if answer.p_yes_veiled is not None:
        return "what is still visible"
    return "not assessed" if answer.yes and flagged else ""


def picture_texts(record: Record) -> Mapping[str, str]:
    """Alternative texts of the veiled image and of each overlay."""
    if record.whole_image_veiled:
        shown = "veiled as a whole: nothing of it is shown"
    else:
        shown = "with its unsafe regions veiled" if record.flagged else "no region veiled"
    regions = max((c.counterfactual.regions_total for c in record.flagged), default=0)
    return {
        "veiled": f"{record.source.name}, {shown}",
        "heat": "where the classifier looked, on a coarse grid",
        "regions": f"boundaries of {pluralize(regions, 'region')} outside the veil",
        "mask": f"the veil, {veiled_percent(record.flagged)} of the image",
    }


def regions_sentence(result: CounterfactualResult) -> str:
    """Where the regions of a search come from."""
    if result.segmentation == "boxes":
        marked = "a place" if result.regions_total == 1 else f"{result.regions_total} places"
        return f"The classifier marked {marked} in the image; its boxes are the regions."
    ranked = f", and {method_name(result.attribution)} ranked them" if result.attribution else ""
    return (
        f"{method_name(result.segmentation)} divided the image into "
        f"{pluralize(result.regions_total, 'region')}{ranked}."
    )
