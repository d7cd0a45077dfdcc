"""Limits on the cost of an untrusted file."""

from __future__ import annotations

from dataclasses import dataclass, fields

from counterveil.errors import ImageTooLargeError, UsageError


@dataclass(frozen=True)
class Limits:
    """Limits on the cost of an untrusted file; checked before pixels are allocated.

    Attributes:
        bytes: size of the file.
        pixels: pixels of one frame. Above ``2 * PIL.Image.MAX_IMAGE_PIXELS``, a setting of the
            process that this library does not change, Pillow's own limit comes first.
        frames: most frames to assess; with two or more, the first and the last are among them.
            As many frames of further pictures, such as thumbnails, come on top.
        frames_held: most frames in the file: to count and to skip them takes time too.
        total_pixels: pixels decoded for one file; each view of a frame counts. The last frame of
            an animation needs all frames before it, so there every frame of the file counts.
        scans: passes over the pixels of one JPEG picture. A progressive JPEG has about ten; an
            empty pass takes 100 bytes of file.
        scan_pixels: pixels times scans of one JPEG picture, which is the cost of decoding it. The
            default allows the largest picture 15 scans.

    Raises:
        UsageError: a limit is not a positive whole number.
    """

    bytes: int = 64 * 1024 * 1024
    pixels: int = 80_000_000
    frames: int = 8
    frames_held: int = 10_000
    total_pixels: int = 500_000_000
    scans: int = 200
    scan_pixels: int = 1_200_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"limits.{field.name} must be a whole number >= 1, got {value!r}")

    def check(self, name: str, value: int, description: str) -> None:
        """Refuse a value over a limit.

        Args:
            name: name of the limit, an attribute of this class.
            value: the value to compare.
            description: the value for the message, such as ``"9 x 9 = 81 pixels"``.

        Raises:
            ImageTooLargeError: the value is over the limit.
        """
        limit = getattr(self, name)
        if value > limit:
            raise ImageTooLargeError(
                f"{description}: over the limit of {limit} (limits.{name}); "
                "send a smaller file, or raise the limit if you trust this one"
            )

    def check_size(self, width: int, height: int) -> None:
        """Refuse a frame with more pixels than ``pixels``; raises as ``check``."""
        self.check("pixels", width * height, f"{width} x {height} = {width * height} pixels")
