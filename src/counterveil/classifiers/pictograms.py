"""The shipped classifiers for drawn scenes: ``pictograms:KEY``."""

from __future__ import annotations

from importlib.resources import files

from counterveil.classifiers.checkpoints import load_bytes
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.errors import ModelError


def load(argument: str, *, device: str = "cpu") -> TorchClassifier:
    """Load the shipped classifier of a category, or raise ``ModelError`` if there is none."""
    folder = files("counterveil") / "weights"
    file = folder / f"{argument}.safetensors"
    # An identifier cannot contain a path separator, so it cannot leave the folder.
    if not argument.isidentifier() or not file.is_file():
        shipped = sorted(f.name[:-12] for f in folder.iterdir() if f.name.endswith(".safetensors"))
        raise ModelError(
            f"no pictogram classifier is shipped for {argument!r}; choose {', '.join(shipped)}"
        )
    return load_bytes(file.read_bytes(), name=f"pictograms:{argument}", device=device)
