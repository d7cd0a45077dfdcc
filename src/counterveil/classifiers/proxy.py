"""The shipped classifiers for proxy scenes."""

from __future__ import annotations

from importlib.resources import files

from counterveil.classifiers.base import TorchClassifier
from counterveil.classifiers.resnet import from_bytes
from counterveil.errors import ModelError


def load(argument: str, *, device: str = "cpu") -> TorchClassifier:
    """The shipped classifier of a category; it knows drawn pictograms only.

    Raises:
        ModelError: none is shipped for that key.
    """
    folder = files("counterveil") / "weights"
    file = folder / f"{argument}.safetensors"
    if not argument.isidentifier() or not file.is_file():
        shipped = sorted(f.name[:-12] for f in folder.iterdir() if f.name.endswith(".safetensors"))
        raise ModelError(f"no proxy classifier for {argument!r}; shipped: {', '.join(shipped)}")
    return from_bytes(file.read_bytes(), name=f"proxy:{argument}", device=device)
