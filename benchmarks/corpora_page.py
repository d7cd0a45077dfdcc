"""Counts of ``corpora.py``, as data and as the page ``docs/results/corpora.md``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
Verdict = str
"""``equal`` to a decoder, ``different`` from every decoder that reads it, ``alone``: none does."""

_CAUSES = {
    "Transparent frames of an APNG are laid over transparent ones too faintly (Pillow). The "
    "browser's composition and the colours with alpha ignored are scored too.": (
        "blend_op_over_near_transparent.png", "mode_16bit.png", "mode_grayscale_alpha.png",
        "mode_palette_1bit_alpha.png",
    ),
    "OpenCV shows another frame. Ours is the one that the authors of the test files expect.": (
        "single_frame_default.png", "split_fdat.png", "split_fdat_zero_chunk.png",
    ),
    "OpenCV fills the lower bits of 5-bit colours with zeros.": (
        "rgb16.bmp", "rgb16-565.bmp", "rgb16-565pal.bmp", "Info_X1_R5_G5_B5.bmp",
        "Info_X1_R5_G5_B5_Top_Down.bmp",
    ),
    "OpenCV ignores the masks in the header. Published pictures of such files are equal, or one "
    "level off.": ("rgb32bf.bmp", "rgb32h52.bmp", "rgb32-111110.bmp"),
    "OpenCV gives no alpha, so the view on black cannot be compared; the plain one is equal.": (
        "pal4rletrns.bmp", "pal8rletrns.bmp", "rgb32fakealpha.bmp",
        "V5_A8_R8_G8_B8_Rgb_BadMask.bmp", "V5_A8_R8_G8_B8_Rgb.bmp",
    ),
    "Skipped pixels are palette colour 0 here and black in the published picture.": (
        "pal4rlecut.bmp",
    ),
    "A frame is cleared: to the first colour of its own palette here (Pillow), to the background "
    "colour in other decoders, to transparency in browsers. All three are scored.": (
        "dispose_bgnd.gif", "dispose_bgnd_rgba.gif",
    ),
    "Colours under transparency, with alpha ignored: each decoder has others.": (
        "dispose_bgnd_transparency.gif", "first_frame_transparency.gif",
    ),
    "Where no frame covers the canvas, it has the background colour here (Pillow), and is "
    "transparent in other decoders. Both are scored.": ("issue_1455_undersized.gif",),
    "libvips shows black, and OpenCV refuses the file; ours is equal to the same picture as PNG.": (
        "hopper_lzma.tif",
    ),
    "OpenCV gives colours multiplied with alpha, so those under transparency are lost.": (
        "alpha-0.tif", "tiff_tiled_planar_16bit_RGBa.tiff",
    ),
    "OpenCV rounds 16 bits to 8 otherwise, by one level.": ("tiff_tiled_planar_16bit_RGB.tiff",),
    "libvips shows YCbCr as if it were RGB; OpenCV refuses the file.": ("ycbcr_lzw_broken.tif",),
    "The coefficients of BT.601 are used, though the file asks for BT.709 (Pillow).": (
        "ycbcr_lzw_bt709.tif",
    ),
}  # fmt: skip
CAUSES: Mapping[str, str] = {name: cause for cause, names in _CAUSES.items() for name in names}
"""File -> why no decoder shows what we show; each was looked at."""


def verdicts(comparisons: Iterable[Row]) -> Iterator[tuple[Verdict, list[Row]]]:
    """For each frame and view, whether some decoder agrees, and the comparisons."""
    frames: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in comparisons:
        frames[row["frame"], row["view"]].append(row)
    for rows in frames.values():
        compared = [row for row in rows if "pixels" in row]
        if not compared:
            yield "alone", rows
        else:
            yield ("equal" if any(not row["wrong"] for row in compared) else "different"), compared


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """What became of some files."""
    found: Counter[str] = Counter()
    for row in rows:
        found["files"] += 1
        found[row.get("status", "died")] += 1
        found["crashes"] += "died" in row and row["died"].startswith("examination")
        found["decoder crashes"] += "died" in row and row["died"].startswith("comparison")
        found["faults"] += len(faults(row))
        found["released"] += "released" in row
        for verdict, _ in verdicts(row.get("frames", ())):
            found[f"frames {verdict}"] += 1
        for verdict, compared in verdicts(row.get("released", ())):
            found[f"released {verdict}"] += 1
            if verdict == "equal":
                found["pixels"] += compared[0]["pixels"]
                agreeing = min(compared, key=lambda other: other["wrong"])
                found["largest"] = max(found["largest"], agreeing["largest"])
        found["released other view"] += bool(row.get("other_view"))
    return dict(found)


def faults(row: Row) -> list[str]:
    """What must not be in any file."""
    found = list(row.get("faults", ()))
    if row.get("printed"):
        found.append("something was printed")
    if re.search("unexpected .*please report", row.get("error", "")):
        found.append(row["error"])
    return found


def different(rows: Iterable[Row]) -> Iterator[tuple[Row, list[list[Row]]]]:
    """Files with a frame that no decoder shows as we do."""
    for row in rows:
        frames = [each for verdict, each in verdicts(row.get("frames", ())) if verdict[0] == "d"]
        if frames:
            yield row, frames


def summary(rows: list[Row]) -> dict[str, Any]:
    """Counts of each corpus, and what was found that must not be."""
    corpora = dict.fromkeys(row["corpus"] for row in rows)
    return {
        "corpora": {name: counts(r for r in rows if r["corpus"] == name) for name in corpora},
        "crashes": [row["name"] for row in rows if row.get("died", "").startswith("examination")],
        "faults": {row["name"]: faults(row) for row in rows if faults(row)},
        "unexplained": [row["name"] for row, _ in different(rows) if base(row) not in CAUSES],
    }


def base(row: Row) -> str:
    return str(row["name"]).rpartition("/")[2]


def table(head: str, rows: Iterable[Iterable[object]]) -> list[str]:
    columns = head.count("|") - 1
    return [head, "|---" * columns + "|", *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(sorted(groups.items()))


def files_table(rows: list[Row]) -> Iterator[list[object]]:
    for (corpus, format), group in grouped(
        rows, lambda row: (row["corpus"], row.get("format") or "not a supported format")
    ).items():
        found = Counter(counts(group))
        examined = found["ok"] + found["partial"] + found["not_verified"]
        yield [
            corpus, format, found["files"], examined, found["partial"], found["error"],
            found["not_assessed"], found["crashes"], found["faults"],
        ]  # fmt: skip


def released_table(rows: list[Row]) -> Iterator[list[object]]:
    for (corpus, format), group in grouped(
        (row for row in rows if "released" in row), lambda row: (row["corpus"], row["format"])
    ).items():
        found = Counter(counts(group))
        yield [
            corpus, format, found["released"], found["released equal"], f"{found['pixels']:,}",
            found["largest"], found["released different"],
            found["released alone"] + found["released other view"],
            found["frames equal"], found["frames different"], found["frames alone"],
        ]  # fmt: skip


def decoder_table(rows: list[Row]) -> Iterator[list[object]]:
    comparisons = [
        {**each, "format": row["format"]} for row in rows for each in row.get("frames", ())
    ]
    for (decoder, format), group in grouped(
        comparisons, lambda each: (each["decoder"], each["format"])
    ).items():
        compared = [each for each in group if "pixels" in each]
        wrong = [each["largest"] for each in compared if each["wrong"]]
        reasons = Counter(each["why_not"] for each in group if "why_not" in each)
        listed = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        if compared:
            equal = len(compared) - len(wrong)
            yield [decoder, format, len(compared), equal, max(wrong, default=0), listed]


def reason(row: Row) -> str:
    """Kind of an error: without names, numbers and details."""
    text = row["error"].partition(": ")[2]
    text = re.sub(r"frame \d+ of \d+ to \d+: |in frame \d+: ", "", text)
    text = re.sub(r"\(.*\)", "", text.partition(";")[0])
    text = re.sub(r"-?\d+", "N", text)
    return " ".join(text.replace(" ,", ",").split())


def refusal_table(rows: list[Row]) -> Iterator[list[object]]:
    refused = [row for row in rows if row.get("status") == "error" and row.get("format")]
    for text, group in grouped(refused, reason).items():
        shown = Counter(len(row.get("readers", ())) for row in group)
        corpora = Counter(row["corpus"] for row in group)
        where = ", ".join(f"{name} {count}" for name, count in corpora.items())
        yield [text, where, shown[2], shown[1], shown[0]]


def page(rows: list[Row], figures: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """The Markdown page."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    total = Counter(counts(rows))
    unsupported = sum(row.get("status") == "error" and not row.get("format") for row in rows)
    lines = [
        "# Public corpora",
        "",
        "Made by `python benchmarks/corpora.py`; its help says how to get the corpora. "
        f"{versions}; {about['machine']}, Python {about['python']}.",
        "",
        f"{total['files']} files were examined: {total['crashes']} crashes, "
        f"{total['faults']} faults. Of the safe pixels that were released, {total['pixels']:,} "
        "are those of an independent decoder. "
        f"The released pixels of {total['released different']} files differ from every "
        "decoder that reads them. Each cause is below "
        f"({len(figures['unexplained'])} unknown); those that name Pillow are faults of what is "
        "released.",
        "",
        "A detector flags the middle of every picture, so that something is veiled. A *fault* is "
        "any of these:",
        "",
        "- an error that is no message, or anything that is printed;",
        "- a veiled pixel that is not the fill, or a mask of other values than 0 and 255;",
        "- a released file with a chunk beside IHDR, IDAT and IEND, with bytes behind its pixels, "
        "or that is not the encoding of its pixels alone;",
        "- 32 bytes in a row of the original file, its own pixels left out, in a released one;",
        "- a safe pixel that is not that of the decoded frame.",
        "",
        "## Files",
        "",
        *table(
            "| corpus | format | files | examined | of these partial | refused | not assessed "
            "| crashes | faults |",
            files_table(rows),
        ),
        f"{unsupported} files are of formats that Counterveil does not read; "
        "the message names the format where it is known.",
        "",
        "## Pixels beside independent decoders",
        "",
        "*Released*: the safe pixels of the released file. *Frames*: whole frames, in the plain "
        "view, on black and with alpha ignored. Orientation is not compared: a decoder may turn "
        "the picture or not. All formats are compared exactly, JPEG and WebP too: Pillow, OpenCV "
        "and libvips use the same libraries for JPEG, TIFF and WebP, Pillow and OpenCV for AVIF, "
        "so there only the code around these libraries is independent. One level "
        "is allowed where 16 bits are reduced to 8 or where partly transparent pixels are "
        "blended, because each program rounds once; "
        "two in CMYK, which is rounded twice.",
        "",
        *table(
            "| corpus | format | released files | equal | safe pixels equal | largest difference "
            "| different | not compared | frames equal | different | not compared |",
            released_table(rows),
        ),
        "Each decoder by itself. A *published picture* is what image-rs or the BMP Suite publish "
        "as the right decoding. Where one differs, another one agrees, or the file is listed "
        "below. libvips, which reads AVIF with another library, gives other colours there; the "
        "JPEG decoder of image-rs rounds otherwise, by up to 4 levels.",
        "",
        *table(
            "| decoder | format | frames compared | equal | largest difference | not compared |",
            decoder_table(rows),
        ),
        "## Different from every decoder",
        "",
        *table(
            "| file | frames | pixels that differ | cause |",
            (
                [base(row), len(frames), sum(min(e["wrong"] for e in each) for each in frames),
                 CAUSES.get(base(row), "unknown")]
                for row, frames in different(rows)
            ),
        ),
        "## Refused",
        "",
        "Files of supported formats, by the number of decoders that show the first frame. They "
        "show as much as they can of a file that is cut.",
        "",
        *table("| reason | files | shown by both | by one | by none |", refusal_table(rows)),
    ]  # fmt: skip
    return "\n".join(lines)
