"""The one seam at which what a codec throws becomes an error of this library."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from counterveil.errors import ImageBrokenError, ImageError, ImageTooLargeError

_DAMAGED = "damaged ({error}); ask for an intact copy"

FOREIGN: tuple[tuple[type[Exception], type[ImageError], str], ...] = (
    (
        Pillow.DecompressionBombError,
        ImageTooLargeError,
        "over Pillow's own limit ({error}); send a smaller file, or raise limits.pixels and "
        "PIL.Image.MAX_IMAGE_PIXELS if you trust this one",
    ),
    (MemoryError, ImageTooLargeError, "needs more memory than there is; lower limits.pixels"),
    (
        UnidentifiedImageError,
        ImageBrokenError,
        "its header is damaged, or of a kind that this library does not read; "
        "ask for an intact copy, or convert it to PNG",
    ),
    (EOFError, ImageBrokenError, "ends before its pixels do ({error}); ask for an intact copy"),
    (struct.error, ImageBrokenError, "ends inside a header ({error}); ask for an intact copy"),
    (zlib.error, ImageBrokenError, "its compressed data are damaged ({error}); ask for a new copy"),
    (OSError, ImageBrokenError, "cannot be decoded ({error}); ask for an intact copy"),
    (SyntaxError, ImageBrokenError, _DAMAGED),
    (ValueError, ImageBrokenError, _DAMAGED),
    (TypeError, ImageBrokenError, _DAMAGED),
    (LookupError, ImageBrokenError, _DAMAGED),
    (ArithmeticError, ImageBrokenError, _DAMAGED),
    (AttributeError, ImageBrokenError, _DAMAGED),
    (AssertionError, ImageBrokenError, _DAMAGED),
    (RuntimeError, ImageBrokenError, _DAMAGED),
)
"""Foreign exception, ours, message; the first that fits is taken. Hostile bytes make a codec
throw nearly anything, hence the long tail."""

FOREIGN_TYPES = tuple(foreign for foreign, _, _ in FOREIGN)

_FILTERS = threading.Lock()


@contextmanager
def translated(about: str) -> Iterator[None]:
    """Turn what codecs throw into an ``ImageError`` whose message starts with ``about``.

    Raises:
        ImageError: in place of any exception of ``FOREIGN``, or of an ``ImageError`` from within.
    """
    try:
        yield
    except ImageError as error:
        raise type(error)(_printable(f"{about}: {error}")) from error.__cause__
    except FOREIGN_TYPES as error:
        ours, message = next((o, m) for foreign, o, m in FOREIGN if isinstance(error, foreign))
        text = " ".join(str(error).split()) or type(error).__name__
        raise ours(_printable(f"{about}: {message.format(error=text)}")) from error


def _printable(text: str) -> str:
    """Names and remarks come from the file's sender: nothing in them may steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Collect the warnings of codecs, in words, rather than print or raise them.

    Sizes are checked against ``Limits``, so Pillow's warning of a decompression bomb says nothing
    new and is left out. Python's filters belong to the whole process, so that threads decode one
    at a time; processes do not wait for each other.
    """
    said: list[str] = []
    with _FILTERS, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield said
        finally:
            texts = [
                " ".join(str(w.message).split())
                for w in caught
                if not issubclass(w.category, Pillow.DecompressionBombWarning)
            ]
            said.extend(dict.fromkeys(texts))
