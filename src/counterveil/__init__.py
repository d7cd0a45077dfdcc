"""Counterveil makes unsafe images safe to look at.

```python
import counterveil

cv = counterveil.from_profile("proxy")
examination = cv.examine("photo.png")
```

Importing this loads nothing heavy: each public name is fetched when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterveil.errors import CounterveilError as CounterveilError
    from counterveil.pipeline import Examination as Examination
    from counterveil.pipeline import Pipeline as Pipeline
    from counterveil.profiles import Overrides as Overrides
    from counterveil.profiles import from_profile as from_profile
    from counterveil.record import Record as Record

__version__ = "0.1.0"

_ROOMS = {
    "Pipeline": "counterveil.pipeline",
    "CounterveilError": "counterveil.errors",
    "Examination": "counterveil.pipeline",
    "Overrides": "counterveil.profiles",
    "Record": "counterveil.record",
    "from_profile": "counterveil.profiles",
}

__all__ = [
    "CounterveilError",
    "Examination",
    "Overrides",
    "Pipeline",
    "Record",
    "__version__",
    "from_profile",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'counterveil' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_ROOMS[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
