"""A classifier that is a torch module: scores images, and lets attribution look inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.types import Image, Images, Masks, MaskScoreFunction, ModelInfo, Scores

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InputSpec:
    """How an image becomes the module's input: squashed, scaled to ``[0, 1]``, normalised.

    Squashed, never cropped: what lies at the border is assessed like the rest.

    Attributes:
        height: of the input, pixels.
        width: of the input, pixels.
        mean: a channel, of values in ``[0, 1]``.
        std: a channel.
        mode: interpolation, as in ``torch.nn.functional.interpolate``.
    """

    height: int = 224
    width: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    mode: Literal["bilinear", "bicubic"] = "bilinear"


class TorchClassifier:
    """Scores by a module that maps ``(B, 3, h, w)`` to logits ``(B, C)``.

    Args:
        module: any ``nn.Module`` that returns a tensor of logits; used in eval mode.
        info: which model this is.
        unsafe: indices of the logits that mean unsafe.
        spec: how images become input.
        activation: ``softmax`` over exclusive classes (unsafe probabilities add up), or
            ``sigmoid`` for independent ones (unsafe when any is: ``1 - prod(1 - p)``).
        device: where it runs.
        batch: most images in one forward; by default 8 on a CPU, which then has what they become
            in its cache (see docs/log.md), and 32 elsewhere.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        info: ModelInfo,
        unsafe: tuple[int, ...] = (1,),
        spec: InputSpec | None = None,
        activation: Literal["softmax", "sigmoid"] = "softmax",
        device: str | torch.device = "cpu",
        batch: int | None = None,
    ) -> None:
        self.module = module.eval().to(device)
        self.info = info
        self.unsafe = unsafe
        self.spec = spec or InputSpec()
        self.activation = activation
        self.device = torch.device(device)
        usual = 8 if self.device.type == "cpu" else 32
        self.batch = usual if batch is None else batch

    def to_input(self, images: Images) -> Tensor:
        """The module's input ``(B, 3, h, w)``, float32, on the device."""
        return self._prepared(torch.from_numpy(np.ascontiguousarray(images)).to(self.device))

    def _prepared(self, images: Tensor) -> Tensor:
        """The module's input, of bytes ``(B, H, W, 3)`` that are on the device already."""
        pixels = images.permute(0, 3, 1, 2).float()  # (B, 3, H, W)
        size = (self.spec.height, self.spec.width)
        if pixels.shape[-2:] != size:
            pixels = functional.interpolate(pixels, size=size, mode=self.spec.mode, antialias=True)
            pixels = pixels.clamp(0, 255)
        mean = torch.tensor(self.spec.mean, device=self.device).view(1, 3, 1, 1) * 255
        std = torch.tensor(self.spec.std, device=self.device).view(1, 3, 1, 1) * 255
        return (pixels - mean) / std

    def probability(self, logits: Tensor) -> Tensor:
        """P(unsafe) ``(B,)`` of logits ``(B, C)``."""
        chosen = list(self.unsafe)
        if self.activation == "softmax":
            return logits.double().softmax(dim=1)[:, chosen].sum(dim=1).clamp(0, 1)
        return 1 - (1 - logits.double().sigmoid()[:, chosen]).prod(dim=1)

    def target(self, logits: Tensor) -> Tensor:
        """The scalar a gradient attribution explains: the unsafe logits' sum, ``(B,)``."""
        return logits[:, list(self.unsafe)].sum(dim=1)

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, in ``[0, 1]``."""
        return self._scores(self.to_input, images)

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """Scores one image under masks, composited on the device: its pixels go there but once.

        ``None`` on the CPU, where numpy composites faster and nothing has to go anywhere.

        Args:
            image: ``(H, W, 3)``.
            paint: what shows where a mask is ``True``, ``(H, W, 3)``.
        """
        return None if self.device.type == "cpu" else self._score_masked(image, paint)

    def _score_masked(self, image: Image, paint: Image) -> MaskScoreFunction:
        below, above = (
            torch.from_numpy(np.require(each, requirements=["C", "W"])).to(self.device)
            for each in (image, paint)
        )

        def veiled(masks: Masks) -> Tensor:
            there = torch.from_numpy(np.ascontiguousarray(masks)).to(self.device)
            return self._prepared(torch.where(there[..., None], above, below))

        return lambda masks: self._scores(veiled, masks)

    def _scores(self, make: Callable[[Any], Tensor], given: np.ndarray) -> Scores:
        """Of what is made into input, a batch at a time."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(given), self.batch):
                logits = self.module(make(given[start : start + self.batch]))
                parts.append(self.probability(logits).cpu())
        return torch.cat(parts).numpy() if parts else np.zeros(0)
