"""What an untrusted file may cost."""

from __future__ import annotations

from dataclasses import dataclass, fields

from counterveil.errors import ImageTooLargeError, UsageError


@dataclass(frozen=True)
class Limits:
    """What an untrusted file may cost; checked from its header, before pixels are allocated.

    Attributes:
        bytes: of the file.
        pixels: of one frame. Above ``2 * PIL.Image.MAX_IMAGE_PIXELS`` Pillow's own limit, which
            is the process's and not ours to change, comes first.
        frames: most frames that are assessed; with two or more, the first and the last always are.
        frames_held: most frames a file may hold: to count and to skip them costs time too.
        total_pixels: decoded for one file. Codecs of animations decode every frame on the way to
            the last one, so there each frame that the file holds counts.
        scans: of one JPEG picture. A progressive one is sent in some ten passes over all its
            pixels, and a pass of no content takes a hundred bytes of file.
        scan_pixels: pixels times scans of one JPEG picture: what decoding it costs. The default
            gives the largest picture 15 scans.

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

    def check(self, name: str, value: int, what: str) -> None:
        """Refuse a value over the limit ``name``.

        Args:
            name: of the limit, an attribute of this class.
            value: to compare.
            what: the value in words, such as ``"9 x 9 = 81 pixels"``.

        Raises:
            ImageTooLargeError: the value is over the limit.
        """
        limit = getattr(self, name)
        if value > limit:
            raise ImageTooLargeError(
                f"{what}: over the limit of {limit} (limits.{name}); "
                "send a smaller file, or raise the limit if you trust this one"
            )

    def check_size(self, width: int, height: int) -> None:
        """Refuse a frame of too many pixels.

        Raises:
            ImageTooLargeError: it is over ``pixels``.
        """
        self.check("pixels", width * height, f"{width} x {height} = {width * height} pixels")
