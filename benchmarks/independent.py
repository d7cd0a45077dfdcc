"""Decoders that share no code with ours: OpenCV, libvips, and pictures that a corpus publishes.

A decoder gives the pixels of a file; it does not say how they are to be shown. So each frame comes
in several *renditions*: laid on white, laid on black, alpha ignored, and turned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import numpy as np

if find_spec("cv2"):
    import cv2

REFUSED = "the decoder refuses the file"
NO_RANGE = "signed values, 32 bits or floating point, which have no one range"
ABSENT = "the decoder does not read that frame"


class NotComparableError(Exception):
    """The decoder gives nothing to compare; the message says why."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded frame.

    Attributes:
        rgb: uint8 ``(H, W, 3)``; 16-bit colours keep their upper byte.
        alpha: uint8 ``(H, W)``; ``None`` where the decoder gives none.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None

    @property
    def blended(self) -> bool:
        """Whether a pixel is partly transparent."""
        return self.alpha is not None and bool((self.alpha % 255).any())

    def renditions(self, *, turned: bool) -> Iterator[np.ndarray]:
        """RGB as viewers may show it; ``turned``: in all eight orientations."""
        shown = [self.rgb]
        if self.alpha is not None:
            share = self.alpha[..., None] / 255
            shown += [
                np.rint(self.rgb * share + background * (1 - share)).astype(np.uint8)
                for background in (255, 0)
            ]
        yield from shown
        for rgb in shown if turned else ():
            yield from (rgb[::-1], rgb[:, ::-1], rgb[::-1, ::-1])
            other = rgb.transpose(1, 0, 2)
            yield from (other, other[::-1], other[:, ::-1], other[::-1, ::-1])


def as_picture(raw: np.ndarray, order: slice = slice(None)) -> Picture:
    """From 1 to 4 channels ``(H, W[, C])``; ``order`` turns three of them into RGB."""
    if raw.dtype not in (np.uint8, np.uint16):
        raise NotComparableError(NO_RANGE)
    raw = (raw >> 8 if raw.dtype == np.uint16 else raw).astype(np.uint8)
    raw = raw.reshape(*raw.shape[:2], -1)
    channels = raw.shape[2]
    if channels > 4:
        raise NotComparableError("more than four channels")
    rgb = raw[..., :3][..., order] if channels > 2 else raw[..., :1].repeat(3, axis=2)
    return Picture(rgb, raw[..., -1] if channels in (2, 4) else None)


def opencv(data: bytes, format: str, frame: int, frames: int) -> list[Picture]:
    """One frame, as stored and as OpenCV shows it."""
    found = []
    for flags in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR):
        decoded = _opencv_frames(data, format, frames > 1, flags)
        # OpenCV does not count a still picture that is no part of an animated PNG.
        index = frame - (format == "PNG" and 1 < frames == len(decoded) + 1)
        if index < 0:
            decoded, index = _opencv_frames(data, format, False, flags), 0
        if not decoded:
            raise NotComparableError(REFUSED)
        if index >= len(decoded):
            raise NotComparableError(ABSENT)
        found.append(as_picture(decoded[index], slice(None, None, -1)))
    return found


@lru_cache(maxsize=4)
def _opencv_frames(data: bytes, format: str, several: bool, flags: int) -> list[np.ndarray]:
    values = np.frombuffer(data, np.uint8)
    try:
        if several and format == "TIFF":
            read, frames = cv2.imdecodemulti(values, flags)
            return list(frames) if read else []
        if several and format != "JPEG":
            read, animation = cv2.imdecodeanimation(values)
            return list(animation.frames) if read else []
        decoded = cv2.imdecode(values, flags)
        return [] if decoded is None else [decoded]
    except cv2.error:
        return []


def libvips(data: bytes, format: str, frame: int, frames: int) -> list[Picture]:
    """One frame as stored."""
    import pyvips

    try:
        options = {"page": frame} if frame and format != "JPEG" else {}
        image = pyvips.Image.new_from_buffer(data, "", **options)
        if frame and (format == "JPEG" or image.get("n-pages") <= frame):
            raise NotComparableError(ABSENT)
        if image.interpretation in ("cmyk", "lab", "labs", "xyz"):
            raise NotComparableError(f"the decoder gives {image.interpretation} colours")
        kind = {"uchar": np.uint8, "ushort": np.uint16}.get(image.format)
        raw = np.frombuffer(image.write_to_memory(), kind or np.uint8)
    except pyvips.Error as error:
        raise NotComparableError(ABSENT if frame else REFUSED) from error
    if kind is None:
        raise NotComparableError(NO_RANGE)
    return [as_picture(raw.reshape(image.height, image.width, image.bands))]


Decoder = Callable[[bytes, str, int, int], list[Picture]]
"""File, format, index of a frame, number of frames -> what is known of that frame."""

DECODERS: Mapping[str, Decoder] = MappingProxyType(
    {
        name: decoder
        for name, module, decoder in (("OpenCV", "cv2", opencv), ("libvips", "pyvips", libvips))
        if find_spec(module)
    }
)
"""Those that are installed."""


def published(path: Path, frame: int, frames: int) -> list[Picture]:
    """The picture that a corpus publishes for a file: of image-rs, or of the BMP Suite.

    Raises:
        NotComparableError: it publishes none.
    """
    name = f"{path.name}.anim_{frame + 1:02}.png" if frames > 1 else f"{path.name}.png"
    parts = path.parts
    candidates = [
        Path(*parts[:index], "reference", *parts[index + 1 : -1], name)
        for index, part in enumerate(parts[:-1])
        if part == "images"
    ]
    if path.suffix == ".bmp":
        candidates.append(path.parents[1] / "html" / f"{path.stem}.png")
    for file in candidates:
        if file.is_file():
            return opencv(file.read_bytes(), "PNG", 0, 1)[:1]
    raise NotComparableError("no picture is published")


def versions() -> dict[str, str]:
    """Versions of Pillow and of the decoders that are installed."""
    import PIL

    found = {"Pillow": PIL.__version__}
    if "OpenCV" in DECODERS:
        found["OpenCV"] = cv2.__version__
    if "libvips" in DECODERS:
        import pyvips

        found["libvips"] = ".".join(str(pyvips.version(part)) for part in range(3))
    return found
