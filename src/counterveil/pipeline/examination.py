"""Result of one examination: the record, the files, and how the veil came about."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from counterveil import narrative
from counterveil.atomic import write_atomic
from counterveil.pipeline.explain import Explanation
from counterveil.record import Record

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

VEILED_SUFFIX = ".veiled.png"
MASK_SUFFIX = ".mask.png"


@dataclass(frozen=True, eq=False, repr=False)
class Examination:
    """What was found in one image, and what may be released.

    Attributes:
        record: everything that was done, as data.
        veiled: bytes of the veiled PNG; ``None`` if the image could not be examined.
        mask: bytes of the mask's PNG, 8-bit, 255 = veiled; ``None`` likewise.
        explanations: by key of each category that flagged the image.
    """

    record: Record
    veiled: bytes | None = None
    mask: bytes | None = None
    explanations: Mapping[str, Explanation] = field(default_factory=dict)

    @property
    def output_name(self) -> str:
        """Start of the names of the files that :meth:`save` writes."""
        return self.record.output_name

    @property
    def veiled_image(self) -> PillowImage | None:
        """The veiled image, RGB; ``None`` if the image could not be examined."""
        return _open(self.veiled)

    @property
    def mask_image(self) -> PillowImage | None:
        """The mask, 8-bit grey, 255 = veiled; ``None`` if the image could not be examined."""
        return _open(self.mask)

    def save(self, folder: Path | str) -> Path:
        """Write ``NAME.veiled.png``, ``NAME.mask.png`` and ``NAME.json``.

        Files appear whole or not at all. What an earlier examination wrote under the same name is
        replaced; where this one has no veiled image, the earlier one is removed.

        Args:
            folder: made if it does not exist.

        Returns:
            Path of the record, ``NAME.json``.

        Raises:
            OSError: a file cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, data in ((VEILED_SUFFIX, self.veiled), (MASK_SUFFIX, self.mask)):
            path = folder / f"{self.output_name}{suffix}"
            if data is None:
                path.unlink(missing_ok=True)
            else:
                write_atomic(path, data)
        path = folder / f"{self.output_name}.json"
        write_atomic(path, (self.record.to_json() + "\n").encode())
        return path

    def __repr__(self) -> str:
        """Three lines: the verdict, the scores, what to know."""
        record = self.record
        area = max((c.counterfactual.area_fraction for c in record.categories), default=0.0)
        return "\n".join(
            (
                f"Examination of {record.source.name!r}: {narrative.headline(record)}",
                f"  {record.status}, {narrative.percent(area)} veiled; scores: {self._scores()}",
                f"  {self._remark()}",
            )
        )

    def _repr_html_(self) -> str:
        """For notebooks: the same three lines, and the veiled image, never the original."""
        picture = ""
        if self.veiled is not None:
            data = base64.b64encode(self.veiled).decode("ascii")
            picture = (
                f'<img alt="the veiled image" style="max-width:320px" '
                f'src="data:image/png;base64,{data}">'
            )
        return f"<pre>{escape(repr(self))}</pre>{picture}"

    def _scores(self) -> str:
        parts = []
        for category in self.record.categories:
            after = f" -> {category.counterfactual.score_after:.3f}" if category.flagged else ""
            parts.append(f"{category.key} {category.score:.3f}{after}")
        return ", ".join(parts) or "none"

    def _remark(self) -> str:
        """The error, what was not assessed, or the number of warnings and the last one."""
        record = self.record
        if record.error:
            return record.error
        if record.not_assessed:
            return f"not all was assessed: {narrative.join_list(record.not_assessed)}"
        if not record.warnings:
            return "no warnings"
        count = narrative.pluralize(len(record.warnings), "warning")
        return f"{count}; the last: {record.warnings[-1]}"


def _open(data: bytes | None) -> PillowImage | None:
    if data is None:
        return None
    from PIL import Image

    return Image.open(io.BytesIO(data))
