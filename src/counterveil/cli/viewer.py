"""Opens images for a reviewer in the viewer of the desktop, concealed unless revealed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer

_OPENERS = {"darwin": ("open",), "win32": ("cmd", "/c", "start", "")}
_SECONDS = 2.0
"""Most openers hand the image over and end; one that runs longer is itself the viewer."""


class Viewer:
    """Opens images of a folder: grey and blurred previews, or the originals.

    An image that cannot be shown is told in one sentence and never stops a review. After a
    failure, only what the reviewer asks for is tried again.

    Args:
        images: folder of the images.
        folder: where previews are written.
        reveal: always open the originals.
    """

    def __init__(self, images: Path, folder: Path, *, reveal: bool) -> None:
        self._images, self._folder, self._reveal = images, folder, reveal
        self._failed = False

    def show(self, image: str) -> None:
        """Open an image as a preview, or as it is if originals were asked for."""
        if not self._failed:
            self._open(image, original=self._reveal)

    def reveal(self, image: str) -> None:
        """Open an image as it is."""
        self._open(image, original=True)

    def _open(self, image: str, *, original: bool) -> None:
        from counterveil.errors import ImageError
        from counterveil.lab.training.reasoner.instruction_data import preview

        path = (self._images / image).absolute()
        try:
            if not path.is_file():
                raise ImageError(f"{path} is missing; check --images")
            if not original:
                png = preview(path)
                path = self._folder / "preview.png"
                path.write_bytes(png)
        except (ImageError, OSError) as error:  # about this image; the next may be in order
            typer.echo(f"  This image cannot be shown: {error}")
            return
        problem = _launch(path)
        self._failed = bool(problem)
        if problem:
            typer.echo(f"  No image can be shown: {problem}. The review goes on without.")


def _launch(path: Path) -> str:
    """Open a file in its viewer; returns what went wrong, or an empty string."""
    opener = _OPENERS.get(sys.platform, ("xdg-open",))
    try:
        # Without a terminal: openers print errors, and some fall back to a browser in it.
        process = subprocess.Popen(
            [*opener, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError:
        return f"{opener[0]} is not installed"
    except OSError as error:
        return f"{opener[0]} cannot be started ({error.strerror})"
    try:
        status = process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        return ""
    return f"{opener[0]} found no viewer or no display (status {status})" if status else ""
