"""Train a classifier: the paper's recipe, and ours for small networks on the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.classifiers.architectures import build_network, import_torchvision
from counterveil.classifiers.checkpoints import load_file
from counterveil.classifiers.torch_classifier import InputSpec, TorchClassifier
from counterveil.errors import ModelError, UsageError
from counterveil.lab.training.data import Arrays
from counterveil.lab.training.grounds import Grounds
from counterveil.lab.training.metrics import accuracy_by_group
from counterveil.lab.training.naming import Namer
from counterveil.lab.training.pointer import Pointer
from counterveil.lab.training.veils import Veiler, lesson
from counterveil.types import ModelInfo


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        architecture: name in ``counterveil.classifiers.architectures.ARCHITECTURES``.
        start: ``imagenet``, ``none``, or a weights file of the same architecture.
        epochs: passes over the data (the paper: 50).
        batch: images a step.
        rate: largest learning rate, AdamW, one cycle.
        decay: weight decay.
        average: share of the old in the moving average of the weights, a step; 0 = none.
        veils: train under veils.
        grounds: share of the training images whose things are put on another ground; needs masks
            of the things.
        naming: passes over thumbnails of things that the network first learns to name; needs
            masks.
        pointing: weight of the loss that teaches where the unsafe objects are; needs masks.
        misses: how much an unsafe image weighs, over a safe one, when the score is set right at the
            end.
        seed: of everything random.
        precision: ``bfloat16`` or ``float32``.
        device: as torch names it.
    """

    architecture: str = "resnet50"
    start: str = "imagenet"
    epochs: int = 50
    batch: int = 64
    rate: float = 1e-3
    decay: float = 0.05
    average: float = 0.99
    veils: bool = True
    grounds: float = 0.0
    naming: int = 0
    pointing: float = 4.0
    misses: float = 1.0
    seed: int = 0
    precision: str = "float32"
    device: str = "cpu"


@dataclass(eq=False)
class Progress:
    """Where a training stands; what is saved to resume it."""

    epoch: int
    best: float
    history: list[dict[str, float]]


