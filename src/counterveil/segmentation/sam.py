"""Segment Anything's automatic masks, turned into a partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy import ndarray

from counterveil.errors import ModelError
from counterveil.segmentation._check import check
from counterveil.segmentation.connectivity import connect
from counterveil.types import AttributionMap, Image, Labels, Mask

if TYPE_CHECKING:
    from torch import Tensor

_THINNEST = 16  # pixels; a thinner image is one region, since there is nothing to tell apart


@dataclass(frozen=True)
class Sam:
    """Objects and parts that Segment Anything finds, and what they leave over.

    Small masks lie on top of large ones; what no mask covers falls into connected pieces; specks
    are absorbed by the neighbour nearest in colour. Ignores guidance, draws nothing at random.
    The model is loaded on the first call, and kept.

    Attributes:
        model: a Hugging Face repository or a folder with a SAM checkpoint.
        points: prompts along a side of the image.
        quality: least predicted overlap of a mask with a true object, 0 to 1.
        stability: least overlap of a mask with itself under a shifted threshold, 0 to 1.
        speck: smallest region, as a share of the image.
        batch: points in one forward of the mask decoder.
        device: where it runs.

    References:
        Kirillov et al., "Segment Anything", ICCV 2023.
    """

    model: str = "facebook/sam-vit-base"
    points: int = 32
    quality: float = 0.88
    stability: float = 0.95
    speck: float = 0.0005
    batch: int = 64
    device: str = "cpu"

    def __call__(
        self,
        image: Image,
        *,
        guidance: AttributionMap | None = None,
        rng: np.random.Generator | None = None,
    ) -> Labels:
        """Labels ``(H, W)``, ``0 .. K-1``, each one 4-connected; guidance is ignored.

        Raises:
            UsageError: the image is none, or guidance does not fit it.
            ModelError: the checkpoint cannot be found or loaded.
        """
        check(image, guidance)
        height, width = image.shape[:2]
        if min(height, width) < _THINNEST:
            return np.zeros((height, width), dtype=np.int32)
        smallest = max(1, round(self.speck * height * width))
        labels = partition(self._masks(image), height, width)
        return connect(labels, minimum=smallest, image=image.astype(np.float64))

    def _masks(self, image: Image) -> list[Mask]:
        """What is found from a grid of prompts, judged and thinned out before it is enlarged."""
        import torch

        model, processor = self._loaded
        with torch.inference_mode():
            inputs = processor(image, return_tensors="pt")
            embedding = model.get_image_embeddings(inputs["pixel_values"].to(self.device))
            small = inputs["reshaped_input_sizes"][0]
            side = (torch.arange(self.points, dtype=torch.float32) + 0.5) / self.points
            grid = torch.cartesian_prod(side, side) * small.flip(0)  # (P, 2): x, y
            reach = (
                (small * 4 * embedding.shape[-1] / inputs["pixel_values"].shape[-1]).ceil().int()
            )
            drafts = [
                self._drafts(model, embedding, prompts.to(self.device), *reach.tolist())
                for prompts in grid.split(self.batch)
            ]
            logits = torch.cat([logits for logits, _ in drafts])  # (M, h, w)
            seen = logits[:, : reach[0], : reach[1]]
            quality = torch.cat([quality for _, quality in drafts]).numpy()
            sizes = (inputs["original_sizes"], inputs["reshaped_input_sizes"])
            return [
                processor.post_process_masks(logits[None, None, k : k + 1], *sizes)[0][0, 0].numpy()
                for k in distinct(boxes(seen.numpy() > 0), quality)
            ]

    def _drafts(
        self, model: Any, embedding: Tensor, prompts: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(M, h, w)`` and predicted quality ``(M,)`` of the masks good enough to keep.

        Only their first ``height`` rows and ``width`` columns show the image; the rest is padding.
        """
        import torch

        found = model(
            image_embeddings=embedding,
            input_points=prompts[None, :, None],
            input_labels=torch.ones(1, len(prompts), 1, dtype=torch.long, device=self.device),
            multimask_output=True,
        )
        logits, quality = found.pred_masks[0].flatten(0, 1), found.iou_scores[0].flatten()
        seen = logits[:, :height, :width]
        strict, lax = (seen > 1).sum(dim=(1, 2)), (seen > -1).sum(dim=(1, 2))
        good = (quality >= self.quality) & (strict >= self.stability * lax) & (strict > 0)
        return logits[good].float().cpu(), quality[good].float().cpu()

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The checkpoint and what prepares its input."""
        from counterveil.classifiers.architectures import import_torchvision

        import_torchvision()
        from transformers import SamImageProcessor, SamModel

        try:
            model = SamModel.from_pretrained(self.model).eval().to(self.device)
            processor = SamImageProcessor.from_pretrained(self.model)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{self.model} cannot be loaded as a SAM checkpoint: {error}"
            ) from error
        return model, processor


def boxes(masks: Bool[ndarray, "masks height width"]) -> Float64[ndarray, "masks 4"]:
    """Boxes (left, top, right, bottom), ends excluded, of masks that are not empty."""
    rows, columns = np.asarray(masks.any(axis=2)), np.asarray(masks.any(axis=1))
    height, width = masks.shape[1:]
    sides = [
        columns.argmax(axis=1),
        rows.argmax(axis=1),
        width - columns[:, ::-1].argmax(axis=1),
        height - rows[:, ::-1].argmax(axis=1),
    ]
    return np.stack(sides, axis=1).astype(np.float64)


def distinct(
    boxes: Float64[ndarray, "masks 4"], quality: Float[ndarray, " masks"], overlap: float = 0.7
) -> list[int]:
    """Indices of the masks to keep, best first: none whose box one kept before overlaps as much.

    Args:
        boxes: (left, top, right, bottom).
        quality: higher is better.
        overlap: most intersection over union of two kept boxes.
    """
    kept: list[int] = []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for k in np.argsort(-quality, kind="stable"):
        low = np.maximum(boxes[kept, :2], boxes[k, :2])
        high = np.minimum(boxes[kept, 2:], boxes[k, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        if np.all(shared <= overlap * (area[kept] + area[k] - shared)):
            kept.append(int(k))
    return kept


def partition(masks: Sequence[Mask], height: int, width: int) -> Labels:
    """One label a pixel: that of the smallest mask that covers it, 0 where none does."""
    labels = np.zeros((height, width), dtype=np.int32)
    by_size: list[Bool[ndarray, "height width"]] = sorted(masks, key=np.sum, reverse=True)
    for label, mask in enumerate(by_size, start=1):
        labels[mask] = label
    return labels
