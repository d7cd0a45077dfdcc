"""Translates the exceptions and remarks of image codecs; no other module does."""

from __future__ import annotations

import ctypes
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from PIL import Image as Pillow
from PIL import UnidentifiedImageError, _imaging

from counterveil.errors import ImageBrokenError, ImageError, ImageTooLargeError

CODEC_ERRORS: tuple[tuple[type[Exception], type[ImageError], str], ...] = (
    (
        Pillow.DecompressionBombError,
        ImageTooLargeError,
        "over Pillow's own limit ({error}); send a smaller file, or raise limits.pixels and "
        "PIL.Image.MAX_IMAGE_PIXELS if you trust this file",
    ),
    (MemoryError, ImageTooLargeError, "needs more memory than is free; lower limits.pixels"),
    (
        UnidentifiedImageError,
        ImageBrokenError,
        "its header is damaged, or its format is not supported; "
        "ask for an intact copy, or convert it to PNG",
    ),
    (EOFError, ImageBrokenError, "ends before its last pixel ({error}); ask for an intact copy"),
    (struct.error, ImageBrokenError, "truncated: it ends inside a header; ask for an intact copy"),
    (zlib.error, ImageBrokenError, "its data are damaged ({error}); ask for an intact copy"),
    (OSError, ImageBrokenError, "cannot be decoded ({error}); ask for an intact copy"),
    *(
        (error, ImageBrokenError, "damaged ({error}); ask for an intact copy")
        for error in (SyntaxError, ValueError, TypeError, LookupError, ArithmeticError,
                      AttributeError, AssertionError, RuntimeError)
    ),
)  # fmt: skip
"""Exception of a codec, error of this library, message; the first match counts. The table is long
because damaged bytes make a codec raise almost any exception."""

CODEC_ERROR_TYPES = tuple(source for source, _, _ in CODEC_ERRORS)

_PROCESS_SETTINGS = threading.Lock()


def unsupported(what: str) -> ImageBrokenError:
    """The error for an intact file that is not read."""
    return ImageBrokenError(f"{what} is not supported; convert it to PNG")


def damaged(problem: str) -> ImageBrokenError:
    """The error for a damaged file; the message says what to do next."""
    return ImageBrokenError(f"{problem}; ask for an intact copy")


@contextmanager
def translate_codec_errors(context: str) -> Iterator[None]:
    """Raise an ``ImageError`` in place of a codec's exception.

    Args:
        context: start of the message, such as the file's name.

    Raises:
        ImageError: an exception of ``CODEC_ERRORS`` or an ``ImageError`` was raised inside.
    """
    try:
        yield
    except ImageError as error:
        raise type(error)(_printable(f"{context}: {error}")) from error.__cause__
    except CODEC_ERROR_TYPES as error:
        target, message = next((t, m) for s, t, m in CODEC_ERRORS if isinstance(error, s))
        # Codecs assert without a message; the name of the exception helps nobody.
        text = " ".join(str(error).split()) or "the decoder gave no reason"
        raise target(_printable(f"{context}: {message.format(error=text)}")) from error


def _printable(text: str) -> str:
    """Replace control characters: file names and codec messages come from an untrusted sender."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect what codecs remark in a list, in place of printing or raising it.

    Pillow warns, Pillow logs, and libtiff prints to the process's standard error. Pillow's warning
    of a decompression bomb is left out, because ``Limits`` already checks sizes.
    """
    messages: list[str] = []
    # All three settings belong to the whole process, so only one thread decodes at a time.
    with (
        _PROCESS_SETTINGS,
        _collect_log(messages),
        _silence_libtiff(),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        try:
            yield messages
        finally:
            texts = [
                " ".join(str(w.message).split())
                for w in caught
                if not issubclass(w.category, Pillow.DecompressionBombWarning)
            ]
            messages[:] = dict.fromkeys((*texts, *messages))


@contextmanager
def _collect_log(messages: list[str]) -> Iterator[None]:
    """Without a handler, Python prints log messages of the level warning and above."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(" ".join(record.getMessage().split()))

    logger, handler = logging.getLogger("PIL"), Collector(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _silence_libtiff() -> Iterator[None]:
    """Take away libtiff's printing of errors; Pillow takes away that of warnings, and no more.

    Its text says nothing that the exception does not: the decoder failed. Redirecting standard
    error instead would swallow what other threads print.
    """
    setters = _libtiff_setters()
    before = [setter(None) for setter in setters]
    try:
        yield
    finally:
        for setter, handler in zip(setters, before, strict=True):
            setter(handler)


@cache
def _libtiff_setters() -> tuple[Callable[[Any], Any], ...]:
    """The functions of libtiff that set a handler and return the old one; none if it is hidden."""
    try:
        library = ctypes.CDLL(_imaging.__file__)
        setters = (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler)
    except (OSError, AttributeError, TypeError):  # built into Pillow, as on Windows
        return ()
    for setter in setters:
        setter.argtypes, setter.restype = (ctypes.c_void_p,), ctypes.c_void_p
    return setters
