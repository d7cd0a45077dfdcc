"""Errors that Counterveil raises on purpose.

```
CounterveilError
├── UsageError            the caller's mistake: a bad argument, name or settings file
│   └── InputTypeError        an input of a type that cannot be examined
├── ImageError            a file that this library does not read
│   ├── ImageTooLargeError    over a limit on bytes, pixels or frames
│   └── ImageBrokenError      truncated, inconsistent, or not an image
├── ModelError            a model that cannot be found, loaded or run
│   └── UnsupportedModelError  a model that the chosen method does not support
├── MissingExtraError     an optional dependency that is not installed
├── MachineError          the machine gave out: disk or memory
└── VerificationError     the written file is not the verified one
```
"""


class CounterveilError(Exception):
    """Base of all errors that Counterveil raises on purpose."""


class UsageError(CounterveilError, ValueError):
    """The caller's mistake: a bad argument, name or settings file."""


class InputTypeError(UsageError, TypeError):
    """An input of a type that cannot be examined; the message names the accepted ones."""


class ImageError(CounterveilError):
    """A file that this library does not read."""


class ImageTooLargeError(ImageError):
    """An image over a limit on bytes, pixels or frames."""


class ImageBrokenError(ImageError):
    """A file that is truncated, inconsistent, or not an image."""


class ModelError(CounterveilError):
    """A model that cannot be found, loaded or run."""


class UnsupportedModelError(ModelError):
    """A model that the chosen method does not support; the message names one that does."""


class MissingExtraError(CounterveilError):
    """An optional dependency that is not installed; the message names the extra."""


class MachineError(CounterveilError):
    """The machine gave out: disk or memory. What was written before is whole."""


class VerificationError(CounterveilError):
    """The written file is not the verified one."""


BOUNDARY_ERRORS = (Exception, SystemExit)
"""Caught at the boundary of one image. Code behind a ``python:`` spec may call ``exit``, which
must not end a batch; Ctrl-C (``KeyboardInterrupt``) must."""


def describe_error(error: BaseException) -> str:
    """Message for a record. Our own errors say what to do; any other one is a fault."""
    if isinstance(error, CounterveilError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"a plugged-in part tried to end the program (SystemExit: {error.code})"
    if isinstance(error, MemoryError):
        return "the machine has not enough memory for this image; free some, or lower max_pixels"
    return f"unexpected {type(error).__name__}: {error}; please report it"