class Trainer:
    """Trains one classifier; the best epoch on the validation split wins.

    Args:
        recipe: how.
        train: what to learn from.
        validation: what to choose by.
        checkpoint: file that a stopped training resumes from.
        report: told a line now and then.
        step: called after each batch.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Arrays,
        validation: Arrays,
        *,
        checkpoint: Path,
        report: Callable[[str], None],
        step: Callable[[], None],
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self._size = train.images.shape[1:3]
        self.spec = InputSpec(*self._size)
        self._train, self._validation = train, validation
        self._checkpoint, self._report, self._step = checkpoint, report, step
        self.module = start(recipe, report).to(recipe.device)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.module,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average),
            use_buffers=True,
        )
        self.namer = (
            Namer(
                self.module,
                train,
                passes=recipe.naming,
                batch=2 * recipe.batch,
                rate=recipe.rate,
                grounds=recipe.grounds,
                seed=recipe.seed,
                precision=self._precision,
            )
            if recipe.naming
            else None
        )
        self._pointer = (
            Pointer(self.module, self._size).to(recipe.device) if recipe.pointing else None
        )
        parameters = [*self.module.parameters(), *(self._pointer or nn.Identity()).parameters()]
        self._optimizer = torch.optim.AdamW(parameters, recipe.rate, weight_decay=recipe.decay)
        self.steps = -(-len(train) // recipe.batch)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, recipe.rate, total_steps=self.steps * recipe.epochs, pct_start=0.2
        )
        self.progress = Progress(0, -1.0, [])
        self.best: dict[str, Tensor] = {}

    def run(self) -> None:
        """Train until the last epoch, saving after each."""
        if self.namer:
            self.namer.run(self._augmented, report=self._report, step=self._step)
            self.namer = None
            self.average.update_parameters(self.module)
            self._save()
        while self.progress.epoch < self.recipe.epochs:
            start_time = time.perf_counter()
            loss = self._epoch(self.progress.epoch)
            groups = accuracy_by_group(self.classifier(), self._validation)
            self._note(loss, groups, time.perf_counter() - start_time)
            self._save()

    def classifier(self) -> TorchClassifier:
        """The averaged weights as a classifier."""
        module = self.average.module if self.recipe.average else self.module
        return TorchClassifier(
            module, info=ModelInfo("training"), input_spec=self.spec, device=self.recipe.device
        )

    def resume(self) -> bool:
        """Go on from the checkpoint, when there is one of the same recipe.

        Raises:
            UsageError: the checkpoint is of another recipe.
        """
        if not self._checkpoint.is_file():
            return False
        saved = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        if saved["recipe"] != asdict(self.recipe):
            raise UsageError(
                f"{self._checkpoint} is of another recipe ({saved['recipe']}); give the same "
                "options, or start anew without --resume"
            )
        self.namer = None
        self.module.load_state_dict(saved["module"])
        self.average.load_state_dict(saved["average"])
        if self._pointer:
            self._pointer.load_state_dict(saved["pointer"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._schedule.load_state_dict(saved["schedule"])
        self.progress = Progress(saved["epoch"], saved["best_score"], saved["history"])
        self.best = saved["best"]
        return True

    def _save(self) -> None:
        partial = self._checkpoint.with_name(self._checkpoint.name + ".part")
        torch.save(
            {
                "recipe": asdict(self.recipe),
                "module": self.module.state_dict(),
                "average": self.average.state_dict(),
                "pointer": self._pointer.state_dict() if self._pointer else {},
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
                "epoch": self.progress.epoch,
                "best_score": self.progress.best,
                "best": self.best,
                "history": self.progress.history,
            },
            partial,
        )
        partial.replace(self._checkpoint)

    def _note(self, loss: float, groups: dict[str, float], seconds: float) -> None:
        score = groups["all"]
        self.progress.epoch += 1
        self.progress.history.append({"loss": loss, **groups})
        if score >= self.progress.best:
            self.progress.best = score
            module = self.average.module if self.recipe.average else self.module
            self.best = {k: v.detach().cpu().clone() for k, v in module.state_dict().items()}
        shown = ", ".join(f"{name} {value:.4f}" for name, value in groups.items())
        self._report(
            f"epoch {self.progress.epoch}/{self.recipe.epochs}: loss {loss:.4f}, "
            f"{shown}; {len(self._train) / seconds:.0f} images/s"
        )

    def _epoch(self, epoch: int) -> float:
        rng = np.random.default_rng([self.recipe.seed, epoch])
        self.module.train()
        total = 0.0
        for images, lessons, wanted in self._batches(rng):
            with self._precision():
                logits = self._forward(images)
            both = torch.stack([1 - wanted, wanted], dim=1)
            loss = functional.cross_entropy(logits.float(), both)
            if self._pointer:
                loss = loss + self.recipe.pointing * self._pointer.loss(lessons)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
            self._optimizer.step()
            self._schedule.step()
            self.average.update_parameters(self.module)
            total += float(loss.detach())
            self._step()
        return total / self.steps

    def _forward(self, images: Tensor) -> Tensor:
        if self._pointer:
            return self._pointer.watch(self.module, images)
        logits: Tensor = self.module(images)
        return logits

    def _batches(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Images ``(B, 3, h, w)``, what to learn at each pixel ``(B, h, w)``, and of each image."""
        arrays = self._train
        veiler = Veiler(*arrays.images.shape[1:3], rng=rng) if self.recipe.veils else None
        grounds = Grounds(*self._size, rng=rng) if self.recipe.grounds else None
        shapes = np.flatnonzero(arrays.unsafe)
        order = rng.permutation(len(arrays))
        for first in range(0, len(order), self.recipe.batch):
            chosen = order[first : first + self.recipe.batch]
            images, lessons = (
                arrays.images[chosen],
                np.zeros((len(chosen), *self._size), np.float32),
            )
            wanted = arrays.unsafe[chosen].astype(np.float32)
            for place, index in enumerate(chosen):
                objects = arrays.objects[index]
                if grounds and rng.random() < self.recipe.grounds:
                    images[place] = grounds(images[place], arrays.kinds[index] > 0, rng)
                veil = np.zeros(self._size, bool)
                if veiler:
                    shape = arrays.objects[rng.choice(shapes)] > 0
                    unsafe = bool(arrays.unsafe[index])
                    images[place], veil = veiler(images[place], objects, unsafe, shape)
                if objects.any():
                    lessons[place] = lesson(objects, veil)
                    wanted[place] = lessons[place].max()
            device = self.recipe.device
            yield (
                self._augmented(images, rng),
                torch.from_numpy(lessons).to(device),
                torch.from_numpy(wanted).to(device),
            )

    def _augmented(self, images: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Light and colour vary a little; geometry is left to the data."""
        x = torch.from_numpy(images).to(self.recipe.device).permute(0, 3, 1, 2).float()
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (len(images), 3, 1, 1)).astype(np.float32))
        x = (x * gain.to(x.device)).clamp(0, 255) / 255
        mean = torch.tensor(self.spec.mean, device=x.device).view(1, 3, 1, 1)
        std = torch.tensor(self.spec.std, device=x.device).view(1, 3, 1, 1)
        return ((x - mean) / std).contiguous(memory_format=torch.channels_last)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(torch.device(self.recipe.device).type, torch.bfloat16)


def start(recipe: Recipe, report: Callable[[str], None]) -> nn.Module:
    """The network to start from.

    Raises:
        ModelError: the weights to start from cannot be had.
    """
    module = build_network(recipe.architecture)
    if recipe.start == "imagenet":
        _imagenet(module, recipe.architecture, report)
    elif recipe.start != "none":
        before = load_file(Path(recipe.start), name=recipe.start).module
        module.load_state_dict(before.state_dict())
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _imagenet(module: nn.Module, architecture: str, report: Callable[[str], None]) -> None:
    """Torchvision's ImageNet weights, all but the last layer's."""
    models = import_torchvision().models
    try:
        weights = models.get_model_weights(architecture).DEFAULT.get_state_dict(progress=False)
    except ValueError as error:
        raise ModelError(f"no ImageNet weights for {architecture}; use --start none") from error
    except OSError as error:  # URLError too
        raise ModelError(
            f"the ImageNet weights of {architecture} cannot be downloaded ({error}); put them into "
            "torch's hub folder, or use --start none"
        ) from error
    kept = {key: value for key, value in weights.items() if not key.startswith("fc.")}
    module.load_state_dict(kept, strict=False)
    report(f"started from torchvision's ImageNet weights of {architecture}")
