"""Counterveil makes unsafe images safe to look at.

```python
import counterveil

pipeline = counterveil.load("pictograms", margin=0.4)
examination = pipeline.examine("photo.png")
examination.save("out")
```

:func:`load` makes a :class:`Pipeline` from a profile; options are fields of :class:`Config`.
:meth:`Pipeline.examine` returns an :class:`Examination`: the record, the veiled image, the mask.

Plug in your own model: anything with ``info`` and ``score(images)`` is a :class:`Classifier`; a
:class:`TorchClassifier` wraps a torch module, so that gradients can explain it.

Importing this package loads nothing heavy: a public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterveil.categories import Category as Category
    from counterveil.categories import ControlCode as ControlCode
    from counterveil.categories import Question as Question
    from counterveil.classifiers.preprocessing import InputSpec as InputSpec
    from counterveil.classifiers.preprocessing import View as View
    from counterveil.classifiers.torch_classifier import TorchClassifier as TorchClassifier
    from counterveil.config import Config as Config
    from counterveil.errors import CounterveilError as CounterveilError
    from counterveil.pipeline import CategoryClassifier as CategoryClassifier
    from counterveil.pipeline import Components as Components
    from counterveil.pipeline import Examination as Examination
    from counterveil.pipeline import Pipeline as Pipeline
    from counterveil.profiles import load as load
    from counterveil.reasoning.interfaces import Reasoner as Reasoner
    from counterveil.record import Record as Record
    from counterveil.types import Classifier as Classifier
    from counterveil.types import GradientClassifier as GradientClassifier
    from counterveil.types import ModelInfo as ModelInfo

__version__ = "0.1.0"

_MODULES = {
    "Category": "counterveil.categories",
    "CategoryClassifier": "counterveil.pipeline",
    "Classifier": "counterveil.types",
    "Components": "counterveil.pipeline",
    "Config": "counterveil.config",
    "ControlCode": "counterveil.categories",
    "CounterveilError": "counterveil.errors",
    "Examination": "counterveil.pipeline",
    "GradientClassifier": "counterveil.types",
    "InputSpec": "counterveil.classifiers.preprocessing",
    "ModelInfo": "counterveil.types",
    "Pipeline": "counterveil.pipeline",
    "Question": "counterveil.categories",
    "Reasoner": "counterveil.reasoning.interfaces",
    "Record": "counterveil.record",
    "TorchClassifier": "counterveil.classifiers.torch_classifier",
    "View": "counterveil.classifiers.preprocessing",
    "load": "counterveil.profiles",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'counterveil' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
