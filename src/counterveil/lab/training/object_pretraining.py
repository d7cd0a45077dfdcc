"""Auxiliary heads on intermediate feature maps, and pretraining on object classes with them.

An object may fill a hundredth of an image, and one label for the whole image teaches a network
from scratch little about it. Where masks are known, the last two stages also learn what is at each
location. And before it learns the unsafe label, the network classifies objects that fill a
thumbnail, then objects in crops at their own scale. The heads are discarded afterwards.

References:
    Lee et al., "Deeply-Supervised Nets", 2015; Bengio et al., "Curriculum Learning", 2009.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor, nn
from torch.nn import functional

from counterveil.classifiers.architectures import last_stages
from counterveil.errors import UsageError
from counterveil.lab.training.augmentation import BackgroundAugmentation
from counterveil.lab.training.dataset import ImageArrays
from counterveil.lab.training.loop import (
    OneCycleAdamW,
    autocast,
    count_batches,
    split_batches,
    track,
)

logger = logging.getLogger(__name__)

FULL_TARGET_SHARE = 0.25  # unsafe share of a cell of the feature map from which its target is 1
THUMBNAIL = 64  # side of a thumbnail, pixels
IGNORED_CLASS = -100  # target of cells that are neither clearly an object nor clearly background
_BACKGROUND_WEIGHT = 0.3  # weight of background cells in the loss; they are the majority

Batches = Iterator[tuple[np.ndarray, np.ndarray]]
"""Views ``(B, s, s, 3)`` uint8 with classes ``(B,)`` or class maps ``(B, s, s)``."""
Preprocess = Callable[[np.ndarray, np.random.Generator], Tensor]
"""Views and random numbers to the network's input ``(B, 3, s, s)``."""


class AuxiliaryHead(nn.Module):
    """Interface of heads that read feature maps of a backbone."""

    def run_backbone(self, backbone: nn.Module, images: Tensor) -> Tensor:
        """Output of the backbone for images ``(B, 3, h, w)``; keeps its feature maps."""
        raise NotImplementedError

    def logits(self) -> list[Tensor]:
        """Logits ``(B, outputs, h', w')`` of each head for the last images; frees the maps."""
        raise NotImplementedError

    def detach_hooks(self) -> None:
        """Remove the hooks from the backbone, if there are any."""


