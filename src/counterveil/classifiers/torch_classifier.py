"""A torch module as a classifier: preprocessing, batching, P(unsafe) and the gradient target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from counterveil.classifiers.preprocessing import InputSpec
from counterveil.types import Image, Images, Masks, MaskScoreFunction, ModelInfo, Scores


class TorchClassifier:
    """Scores images with a module that maps ``(B, 3, h, w)`` to logits ``(B, C)``.

    Args:
        module: any ``nn.Module`` that returns a tensor of logits; set to eval mode.
        info: name, version and weights hash of the model.
        unsafe_indices: indices of the unsafe logits.
        input_spec: preprocessing.
        activation: ``softmax`` for exclusive classes (the unsafe probabilities are summed), or
            ``sigmoid`` for independent ones (any of them: ``1 - prod(1 - p)``).
        device: where the module runs.
        scorer: logits ``(B, C)`` of inputs ``(B, 3, h, w)`` for scores, where another runtime
            computes what the module does, only faster; ``None``: the module itself.
        batch_size: maximum views in one forward (but at least one image); default 8 on a CPU, so
            that activations stay in its cache (see docs/log.md), and 32 elsewhere.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        info: ModelInfo,
        unsafe_indices: tuple[int, ...] = (1,),
        input_spec: InputSpec | None = None,
        activation: Literal["softmax", "sigmoid"] = "softmax",
        device: str | torch.device = "cpu",
        scorer: Callable[[Tensor], Tensor] | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.module = module.eval().to(device)
        self._scorer = scorer or self.module
        self.info = info
        self.unsafe_indices = unsafe_indices
        self.input_spec = input_spec or InputSpec()
        self.activation = activation
        self.device = torch.device(device)
        default = 8 if self.device.type == "cpu" else 32
        self.batch_size = default if batch_size is None else batch_size

    def to_input(self, images: Images) -> Tensor:
        """The module's input, float32, on the device: all V views of an image after each other.

        Images ``(B, H, W, 3)`` become ``(B * V, 3, h, w)``.
        """
        return self._preprocess(
            torch.from_numpy(np.require(images, requirements=["C", "W"])).to(self.device)
        )

    def to_image_maps(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps ``(B * V, h, w)`` of the input as maps ``(B, H, W)`` of images of ``size``."""
        return self.input_spec.to_image_maps(maps, size)

    def _preprocess(self, images: Tensor) -> Tensor:
        """Uint8 images ``(B, H, W, 3)`` on the device -> the module's input."""
        return self.input_spec.to_input(images)

    def probability(self, logits: Tensor) -> Tensor:
        """P(unsafe) ``(B,)`` of logits ``(B, C)``, float64."""
        indices = list(self.unsafe_indices)
        if self.activation == "softmax":
            # A float64 sum of several probabilities can exceed 1 by rounding: clamp.
            return logits.double().softmax(dim=1)[:, indices].sum(dim=1).clamp(0, 1)
        return 1 - (1 - logits.double().sigmoid()[:, indices]).prod(dim=1)  # any class

    def target(self, logits: Tensor) -> Tensor:
        """Sum of the unsafe logits ``(B,)``, the scalar that gradient attributions explain."""
        return logits[:, list(self.unsafe_indices)].sum(dim=1)

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, in ``[0, 1]``: the mean over its views."""
        return self._score_batches(self.to_input, images)

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """A function that scores one image under masks; ``paint`` shows where a mask is ``True``.

        It composites on the device. ``None`` on the CPU, where numpy composites faster.
        """
        return None if self.device.type == "cpu" else self._score_masked(image, paint)

    def _score_masked(self, image: Image, paint: Image) -> MaskScoreFunction:
        below, above = (
            # Writable, because torch warns of arrays that are not (`paint` may be a broadcast).
            torch.from_numpy(np.require(each, requirements=["C", "W"])).to(self.device)
            for each in (image, paint)
        )

        def composite(masks: Masks) -> Tensor:
            mask = torch.from_numpy(np.ascontiguousarray(masks)).to(self.device)
            return self._preprocess(torch.where(mask[..., None], above, below))

        return lambda masks: self._score_batches(composite, masks)

    def _score_batches(self, to_input: Callable[[Any], Tensor], items: np.ndarray) -> Scores:
        """Scores of images or masks ``(B, ...)``, at most ``batch_size`` views in one forward."""
        views = len(self.input_spec.views)
        step = max(1, self.batch_size // views)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(items), step):
                logits = self._scorer(to_input(items[start : start + step]))
                probability = self.probability(logits).unflatten(0, (-1, views)).mean(dim=1)
                parts.append(probability.cpu())
        return torch.cat(parts).numpy() if parts else np.zeros(0)
