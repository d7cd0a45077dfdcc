"""A user's own classifier: ``python:module:factory``. It runs code, which is what it is for.

Naming a module imports it, with everything that it does on import. Settings that hold such a
spec deserve the trust that a program does.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from counterveil.classifiers.checked import checked
from counterveil.errors import CounterveilError, ModelError, UsageError
from counterveil.types import Classifier, Images, ModelInfo, Scores


class Called:
    """A plain function from images to scores, as a classifier.

    Args:
        function: maps uint8 ``(B, H, W, 3)`` to ``B`` probabilities of unsafe.
        spec: what it is known by.
    """

    def __init__(self, function: Callable[[Images], Scores], spec: str) -> None:
        self._function = function
        self._spec = spec

    @property
    def info(self) -> ModelInfo:
        """The spec; there are no weights to hash."""
        return ModelInfo(self._spec)

    def score(self, images: Images) -> Scores:
        """What the function says.

        Raises:
            ModelError: it failed.
        """
        with _translated(self._spec, "failed"):
            return self._function(images)


def load(argument: str, *, device: str = "cpu") -> Classifier:
    """The classifier that ``factory()`` of ``module:factory`` makes, its scores validated.

    The factory may take a keyword ``device``. It returns a classifier (``score`` and ``info``,
    and what :class:`~counterveil.classifiers.base.TorchClassifier` has if gradients are
    wanted) or a plain function from images to scores. A module is looked for in the current
    folder too.

    Raises:
        UsageError: the spec is malformed, or names what is not there.
        ModelError: importing or calling failed, or what came back cannot score.
    """
    return checked(_classifier(make(argument, device=device), f"python:{argument}"))


def make(argument: str, *, device: str = "cpu") -> Any:
    """What ``factory()`` of ``module:factory`` returns.

    Raises:
        UsageError: the spec is malformed, or names what is not there.
        ModelError: importing or calling failed.
    """
    spec = f"python:{argument}"
    module, _, name = argument.partition(":")
    if not module or not name:
        raise UsageError(f"{spec!r} must read python:module:factory")
    factory = _find(spec, module, name)
    with _translated(spec, "could not be made"):
        return factory(device=device) if _takes_device(factory) else factory()


def _find(spec: str, module: str, name: str) -> Callable[..., Any]:
    try:
        with _translated(spec, "could not be imported"), _current_folder():
            found: Any = importlib.import_module(module)
    except ModelError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{module}.".startswith(f"{cause.name}."):
            raise UsageError(f"{spec}: there is no module {cause.name!r}") from cause
        raise
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{spec}: module {module!r} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{spec}: {name!r} is {type(found).__name__}, not something to call")
    function: Callable[..., Any] = found
    return function


def _takes_device(factory: Callable[..., Any]) -> bool:
    try:
        return "device" in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # some built-ins have no signature
        return False


def _classifier(made: Any, spec: str) -> Classifier:
    if callable(getattr(made, "score", None)):
        if isinstance(getattr(made, "info", None), ModelInfo):
            classifier: Classifier = made
            return classifier
        raise ModelError(f"{spec}: the classifier needs an info that is a counterveil ModelInfo")
    if callable(made):
        return Called(made, spec)
    raise ModelError(
        f"{spec} made {type(made).__name__}; a classifier with score, or a function from images "
        "to scores, was expected"
    )


@contextmanager
def _current_folder() -> Iterator[None]:
    """Modules are found in the current folder, last: none there replaces an installed one."""
    here = str(Path.cwd())
    if here in sys.path:
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


@contextmanager
def _translated(spec: str, what: str) -> Iterator[None]:
    """Code that is not ours may raise anything; it becomes a :class:`ModelError`."""
    try:
        yield
    except CounterveilError:
        raise
    except Exception as error:
        raise ModelError(f"{spec} {what}: {type(error).__name__}: {error}") from error