class StageHeads(AuxiliaryHead):
    """A 1x1 convolution on each of the last two stages.

    Args:
        backbone: one of ``counterveil.classifiers.architectures``.
        size: height and width of an input.
        outputs: logits of each cell.
    """

    def __init__(self, backbone: nn.Module, size: tuple[int, int], outputs: int = 1) -> None:
        super().__init__()
        self._maps: list[Tensor] = []
        self._hooks = [stage.register_forward_hook(self._keep) for stage in last_stages(backbone)]
        training, device = backbone.training, next(backbone.parameters()).device
        with torch.no_grad():  # one forward pass, to read the channels of each stage
            self.run_backbone(backbone.eval(), torch.zeros(1, 3, *size, device=device))
        backbone.train(training)
        self.heads = nn.ModuleList(nn.Conv2d(maps.shape[1], outputs, 1) for maps in self._maps)

    def run_backbone(self, backbone: nn.Module, images: Tensor) -> Tensor:
        """See :meth:`AuxiliaryHead.run_backbone`."""
        self._maps.clear()
        output: Tensor = backbone(images)
        return output

    def logits(self) -> list[Tensor]:
        """See :meth:`AuxiliaryHead.logits`."""
        kept = list(self._maps)
        self._maps.clear()
        return [head(maps.float()) for head, maps in zip(self.heads, kept, strict=True)]

    def detach_hooks(self) -> None:
        """See :meth:`AuxiliaryHead.detach_hooks`."""
        for hook in self._hooks:
            hook.remove()
        self._maps.clear()

    def _keep(self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        self._maps.append(output)


class LocalizationHead(StageHeads):
    """Predicts where something unsafe is visible."""

    def loss(self, target: Tensor) -> Tensor:
        """Sum over the stages of the mean binary cross-entropy.

        Args:
            target: P(unsafe) at each pixel, ``(B, h, w)``, in ``[0, 1]``.
        """
        total = target.new_zeros(())
        for logits in self.logits():
            share = functional.adaptive_avg_pool2d(
                target[:, None], (logits.shape[-2], logits.shape[-1])
            )
            # Small objects fill no cell: a quarter of a cell counts as the whole.
            cell_target = (share / FULL_TARGET_SHARE).clamp(0, 1)
            total = total + functional.binary_cross_entropy_with_logits(logits, cell_target)
        return total


@dataclass(frozen=True)
class _Stage:
    """One stage of the curriculum; ``stream`` is part of the seed of its random numbers."""

    name: str
    stream: int
    epochs: int
    samples: int
    batches: Callable[[np.random.Generator], Batches]
    loss: Callable[[Tensor, np.ndarray], tuple[Tensor, Tensor]]


class ObjectPretrainer:
    """Trains a network to classify annotated objects.

    Args:
        module: the network, trained in place.
        arrays: images and annotated objects.
        epochs: over thumbnails of all objects; crops of all images get half as many.
        image_epochs: over whole images after that.
        batch_size: thumbnails, crops or images of one step.
        learning_rate: peak of the one-cycle schedule.
        background_augmentation: share of the crops and images with a replaced background.
        seed: of the views.
        precision: ``bfloat16`` or ``float32``.
        build_head: builds the auxiliary heads from module, input size and number of classes.
    """

    def __init__(
        self,
        module: nn.Module,
        arrays: ImageArrays,
        *,
        epochs: int,
        image_epochs: int = 0,
        batch_size: int,
        learning_rate: float,
        background_augmentation: float = 0.0,
        seed: int,
        precision: str = "float32",
        build_head: Callable[[nn.Module, tuple[int, int], int], AuxiliaryHead] = StageHeads,
    ) -> None:
        self._module, self._arrays = module, arrays
        self._batch_size, self._learning_rate, self._seed = batch_size, learning_rate, seed
        self._precision, self._background_rate = precision, background_augmentation
        self._size = (arrays.images.shape[1], arrays.images.shape[2])
        self._crop = arrays.images.shape[1] // 2
        self._objects = [(i, n) for i, boxes in enumerate(arrays.boxes) for n in range(len(boxes))]
        if not self._objects:
            raise UsageError(
                f"none of the {len(arrays)} training images has an annotated object, but objects "
                "are to be learned; draw more scenes with `counterveil scenes`"
            )
        classes = int(arrays.class_maps.max()) + 1
        self._device = next(module.parameters()).device
        self._head = build_head(module, (self._crop, self._crop), classes).to(self._device)
        self._class_weights = torch.ones(classes, device=self._device)
        self._class_weights[0] = _BACKGROUND_WEIGHT
        crop_epochs = max(1, epochs // 2) if epochs else 0
        images, dense = len(arrays), self._dense_loss
        self._stages = (
            _Stage(
                "thumbnails", 10, epochs, len(self._objects), self._thumbnails, self._global_loss
            ),
            _Stage("crops", 6, crop_epochs, images, self._crops, dense),
            _Stage("images", 6, image_epochs, images, self._images, dense),
        )

    def run(self, preprocess: Preprocess) -> None:
        """Run all stages, then remove the heads from the module."""
        self._module.train()
        for stage in self._stages:
            if stage.epochs:
                self._run_stage(stage, preprocess)
        self._head.detach_hooks()

    def _run_stage(self, stage: _Stage, preprocess: Preprocess) -> None:
        steps = count_batches(stage.samples, self._batch_size)
        optimizer = OneCycleAdamW(
            [*self._module.parameters(), *self._head.parameters()],
            self._learning_rate,
            total_steps=steps * stage.epochs,
            warmup=0.15,
        )
        for epoch in range(stage.epochs):
            rng = np.random.default_rng([self._seed, stage.stream, epoch])
            correct: list[Tensor] = []
            for views, classes in track(stage.batches(rng), stage.name, steps):
                loss, hits = stage.loss(preprocess(views, rng), classes)
                optimizer.step(loss)
                correct.append(hits.flatten())
            accuracy = float(torch.cat(correct).float().mean())
            logger.info(
                f"object pretraining, {stage.name} {epoch + 1}/{stage.epochs}: "
                f"accuracy {accuracy:.4f}"
            )

    def _logits(self, images: Tensor) -> list[Tensor]:
        with autocast(self._precision, self._device.type):
            self._head.run_backbone(self._module, images)
        return self._head.logits()

    def _global_loss(self, images: Tensor, classes: np.ndarray) -> tuple[Tensor, Tensor]:
        """Cross-entropy of one class for each view, and hits ``(B,)`` of the last stage."""
        target = torch.from_numpy(classes).to(images.device).long()
        pooled = [logits.mean(dim=(2, 3)) for logits in self._logits(images)]
        loss = sum(functional.cross_entropy(logits, target) for logits in pooled)
        return torch.as_tensor(loss), pooled[-1].argmax(dim=1) == target

    def _dense_loss(self, images: Tensor, class_maps: np.ndarray) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the class of each cell, and hits of the cells with an object."""
        maps = torch.from_numpy(class_maps).to(images.device).float()[:, None]  # (B, 1, s, s)
        loss, hits = images.new_zeros(()), []
        for logits in self._logits(images):
            target = _cell_classes(maps, (logits.shape[2], logits.shape[3]))
            loss = loss + functional.cross_entropy(
                logits, target, weight=self._class_weights, ignore_index=IGNORED_CLASS
            )
            hits.append((logits.argmax(dim=1) == target)[target > 0])
        return loss, torch.cat(hits)

    def _shuffled(self, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Indices below ``count`` in random order, one batch at a time."""
        return split_batches(rng.permutation(count), self._batch_size)

    def _thumbnails(self, rng: np.random.Generator) -> Batches:
        for batch in self._shuffled(len(self._objects), rng):
            chosen = [self._objects[int(index)] for index in batch]
            yield (
                np.stack([self._thumbnail(image, box, rng) for image, box in chosen]),
                np.array([self._arrays.box_classes[image][box] for image, box in chosen]),
            )

    def _thumbnail(self, index: int, box: int, rng: np.random.Generator) -> np.ndarray:
        """An object with some of its surroundings, ``(THUMBNAIL, THUMBNAIL, 3)``."""
        image = self._arrays.images[index]
        height, width = image.shape[:2]
        x, y, w, h = self._arrays.boxes[index][box]
        side = min(max(max(w, h) * rng.uniform(1.1, 1.8), THUMBNAIL / 2), width, height)
        shift = rng.uniform(-0.1, 0.1, 2) * side
        left = float(np.clip(x + w / 2 - side / 2 + shift[0], 0, width - side))
        top = float(np.clip(y + h / 2 - side / 2 + shift[1], 0, height - side))
        view = Pillow.fromarray(image).resize(
            (THUMBNAIL, THUMBNAIL),
            Pillow.Resampling.BILINEAR,
            box=(left, top, left + side, top + side),
        )
        return np.asarray(view)

    def _crops(self, rng: np.random.Generator) -> Batches:
        s = self._crop
        augment = self._background_augmentation((s, s), rng)
        for batch in self._shuffled(len(self._arrays), rng):
            windows = [(i, *self._window(int(i), rng)) for i in batch]
            yield self._replace_backgrounds(
                np.stack([self._arrays.images[i, y : y + s, x : x + s] for i, y, x in windows]),
                np.stack([self._arrays.class_maps[i, y : y + s, x : x + s] for i, y, x in windows]),
                augment,
                rng,
            )

    def _images(self, rng: np.random.Generator) -> Batches:
        augment = self._background_augmentation(self._size, rng)
        for batch in self._shuffled(len(self._arrays), rng):
            ordered = np.sort(batch)  # read in the order of the memory map
            yield self._replace_backgrounds(
                np.asarray(self._arrays.images[ordered]),
                np.asarray(self._arrays.class_maps[ordered]),
                augment,
                rng,
            )

    def _background_augmentation(
        self, size: tuple[int, int], rng: np.random.Generator
    ) -> BackgroundAugmentation | None:
        return BackgroundAugmentation(*size, rng=rng) if self._background_rate else None

    def _replace_backgrounds(
        self,
        images: np.ndarray,
        class_maps: np.ndarray,
        augment: BackgroundAugmentation | None,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        if augment is not None:
            for i in np.flatnonzero(rng.random(len(images)) < self._background_rate):
                images[i] = augment(images[i], class_maps[i] > 0, rng)
        return images, class_maps

    def _window(self, index: int, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of a photograph_crop; 9 of 10 crops are placed around an object."""
        height, width = self._arrays.images.shape[1:3]
        s, boxes = self._crop, self._arrays.boxes[index]
        top, left = rng.integers(0, height - s + 1), rng.integers(0, width - s + 1)
        if boxes and rng.random() < 0.9:
            x, y, w, h = boxes[int(rng.integers(len(boxes)))]
            shift = rng.integers(-s // 4, s // 4 + 1, 2)
            top, left = y + h // 2 - s // 2 + shift[0], x + w // 2 - s // 2 + shift[1]
        return int(np.clip(top, 0, height - s)), int(np.clip(left, 0, width - s))


def _cell_classes(class_maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Target class of each cell, ``(B, h, w)`` int64, of class maps ``(B, 1, H, W)``.

    Objects do not overlap, so the maximum of a cell is the class of its object.
    """
    share = functional.adaptive_avg_pool2d((class_maps > 0).float(), size)[:, 0]
    classes = functional.adaptive_max_pool2d(class_maps, size)[:, 0].long()
    unsure = (share > 0.03) & (share < 0.25)
    return torch.where(unsure, IGNORED_CLASS, torch.where(share < 0.03, 0, classes))
