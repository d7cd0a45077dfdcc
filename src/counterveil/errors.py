"""Every error Counterveil raises on purpose.

```
CounterveilError
├── UsageError            the caller's mistake: a bad argument, name or file of settings
├── ImageError            an input that is not an image this library will read
│   ├── ImageTooLargeError    over a limit on bytes, pixels or frames
│   └── ImageBrokenError      truncated, lying about itself, or not an image at all
├── ModelError            a model that cannot be found, loaded or run
│   └── UnsupportedModelError  a model the chosen method cannot serve
├── MissingExtraError     an optional dependency that is not installed
└── VerificationError     what was written is not what was checked
```
"""


class CounterveilError(Exception):
    """Base of all errors that Counterveil raises on purpose."""


class UsageError(CounterveilError, ValueError):
    """The caller's mistake: a bad argument, name or settings file."""


class ImageError(CounterveilError):
    """An input that is not an image this library will read."""


class ImageTooLargeError(ImageError):
    """An image over a limit on bytes, pixels or frames."""


class ImageBrokenError(ImageError):
    """A file that is truncated, lies about itself, or is no image."""


class ModelError(CounterveilError):
    """A model that cannot be found, loaded or run."""


class UnsupportedModelError(ModelError):
    """A model that the chosen method cannot serve; the message names one that can."""


class MissingExtraError(CounterveilError):
    """An optional dependency that is not installed; the message names the extra."""


class VerificationError(CounterveilError):
    """What was written is not what was checked."""
