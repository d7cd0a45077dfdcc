"""A record in plain sentences; every claim is read from a field, and none is added."""

from __future__ import annotations

from counterveil.narrative import count, frame_of, list_of, percent, title
from counterveil.record import CategoryResult, Record

_HOW = {
    "fullgrad": "FullGrad",
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "xgradcam": "XGrad-CAM",
    "ablationcam": "Ablation-CAM",
    "occlusion": "occlusion",
    "bass": "BASS",
    "slic": "SLIC",
    "felzenszwalb": "Felzenszwalb",
    "watershed": "Compact Watershed",
    "sam": "SAM",
}


def state(record: Record) -> str:
    """One word: ``error``, ``unverified``, ``not_found``, ``veiled`` or ``clear``.

    ``unverified`` stands before ``not_found``: it is the worse of the two.
    """
    if record.status == "error":
        return "error"
    if not verified(record):
        return "unverified"
    if not record.flagged:
        return "clear"
    return "not_found" if record.whole_image_veiled else "veiled"


def verified(record: Record) -> bool:
    """Every category was scored on the written file and found below its threshold."""
    return bool(record.categories) and all(c.counterfactual.verified for c in record.categories)


def headline(record: Record) -> str:
    """What became of the image, in a few words."""
    names = list_of([title(category) for category in record.flagged])
    what = {
        "error": "Not examined",
        "unverified": "Not verified: do not treat as safe",
        "not_found": f"Flagged: {names}. Whole image veiled",
        "veiled": f"Flagged: {names}. Veiled and verified",
        "clear": "Not flagged",
    }[state(record)]
    if record.status != "partial":
        return what
    return f"{what}; {'judged in part only' if judged_in_part(record) else 'reasons incomplete'}"


def judged_in_part(record: Record) -> bool:
    """Something of the file was not looked at; a reasoner that was silent is another matter."""
    source = record.source
    return record.error is not None or len(source.frames_assessed) < source.frames


def sentences(record: Record) -> tuple[str, ...]:
    """What was done, one claim a sentence, in the order in which it was done."""
    if record.status == "error":
        return (
            f"This file was not examined: {_stop(record.error or 'no reason was recorded')}",
            "Nothing was veiled and nothing was released. Treat it as unsafe until it has been "
            "examined.",
        )
    said = list(_examined(record))
    if not record.flagged:
        said.append(_nothing_flagged(record))
    for category in record.flagged:
        said += _category(record, category)
    said += _file(record)
    return tuple(said)


def _examined(record: Record) -> list[str]:
    source = record.source
    said = []
    if record.status == "partial" and judged_in_part(record):
        reason = f": {_stop(record.error)}" if record.error else "."
        said.append(f"Only a part of this file was judged{reason}")
    elif record.status == "partial":
        said.append("All of this file was judged; its reasons are incomplete.")
    if source.frames > 1:
        said.append(
            f"The file holds {source.frames} frames, counted from 0; "
            f"{len(source.frames_assessed)} of them were assessed. Only frame {source.frame} is "
            "released."
        )
    said += [f"While reading: {_stop(note)}" for note in source.notes]
    return said


def _nothing_flagged(record: Record) -> str:
    if not record.categories:
        return "No category judged this image."
    top = max(record.categories, key=lambda c: c.score / c.threshold)
    return (
        f"No category flagged this image. {title(top)} came closest, at {percent(top.score)} "
        f"with a threshold of {percent(top.threshold)}."
    )


def _category(record: Record, category: CategoryResult) -> list[str]:
    result = category.counterfactual
    what = frame_of(category, record.source).removeprefix("in ") or "the image"
    said = [
        f"{title(category)} flagged {what} at {percent(category.score)}; its threshold is "
        f"{percent(category.threshold)}."
    ]
    if category.frame != record.source.frame:
        said.append(
            f"That frame is not released; the one that is scored {percent(result.score_before)}."
        )
    if result.regions_total:
        said.append(
            f"{name(result.segmentation)} divided the image into "
            f"{count(result.regions_total, 'region')}"
            + (f", which {name(result.attribution)} ranked." if result.attribution else ".")
        )
    if result.outcome == "found":
        said.append(
            f"The {result.search} search scored {count(result.evaluations, 'image')}: the decision "
            f"first flipped with {count(result.depth, 'region')} veiled, and the veil that was "
            f"kept touches {count(result.regions_veiled, 'region')}."
        )
    elif result.outcome == "not_found":
        said.append(
            f"After {count(result.evaluations, 'image')} scored, the {result.search} search was "
            "left without a veil that holds."
        )
    return said


def _file(record: Record) -> list[str]:
    said = []
    if record.whole_image_veiled:
        said.append(
            "No counterfactual was found within the budget, so the whole image is veiled and "
            "nothing of it is shown."
        )
    elif record.flagged:
        area = max(category.counterfactual.area_fraction for category in record.flagged)
        rest = max(category.counterfactual.completed_fraction for category in record.flagged)
        said.append(f"The veil covers {percent(area)} of the image.")
        answered = max(category.counterfactual.answered_fraction for category in record.flagged)
        if rest:
            said.append(
                f"{percent(rest)} of the image is the rest of the objects on which the needed "
                "part lies: the decision does not need it, the eye does."
            )
        if answered:
            said.append(
                f"{percent(answered)} of the image is veiled for the reasoner alone, which still "
                "answered yes with it in sight: the decision does not need it."
            )
        if all(category.counterfactual.irreducible for category in record.flagged):
            what = "What the decision needs" if rest or answered else "It"
            said.append(
                f"{what} is irreducible: no part of it can be given back alone without a score "
                "rising over what the search had to stay below."
            )
    if record.outputs is not None and record.flagged:
        veiled = record.outputs.veiled
        said.append(f"The veil is {veiled.fill}.")
        if veiled.reversible_risk:
            said.append(
                "This veil hides from the eye, but something of what lies under it might be "
                "computed back. Do not publish it."
            )
    said.append(_verdict(record))
    return said


def _verdict(record: Record) -> str:
    missed = [c for c in record.categories if not c.counterfactual.verified]
    if not record.categories:
        return "Nothing was verified."
    if missed:
        scores = list_of(
            [
                f"{title(c)} at {percent(c.counterfactual.score_after)} "
                f"(threshold {percent(c.threshold)})"
                for c in missed
            ]
        )
        return f"The written file did not pass: {scores}. Do not treat it as safe."
    return "The written file was decoded again and scored: every category is below its threshold."


def name(method: str) -> str:
    """A method's name as its paper writes it."""
    return _HOW.get(method, method or "an unnamed method")


def _stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
