"""A user's own classifier, ``python:module:factory``. It runs code: trust it like a program."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, cast

from counterveil.classifiers.checked import CheckedClassifier, checked
from counterveil.errors import CounterveilError, ModelError, UsageError
from counterveil.types import Classifier, Images, ModelInfo, Scores


class FunctionClassifier:
    """A function from uint8 images ``(B, H, W, 3)`` to ``B`` scores, as a classifier."""

    def __init__(self, function: Callable[[Images], Scores], spec: str) -> None:
        self._function = function
        self.info = ModelInfo(spec)

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image; an exception of the function becomes a ``ModelError``."""
        with _model_errors(self.info.name, "failed"):
            return self._function(images)


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> CheckedClassifier:
    """Load the classifier that ``factory()`` of ``module:factory`` returns.

    The factory may take a keyword ``device``. It returns a :class:`~counterveil.types.Classifier`
    (a ``GradientClassifier`` where gradient attributions are wanted), or a function from images
    to scores. The module is an installed one, or else one in ``folder``, or else one in the
    current folder.
    """
    made = call_factory(argument, device=device, folder=folder)
    spec = f"python:{argument}"
    if isinstance(made, Classifier) and isinstance(made.info, ModelInfo):
        return checked(made)
    if hasattr(made, "score"):
        raise ModelError(f"{spec}: the classifier needs an info that is a counterveil ModelInfo")
    if not callable(made):
        raise ModelError(
            f"{spec} made {type(made).__name__}; return a classifier with score, or a function "
            "from images to scores"
        )
    return checked(FunctionClassifier(made, spec))


def call_factory(argument: str, *, device: str = "cpu", folder: Path | None = None) -> Any:
    """Import the module and call the factory of ``module:factory``."""
    spec = f"python:{argument}"
    module, _, name = argument.partition(":")
    if not module or not name:
        raise UsageError(f"{spec!r} is incomplete; write python:module:factory")
    factory = _import_factory(spec, module, name, folder)
    with _model_errors(spec, "could not be made"):
        return factory(device=device) if _takes_device(factory) else factory()


def _import_factory(spec: str, module: str, name: str, folder: Path | None) -> Callable[..., Any]:
    try:
        with _model_errors(spec, "could not be imported"), _on_path(folder or Path(), Path()):
            _check_origin(spec, module.partition(".")[0])
            found: Any = importlib.import_module(module)
    except ModelError as error:
        # The named module (or its package) is missing, not one that it imports.
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
    return cast("Callable[..., Any]", found)


def _takes_device(factory: Callable[..., Any]) -> bool:
    try:
        return "device" in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # some built-ins have no signature
        return False


@contextmanager
def _on_path(*folders: Path) -> Iterator[None]:
    texts = dict.fromkeys(str(folder.resolve()) for folder in folders)
    added = [text for text in texts if text not in sys.path]
    sys.path += added  # last, so that no file there hides an installed module
    importlib.invalidate_caches()  # a file written this very second would not be found
    try:
        yield
    finally:
        for text in added:
            if text in sys.path:  # the module may have removed it
                sys.path.remove(text)


def _check_origin(spec: str, name: str) -> None:
    """Refuse a module of the same name from another folder; Python keeps only the first one."""
    loaded, found = sys.modules.get(name), PathFinder.find_spec(name)
    if loaded is None or loaded.__spec__ is None or found is None:
        return
    if (
        None not in (loaded.__spec__.origin, found.origin)
        and loaded.__spec__.origin != found.origin
    ):
        raise UsageError(
            f"{spec}: a module {name!r} was imported from {loaded.__spec__.origin} before; rename "
            f"{found.origin}"
        )


@contextmanager
def _model_errors(spec: str, problem: str) -> Iterator[None]:
    """Turn any exception of the user's code into a :class:`ModelError`."""
    try:
        yield
    except CounterveilError:
        raise
    except Exception as error:
        raise ModelError(f"{spec} {problem}: {type(error).__name__}: {error}") from error
