"""Sections of a page about a folder of photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from counterveil.lab.benchmarks.contact_sheet import SHOWN
from counterveil.lab.benchmarks.released import SMALL_VEIL
from counterveil.lab.benchmarks.stability import STABLE_RATIO
from counterveil.lab.benchmarks.tables import markdown_table, table
from counterveil.lab.benchmarks.transfer import RAISED, RANDOM_VEILS
from counterveil.lab.benchmarks.veil_metrics import DETECTED
from counterveil.outcomes import OUTCOMES

Results = Mapping[str, Any]

_PICTURE = (
    "Chosen by rule: every second image, by its score from the highest on, at most "
    f"{SHOWN}. Each is shown before and after, with its score and its veiled share."
)
_NOT_SHOWN = (
    "{} harmless images that do not belong on a screen at work, such as underwear, were left out "
    "before every second one was taken."
)
_SHAPE = (
    "*Pieces* are the veil's 8-connected components. *Circularity* tells how smooth their "
    "boundaries are: `4 pi A / P²` of a piece with area A and perimeter P (Cox, Journal of "
    "Paleontology 1, 1927), averaged over the pieces by area. It is 1 for a disc, about 0.9 for a "
    "square, and near 0 for ragged or long shapes. Veils over the whole image are left out."
)
_TRANSFER = (
    "Does the veil hide the thing, or only what one classifier looks at? These judges took no "
    "part in the search. An image counts where the judge's score was at least "
    f"{RAISED:g} before the veil. *Fall*: how far that score falls under the veil. *Random*: how "
    f"far it falls, in the mean, under {RANDOM_VEILS} random veils. Each of them is the veil "
    "itself, with every piece mirrored at random and moved to a random place, so that area and "
    "shapes are the same. *Ratio* is that of the mean falls; ∞ means that the random fall cannot "
    "be told from none."
)
_BOXES = (
    "*Coverage*: share of the boxes' pixels that are veiled. *Excess*: veiled pixels outside of "
    f"the boxes, over the boxes' area. Boxes count from a score of {DETECTED:g} on; images without "
    "a box are left out."
)
_RELEASED = (
    "The files that `counterveil run` writes: search, completion of objects, judges, "
    "verification. *Ratios* are to the paper's search on the same images; the area is that of the "
    "images for which the paper's search found a counterfactual. Times and images scored are "
    "those of the whole examination, from reading the file to the verified result. The judges' "
    "own scores are part of the time, and not of the images scored."
)
_STABILITY = (
    "The same picture as PNG, as JPEG, and at 0.9 of its size. *IoU*: the released veil compared "
    "with that of the PNG, at the PNG's size. A copy that is no longer flagged has no veil."
)
_FALSE_ALARMS = (
    "All images of the folder are harmless, so each flag is a false alarm. How many unsafe "
    "photographs a profile finds was not measured: nothing unsafe was used. *Warned*: not "
    "flagged, but a person should look."
)


def folder_sections(results: Results, *, picture: str = "", not_shown: int = 0) -> list[str]:
    """What a page says of a folder beside the paper's tables.

    Args:
        results: results of the benchmark ``cse`` for a folder.
        picture: picture of photographs before and after, relative to the page; empty: none.
        not_shown: number of images that were left out of it by hand.
    """
    parts = []
    if picture:
        caption = "Photographs before and after, chosen by their rank"
        left_out = f" {_NOT_SHOWN.format(not_shown)}" if not_shown else ""
        parts += ["## Before and after", _PICTURE + left_out, f"![{caption}]({quote(picture)})"]
    if "released" in results:
        parts += _released_section(results["released"])
    parts += _veil_sections(results)
    if "stability" in results:
        parts += _stability_section(results["stability"])
    if "false-alarms" in results:
        parts += ["## False alarms", _FALSE_ALARMS, _alarm_table(results["false-alarms"])]
    return parts


def _veil_sections(results: Results) -> list[str]:
    veils = results["veils"]
    shapes = {name: row["shape"] for name, row in veils.items() if row["shape"]}
    boxes = {name: row["boxes"] for name, row in veils.items() if row["boxes"]}
    transfer = {
        f"{judge}: {name}": row["transfer"][judge]
        for judge in _judges(veils)
        for name, row in veils.items()
        if judge in row["transfer"]
    }
    parts = ["## Shape of the veils", _SHAPE, table("method", shapes)] if shapes else []
    if transfer:
        shared = [each for each in _judges(veils) if each in _profile_judges(results)]
        parts += ["## Transfer to other classifiers", _TRANSFER]
        if shared:
            parts.append(
                f"{', '.join(f'`{each}`' for each in shared)}: also judges of the profile. "
                "Released veils were made to hold for them, so look at the rows of the searches."
            )
        parts.append(table("judge: method", transfer))
    if boxes:
        options = results["measured"]["options"]
        parts += ["## Coverage of boxes", f"Boxes of `{options['boxes']}`. {_BOXES}"]
        parts.append(table("method", boxes))
    return parts


def _judges(veils: Results) -> list[str]:
    return list(dict.fromkeys(judge for row in veils.values() for judge in row["transfer"]))


def _profile_judges(results: Results) -> list[str]:
    return list(results["released"]["judges"]) if "released" in results else []


def _released_section(released: Results) -> list[str]:
    judges = ", ".join(f"`{judge}`" for judge in released["judges"]) or "none"
    rows = {OUTCOMES[key].title: {"images": n} for key, n in released["outcomes"].items()}
    ratios = {
        "veiled area": released["relative_area"],
        "images scored": released["relative_evaluations"],
        "time": released["relative_milliseconds"],
    }
    return [
        "## Released files",
        f"Profile `{released['profile']}`, with its judges: {judges}. {_RELEASED}",
        table("outcome", rows),
        f"Veils smaller than {100 * SMALL_VEIL:.0f} % of the image: {released['small']}; of these, "
        f"disputed by a judge of the profile: {released['small_disputed']}.",
        table("ratio to the paper's search", {k: {"ratio": v} for k, v in ratios.items()}),
    ]


def _stability_section(stability: Results) -> list[str]:
    summary = {
        "images": stability["images"],
        f"largest veil at most {STABLE_RATIO:g} times the smallest": stability["stable"],
        "median IoU with the PNG's veil": stability["median_iou"],
    }
    return [
        "## Stability",
        _STABILITY,
        table("", {"all copies": summary}, percent=True),
        table("copy", stability["copies"]),
    ]


def _alarm_table(profiles: Results) -> str:
    rows = [
        [name, key, str(row["images"]), f"{row['threshold']:g}", _count(row, "flagged"),
         f"{row['warn_threshold']:g}" if row["warn_threshold"] else "–", _count(row, "warned")]
        for name, categories in profiles.items()
        for key, row in categories.items()
    ]  # fmt: skip
    titles: Sequence[str] = ("profile", "category", "images", "flagged from", "flagged",
                             "warned from", "warned")  # fmt: skip
    return markdown_table(titles, rows)


def _count(row: Results, name: str) -> str:
    share = row[name] / row["images"] if row["images"] else 0.0
    return f"{row[name]} ({100 * share:.1f} %)"
