"""Before a classifier is taught what is unsafe: learn to name the things there are.

A thing may fill a hundredth of an image, and one label an image tells a network from scratch
little about it. So it first names things that fill a thumbnail, then, place by place, things on
crops at their own scale, and only then is told what is unsafe: a curriculum (Bengio et al.,
"Curriculum Learning", 2009). The heads that name are thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor, nn
from torch.nn import functional

from counterveil.lab.training.data import Arrays
from counterveil.lab.training.grounds import Grounds
from counterveil.lab.training.pointer import Tap, tap_stages

THUMBNAIL = 64
"""Side of a thumbnail, pixels."""
UNSURE = -100
"""Places that are neither plainly a thing nor plainly none are not learnt from."""
_BACKGROUND = 0.3
"""Weight of places without a thing; they are most."""

Lessons = Iterator[tuple[np.ndarray, np.ndarray]]
Prepare = Callable[[np.ndarray, np.random.Generator], Tensor]


@dataclass(frozen=True)
class _Stage:
    """One part of the curriculum."""

    name: str
    passes: int
    steps: int
    lessons: Callable[[np.random.Generator], Lessons]
    loss: Callable[[Tensor, np.ndarray], tuple[Tensor, Tensor]]


class Namer:
    """Teaches a network to name things.

    Args:
        module: what learns.
        arrays: images and the things on them.
        passes: over the thumbnails of all things; half as many over crops of all images.
        full: passes over whole images after that.
        batch: thumbnails or crops a step.
        rate: largest learning rate.
        grounds: share of the crops and images whose things are put on another ground.
        seed: of the views.
        precision: entered anew for each forward: autocast keeps its copies of the weights for as
            long as it lasts, so that one over many steps would never see them change.
        tap: puts the heads that name on the module, for inputs of a size; by default it is one of
            ``counterveil.classifiers.architectures``.
    """

    def __init__(
        self,
        module: nn.Module,
        arrays: Arrays,
        *,
        passes: int,
        full: int = 0,
        batch: int,
        rate: float,
        grounds: float = 0.0,
        seed: int,
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
        tap: Callable[[nn.Module, tuple[int, int], int], Tap] = tap_stages,
    ) -> None:
        self._module, self._arrays = module, arrays
        self._batch, self._rate, self._seed = batch, rate, seed
        self._precision = precision
        self._side = arrays.images.shape[1] // 2
        self._share, self._size = grounds, (arrays.images.shape[1], arrays.images.shape[2])
        self._things = [(i, n) for i, boxes in enumerate(arrays.boxes) for n in range(len(boxes))]
        names = int(arrays.kinds.max()) + 1
        self._tapped = tap(module, (self._side, self._side), names)
        device = next(module.parameters()).device
        self._tapped.to(device)
        self._weight = torch.ones(names, device=device)
        self._weight[0] = _BACKGROUND
        self._stages = (
            _Stage(
                "thumbnails", passes, -(-len(self._things) // batch), self._thumbnails, self._whole
            ),
            _Stage(
                "places",
                max(1, passes // 2) if passes else 0,
                -(-len(arrays) // batch),
                self._crops,
                self._places,
            ),
            _Stage("images", full, -(-len(arrays) // batch), self._images, self._places),
        )
        self.steps = sum(stage.steps * stage.passes for stage in self._stages)

    def run(
        self, prepare: Prepare, *, report: Callable[[str], None], step: Callable[[], None]
    ) -> None:
        """Learn; ``prepare`` turns views ``(B, s, s, 3)`` into the network's input."""
        self._module.train()
        for stage in (stage for stage in self._stages if stage.passes):
            self._run(stage, prepare, report, step)
        self._tapped.release()

    def _run(
        self,
        stage: _Stage,
        prepare: Prepare,
        report: Callable[[str], None],
        step: Callable[[], None],
    ) -> None:
        parameters = [*self._module.parameters(), *self._tapped.parameters()]
        optimizer = torch.optim.AdamW(parameters, self._rate, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self._rate, total_steps=stage.steps * stage.passes, pct_start=0.15
        )
        for epoch in range(stage.passes):
            rng = np.random.default_rng([self._seed, len(stage.name), epoch])
            right: list[Tensor] = []
            for views, kinds in stage.lessons(rng):
                loss, hits = stage.loss(prepare(views, rng), kinds)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                right.append(hits.flatten())
                step()
            share = float(torch.cat(right).float().mean())
            report(f"naming {stage.name} {epoch + 1}/{stage.passes}: {share:.4f} right")

    def _logits(self, images: Tensor) -> list[Tensor]:
        with self._precision():
            self._tapped.watch(self._module, images)
        return self._tapped.logits()

    def _whole(self, images: Tensor, kinds: np.ndarray) -> tuple[Tensor, Tensor]:
        """Loss of naming each view as a whole, and whether the last stage is right."""
        wanted = torch.from_numpy(kinds).to(images.device).long()
        pooled = [logits.mean(dim=(2, 3)) for logits in self._logits(images)]
        loss = sum(functional.cross_entropy(logits, wanted) for logits in pooled)
        return torch.as_tensor(loss), pooled[-1].argmax(dim=1) == wanted

    def _places(self, images: Tensor, kinds: np.ndarray) -> tuple[Tensor, Tensor]:
        """Loss of naming each place, and whether those with a thing are right."""
        truth = torch.from_numpy(kinds).to(images.device).float()[:, None]
        loss, right = images.new_zeros(()), []
        for logits in self._logits(images):
            wanted = _names(truth, (logits.shape[2], logits.shape[3]))
            loss = loss + functional.cross_entropy(
                logits, wanted, weight=self._weight, ignore_index=UNSURE
            )
            right.append((logits.argmax(dim=1) == wanted)[wanted > 0])
        return loss, torch.cat(right)

    def _thumbnails(self, rng: np.random.Generator) -> Lessons:
        order = rng.permutation(len(self._things))
        for first in range(0, len(order), self._batch):
            chosen = [self._things[int(at)] for at in order[first : first + self._batch]]
            yield (
                np.stack([self._thumbnail(i, n, rng) for i, n in chosen]),
                np.array([self._arrays.box_kinds[i][n] for i, n in chosen]),
            )

    def _thumbnail(self, index: int, number: int, rng: np.random.Generator) -> np.ndarray:
        """A thing and some of what is around it, filling a thumbnail."""
        image = self._arrays.images[index]
        height, width = image.shape[:2]
        x, y, w, h = self._arrays.boxes[index][number]
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

    def _crops(self, rng: np.random.Generator) -> Lessons:
        s = self._side
        grounds = Grounds(s, s, rng=rng) if self._share else None
        order = rng.permutation(len(self._arrays))
        for first in range(0, len(order), self._batch):
            windows = [(i, *self._window(int(i), rng)) for i in order[first : first + self._batch]]
            yield self._grounded(
                np.stack([self._arrays.images[i, y : y + s, x : x + s] for i, y, x in windows]),
                np.stack([self._arrays.kinds[i, y : y + s, x : x + s] for i, y, x in windows]),
                grounds,
                rng,
            )

    def _images(self, rng: np.random.Generator) -> Lessons:
        grounds = Grounds(*self._size, rng=rng) if self._share else None
        order = rng.permutation(len(self._arrays))
        for first in range(0, len(order), self._batch):
            chosen = np.sort(order[first : first + self._batch])
            yield self._grounded(
                np.asarray(self._arrays.images[chosen]),
                np.asarray(self._arrays.kinds[chosen]),
                grounds,
                rng,
            )

    def _grounded(
        self,
        images: np.ndarray,
        kinds: np.ndarray,
        grounds: Grounds | None,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        if grounds is not None:
            for at in np.flatnonzero(rng.random(len(images)) < self._share):
                images[at] = grounds(images[at], kinds[at] > 0, rng)
        return images, kinds

    def _window(self, index: int, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of a crop: around one of the image's things, mostly."""
        height, width = self._arrays.images.shape[1:3]
        boxes = self._arrays.boxes[index]
        top, left = (
            rng.integers(0, height - self._side + 1),
            rng.integers(0, width - self._side + 1),
        )
        if boxes and rng.random() < 0.9:
            x, y, w, h = boxes[int(rng.integers(len(boxes)))]
            shift = rng.integers(-self._side // 4, self._side // 4 + 1, 2)
            top, left = (
                y + h // 2 - self._side // 2 + shift[0],
                x + w // 2 - self._side // 2 + shift[1],
            )
        return (
            int(np.clip(top, 0, height - self._side)),
            int(np.clip(left, 0, width - self._side)),
        )


def _names(kinds: Tensor, size: tuple[int, int]) -> Tensor:
    """What to name each place, ``(B, h, w)``; things do not overlap, so a place has one."""
    share = functional.adaptive_avg_pool2d((kinds > 0).float(), size)[:, 0]
    names = functional.adaptive_max_pool2d(kinds, size)[:, 0].long()
    unsure = (share > 0.03) & (share < 0.25)
    return torch.where(unsure, UNSURE, torch.where(share < 0.03, 0, names))
