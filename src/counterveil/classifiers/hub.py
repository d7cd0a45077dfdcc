"""Any Hugging Face image classifier: ``hub:REPO_OR_FOLDER[@REVISION]#LABEL+LABEL``."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from counterveil.classifiers._checkpoint import Checkpoint
from counterveil.classifiers._probe import probe
from counterveil.classifiers._torchvision import import_torchvision
from counterveil.classifiers.base import TorchClassifier
from counterveil.errors import UsageError


class Logits(nn.Module):
    """A Hugging Face classifier as a plain module: pixels ``(B, 3, h, w)`` to logits ``(B, C)``.

    Args:
        model: gives an output with ``logits`` for ``pixel_values``.
        flipped: the model wants blue, green, red.
    """

    def __init__(self, model: nn.Module, *, flipped: bool = False) -> None:
        super().__init__()
        self.model = model
        self.flipped = flipped

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, C)``."""
        logits: Tensor = self.model(pixel_values=pixels.flip(1) if self.flipped else pixels).logits
        return logits


def load(argument: str, *, device: str = "cpu") -> TorchClassifier:
    """The classifier; the labels named are those that mean unsafe.

    Colours are scaled as the model's own processor does. The whole image is squashed to the
    input's size where a processor would crop to its centre: what lies at the border is
    assessed too. P(unsafe) is the labels' sum after a softmax; for a multi-label model (or one
    of a single output), the probability that any of them applies.

    Args:
        argument: ``REPO_OR_FOLDER[@REVISION]#LABEL+LABEL``; labels in any case.
        device: where it runs.

    Raises:
        UsageError: a label is not the model's; the message lists those that are.
        ModelError: the checkpoint cannot be loaded, or its weights are incomplete.
        UnsupportedModelError: the processor does more than scale and resize.
    """
    checkpoint, labels = Checkpoint.parse("hub", argument)
    import_torchvision()
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model: Any = checkpoint.model(AutoModelForImageClassification)
    probed = probe(checkpoint.load(AutoImageProcessor), _native(model.config))
    activation = _activation(model.config)
    unsafe = _unsafe(labels, model.config.id2label)
    if activation == "softmax" and len(unsafe) == len(model.config.id2label):
        raise UsageError(f"{checkpoint.spec} calls every label unsafe; leave out the safe ones")
    return TorchClassifier(
        Logits(model, flipped=probed.flipped),
        info=checkpoint.info(),
        unsafe=unsafe,
        spec=probed.spec,
        activation=activation,
        device=device,
    )


def _native(config: Any) -> tuple[int, int]:
    size = getattr(config, "image_size", None) or 224
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _activation(config: Any) -> Literal["softmax", "sigmoid"]:
    single = len(config.id2label) == 1
    multi = config.problem_type == "multi_label_classification"
    return "sigmoid" if single or multi else "softmax"


def _unsafe(labels: str, known: dict[int, str]) -> tuple[int, ...]:
    """Indices of labels joined by ``+``, in any case; a label may hold a plus itself."""
    names = {index: name.strip().casefold() for index, name in known.items()}
    parts = labels.casefold().split("+")
    wanted = set()
    while parts:
        runs = ["+".join(parts[:end]).strip() for end in range(len(parts), 0, -1)]
        label = next((run for run in runs if run in names.values()), None)
        if label is None:
            raise UsageError(f"the model has no label {runs[-1]!r}; it knows {_listing(known)}")
        wanted.add(label)
        del parts[: label.count("+") + 1]
    return tuple(sorted(index for index, name in names.items() if name in wanted))


def _listing(known: dict[int, str]) -> str:
    shown = [known[index] for index in sorted(known)][:30]
    more = f", and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    return ", ".join(shown) + more
