"""Before a classifier is taught what is unsafe: learn to name the things there are.

On crops of half the image's side around things, place by place. A thing fills far more of a
crop than of an image, and its name says far more than a label, so a network from scratch learns
to tell twins apart in a fraction of the time. The heads are thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.training.data import Arrays
from counterveil.training.pointer import Tapped

UNSURE = -100
"""Places that are neither plainly a thing nor plainly none are not learnt from."""
_BACKGROUND = 0.3
"""Weight of places without a thing; they are most."""


class Namer:
    """Teaches a network to name things on crops.

    Args:
        module: one of ``counterveil.classifiers.architectures``.
        arrays: images and the things on them.
        epochs: crops an image.
        batch: crops a step.
        rate: largest learning rate.
        seed: of the crops.
    """

    def __init__(
        self, module: nn.Module, arrays: Arrays, *, epochs: int, batch: int, rate: float, seed: int
    ) -> None:
        self._module, self._arrays = module, arrays
        self._epochs, self._batch, self._seed = epochs, batch, seed
        self._side = arrays.images.shape[1] // 2
        self.steps = -(-len(arrays) // batch) * epochs
        names = int(arrays.kinds.max()) + 1
        self._tapped = Tapped(module, (self._side, self._side), outputs=names)
        device = next(module.parameters()).device
        self._tapped.to(device)
        self._weight = torch.ones(names, device=device)
        self._weight[0] = _BACKGROUND
        parameters = [*module.parameters(), *self._tapped.parameters()]
        self._optimizer = torch.optim.AdamW(parameters, rate, weight_decay=0.05)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, rate, total_steps=self.steps, pct_start=0.15
        )

    def run(
        self,
        prepare: Callable[[np.ndarray, np.random.Generator], Tensor],
        *,
        report: Callable[[str], None],
        step: Callable[[], None],
    ) -> None:
        """Learn; ``prepare`` turns crops ``(B, s, s, 3)`` into the network's input."""
        self._module.train()
        for epoch in range(self._epochs):
            rng = np.random.default_rng([self._seed, 1, epoch])
            right, seen = 0.0, 0.0
            for crops, kinds in self._crops(rng):
                hits, things = self._learn(prepare(crops, rng), kinds)
                right, seen = right + hits, seen + things
                step()
            report(f"naming {epoch + 1}/{self._epochs}: {right / max(seen, 1):.4f} of places right")
        self._tapped.release()

    def _learn(self, images: Tensor, kinds: np.ndarray) -> tuple[float, float]:
        truth = torch.from_numpy(kinds).to(images.device).float()[:, None]
        self._tapped.watch(self._module, images)
        loss = images.new_zeros(())
        right = seen = 0.0
        for logits in self._tapped.logits():
            wanted = _places(truth, (logits.shape[2], logits.shape[3]))
            loss = loss + functional.cross_entropy(
                logits, wanted, weight=self._weight, ignore_index=UNSURE
            )
            things = wanted > 0
            right += float((logits.argmax(dim=1) == wanted)[things].sum())
            seen += float(things.sum())
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        return right, seen

    def _crops(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = rng.permutation(len(self._arrays))
        for first in range(0, len(order), self._batch):
            windows = [(i, *self._window(int(i), rng)) for i in order[first : first + self._batch]]
            s = self._side
            yield (
                np.stack([self._arrays.images[i, y : y + s, x : x + s] for i, y, x in windows]),
                np.stack([self._arrays.kinds[i, y : y + s, x : x + s] for i, y, x in windows]),
            )

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


def _places(kinds: Tensor, size: tuple[int, int]) -> Tensor:
    """What to name each place, ``(B, h, w)``; things do not overlap, so a place has one."""
    share = functional.adaptive_avg_pool2d((kinds > 0).float(), size)[:, 0]
    names = functional.adaptive_max_pool2d(kinds, size)[:, 0].long()
    unsure = (share > 0.03) & (share < 0.25)
    return torch.where(unsure, UNSURE, torch.where(share < 0.03, 0, names))
