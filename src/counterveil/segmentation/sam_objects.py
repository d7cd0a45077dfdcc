"""Segment Anything as an object segmenter: the objects at the masked parts, ``sam:``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.errors import UsageError
from counterveil.segmentation.sam import MIN_SIDE
from counterveil.types import ForegroundMap, Image, Mask, ModelInfo

_MAX_PARTS = 8
"""Largest parts of a core that are prompts; what is left are scraps."""


class SamObjects:
    """The object at each part of a core: SAM's mask at the part's middle that fits it best.

    SAM answers a point with three masks: an object, a part of it, a part of that part. The mask
    with the highest predicted quality is taken among those that hold most of the part; none, if
    none does.

    Args:
        model: a ``SamModel``.
        processor: its image processor.
        info: name, version and hash for records.
        device: torch device.

    References:
        Kirillov et al., "Segment Anything", ICCV 2023.
    """

    def __init__(self, model: Any, processor: Any, info: ModelInfo, *, device: str = "cpu") -> None:
        self._model, self._processor, self._device = model, processor, device
        self._info = info

    @property
    def info(self) -> ModelInfo:
        """Name, version and hash for records."""
        return self._info

    def __call__(self, image: Image, *, core_mask: Mask) -> ForegroundMap:
        """As the protocol describes it."""
        parts = _largest_parts(core_mask)
        foreground = np.zeros(core_mask.shape, dtype=np.float32)
        if not parts or min(core_mask.shape) < MIN_SIDE:
            return foreground
        probabilities, quality = self._masks_at(image, [_middle(part) for part in parts])
        for part, maps, qualities in zip(parts, probabilities, quality, strict=True):
            holds = np.array([(each[part] > 0.5).mean() > 0.5 for each in maps])
            if holds.any():
                best = int(np.argmax(np.where(holds, qualities, -np.inf)))
                foreground = np.maximum(foreground, maps[best])
        return foreground

    def _masks_at(
        self, image: Image, points: list[tuple[int, int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities ``(P, 3, H, W)`` and predicted quality ``(P, 3)`` at row, column points."""
        import torch

        with torch.inference_mode():
            inputs = self._processor(image, return_tensors="pt")
            scale = inputs["reshaped_input_sizes"][0] / inputs["original_sizes"][0]
            prompts = torch.tensor(points) * scale
            output = self._model(
                pixel_values=inputs["pixel_values"].to(self._device),
                # (1, P, 1, 2); SAM's points are x, y.
                input_points=prompts.flip(1)[None, :, None].to(self._device),
                multimask_output=True,
            )
            logits = self._processor.post_process_masks(
                output.pred_masks.float().cpu(),
                inputs["original_sizes"],
                inputs["reshaped_input_sizes"],
                binarize=False,
            )[0]
        return logits.sigmoid().numpy(), output.iou_scores[0].float().cpu().numpy()


def _largest_parts(core_mask: Mask) -> list[Mask]:
    """The connected parts of a core, the largest first."""
    numbers, count = label(core_mask)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    largest = np.argsort(-sizes, kind="stable")[:_MAX_PARTS] + 1
    return [numbers == number for number in largest]


def _middle(part: Mask) -> tuple[int, int]:
    """Row and column of the pixel that is farthest from the part's outline."""
    depth = distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), part.shape)
    return int(row), int(column)


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> SamObjects:
    """Load a checkpoint.

    Args:
        argument: ``REPO[@REVISION]`` on the Hugging Face hub, or a folder.
        device: torch device.
        folder: where a relative path starts.

    Raises:
        UsageError: the argument is empty.
        ModelError: the checkpoint cannot be found or loaded.
    """
    if not argument:
        raise UsageError("sam: names no checkpoint; write sam:facebook/sam-vit-base")
    import_torchvision()
    from transformers import SamImageProcessor, SamModel

    checkpoint = Checkpoint.resolve("sam", argument, folder=folder)
    model = checkpoint.load_model(SamModel).to(device)
    return SamObjects(model, checkpoint.load(SamImageProcessor), checkpoint.info(), device=device)
