"""A picture of photographs before and after their veil, side by side."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from counterveil import fills
from counterveil.images import load
from counterveil.lab.benchmarks.image_folder import ImageFolder
from counterveil.lab.benchmarks.released import Item, decode_item_mask
from counterveil.types import Image

SHOWN = 16
"""Photographs of the picture in the documentation."""
COLUMNS = 2
"""Pairs in a row."""

_TILE = (232, 174)
"""Largest width and height of a photograph, in pixels."""
_CAPTION, _GAP = 15, 8
"""Height of a caption, and distance between pairs, in pixels."""
_QUALITIES = (88, 80, 70, 60)
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, eq=False)
class Pair:
    """A photograph before and after its veil ``(H, W, 3)``, and a line about it."""

    before: Image
    after: Image
    caption: str


def every_second(
    items: Sequence[Item], *, not_shown: Collection[str] = (), most: int = SHOWN
) -> list[int]:
    """Indices of the first, third, fifth and so on, at most ``most`` of them.

    Args:
        items: what was measured, by rank.
        not_shown: names of files that do not count, because nobody should see them at work.
        most: most indices.
    """
    shown = [index for index, item in enumerate(items) if item["name"] not in not_shown]
    return shown[::2][:most]


def make_pairs(folder: ImageFolder, items: Sequence[Item], chosen: Sequence[int]) -> list[Pair]:
    """The chosen photographs, as the pipeline released them.

    Args:
        folder: the images.
        items: what was measured on its flagged images, in their order.
        chosen: indices of items; those of which nothing was released are left out.
    """
    flagged = folder.flagged_images(folder.classifier, len(items))
    fill = fills.fill(folder.profile.fill)
    pairs = []
    for index in chosen:
        item, mask = items[index], decode_item_mask(items[index])
        pixels = load(folder.path(flagged[index]))[0].pixels
        if mask is None or mask.shape != pixels.shape[:2]:
            continue
        outcome = "" if item["outcome"] == "veiled" else f", {item['outcome'].replace('_', ' ')}"
        share = f"{100 * mask.mean():.0f} % veiled"
        caption = f"rank {index + 1}: score {item['score']:.2f}, {share}{outcome}"
        pairs.append(Pair(pixels, fill(pixels, mask[None])[0], caption))
    return pairs


def contact_sheet(pairs: Sequence[Pair], *, columns: int = COLUMNS) -> bytes:
    """A JPEG file of at most 1 MB, if the pairs are few enough for that."""
    width, height = 2 * _TILE[0] + 2, _TILE[1] + _CAPTION
    rows = -(-len(pairs) // columns)
    size = (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP)
    sheet = Pillow.new("RGB", size, "white")
    font = ImageFont.load_default(11)
    for number, pair in enumerate(pairs):
        row, column = divmod(number, columns)
        left, top = column * (width + _GAP), row * (height + _GAP)
        for place, image in enumerate((pair.before, pair.after)):
            tile = Pillow.fromarray(image)
            tile.thumbnail(_TILE, Pillow.Resampling.LANCZOS)
            # In the centre of the tile.
            x = left + place * (_TILE[0] + 2) + (_TILE[0] - tile.width) // 2
            sheet.paste(tile, (x, top + (_TILE[1] - tile.height) // 2))
        ImageDraw.Draw(sheet).text((left + 2, top + _TILE[1]), pair.caption, "black", font)
    return _jpeg(sheet)


def _jpeg(picture: Pillow.Image) -> bytes:
    """The best quality that stays below the limit, or else the lowest quality."""
    data = b""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        data = buffer.getvalue()
        if len(data) <= _MAX_BYTES:
            break
    return data
