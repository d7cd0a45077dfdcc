"""Segment Anything (SAM): automatic masks, turned into a partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from counterveil.errors import ModelError
from counterveil.segmentation import check_inputs
from counterveil.segmentation.regions import connected_regions
from counterveil.types import AttributionMap, Image, Labels, Mask

if TYPE_CHECKING:
    from torch import Tensor

MIN_SIDE = 16
"""Pixels; a narrower image is one region."""

_MAX_BOX_IOU = 0.7  # of two masks that are both kept, as in SAM's mask generator


@dataclass(frozen=True)
class Sam:
    """Objects and parts found by Segment Anything, and the regions between them.

    Small masks lie on top of large ones. Pixels without a mask form regions of their own, and very
    small regions merge with the neighbour nearest in colour. Guidance and ``rng`` are ignored. The
    checkpoint is loaded by ``load`` or on the first call.

    Attributes:
        model: a Hugging Face repository or a folder with a SAM checkpoint.
        points_per_side: prompts along each side of the image.
        pred_iou_thresh: minimum IoU with a true object that the model predicts, 0 to 1.
        stability_score_thresh: minimum IoU of a mask under a stricter and a looser threshold.
        min_area: smallest region, as a fraction of the image.
        points_per_batch: prompts in one forward pass of the mask decoder.
        device: where the model runs.

    References:
        Kirillov et al., "Segment Anything", ICCV 2023.
    """

    model: str = "facebook/sam-vit-base"
    points_per_side: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    min_area: float = 0.0005
    points_per_batch: int = 64
    device: str = "cpu"

    def __call__(
        self,
        image: Image,
        *,
        guidance: AttributionMap | None = None,
        rng: np.random.Generator | None = None,
    ) -> Labels:
        """Labels as the protocol describes them; ``ModelError`` if the checkpoint cannot load."""
        check_inputs(image, guidance)
        height, width = image.shape[:2]
        if min(height, width) < MIN_SIDE:
            return np.zeros((height, width), dtype=np.int32)
        labels = stack_masks(self._generate_masks(image), height, width)
        min_size = max(1, round(self.min_area * height * width))
        return connected_regions(labels, min_size=min_size, image=image.astype(np.float64))

    def load(self) -> None:
        """Loads the checkpoint now; raises ``ModelError`` as a call does."""
        self._checkpoint  # noqa: B018

    def _generate_masks(self, image: Image) -> list[Mask]:
        """Masks from a grid of point prompts, without unreliable masks and near duplicates."""
        import torch

        model, processor = self._checkpoint
        with torch.inference_mode():
            inputs = processor(image, return_tensors="pt")
            pixels = inputs["pixel_values"].to(self.device)
            sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
            embedding = model.get_image_embeddings(pixels)
            points = processor.generate_crop_boxes(
                image, pixels.shape[-1], points_per_crop=self.points_per_side
            )[1].to(self.device)  # (1, P, 1, 2): x, y
            # Rows and columns of the logits that show the image; the rest is padding.
            scale = 4 * embedding.shape[-1] / pixels.shape[-1]
            height, width = (sizes[1][0] * scale).ceil().int().tolist()
            batches = [
                self._predict(model, embedding, prompts, height, width)
                for prompts in points.split(self.points_per_batch, dim=1)
            ]
            logits = torch.cat([logits for logits, _ in batches])  # (M, h, w)
            quality = torch.cat([quality for _, quality in batches])
            kept = non_maximum_suppression(logits[:, :height, :width] > 0, quality)
            return [
                processor.post_process_masks(logits[None, None, k : k + 1], *sizes)[0][0, 0].numpy()
                for k in kept
            ]

    def _predict(
        self, model: Any, embedding: Tensor, points: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(M, h, w)`` and predicted IoU ``(M,)`` of the masks above both thresholds."""
        import torch

        output = model(
            image_embeddings=embedding,
            input_points=points,
            input_labels=torch.ones(points.shape[:-1], dtype=torch.long, device=self.device),
            multimask_output=True,
        )
        logits, quality = output.pred_masks[0].flatten(0, 1), output.iou_scores[0].flatten()
        # Judged at the resolution of the decoder: thousands of candidates at the resolution of a
        # photograph would fill the memory, so only the masks that are kept are enlarged.
        visible = logits[:, :height, :width]
        strict, loose = (visible > 1).sum(dim=(1, 2)), (visible > -1).sum(dim=(1, 2))
        good = (quality >= self.pred_iou_thresh) & (strict > 0)
        good &= strict >= self.stability_score_thresh * loose
        return logits[good].float().cpu(), quality[good].float().cpu()

    @cached_property
    def _checkpoint(self) -> tuple[Any, Any]:
        """The model and its image processor."""
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


def non_maximum_suppression(masks: Tensor, quality: Tensor) -> list[int]:
    """Indices of the masks ``(M, H, W)`` to keep, best first: no two of their boxes coincide."""
    from torchvision.ops import box_iou, masks_to_boxes

    # torchvision.ops.nms needs compiled operators. Those of the PyPI wheel do not load beside a CPU
    # build of torch.
    boxes = masks_to_boxes(masks)
    boxes[:, 2:] += 1  # its right and bottom are the last pixel, not the edge
    overlaps = (box_iou(boxes, boxes) > _MAX_BOX_IOU).numpy()
    kept: list[int] = []
    for k in quality.argsort(descending=True, stable=True).tolist():
        if not overlaps[k, kept].any():
            kept.append(k)
    return kept


def stack_masks(masks: Sequence[Mask], height: int, width: int) -> Labels:
    """Label of the smallest mask at each pixel, ``(height, width)``; 0 if there is none."""
    labels = np.zeros((height, width), dtype=np.int32)
    for label, mask in enumerate(sorted(masks, key=np.sum, reverse=True), start=1):
        labels[mask] = label
    return labels
