"""Training of one classifier: configuration, epochs, checkpoints, choice of the best epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.classifiers.architectures import build_network, import_torchvision
from counterveil.classifiers.checkpoints import load_file
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.errors import ModelError, UsageError
from counterveil.lab.training.augmentation import (
    BackgroundAugmentation,
    MaskAugmentation,
    localization_target,
)
from counterveil.lab.training.dataset import ImageArrays
from counterveil.lab.training.evaluation import accuracy_by_group
from counterveil.lab.training.loop import (
    OneCycleAdamW,
    autocast,
    count_batches,
    split_batches,
    track,
)
from counterveil.lab.training.object_pretraining import LocalizationHead, ObjectPretrainer
from counterveil.types import ModelInfo

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of a training; the defaults follow the paper where it states a value."""

    # name in counterveil.classifiers.architectures.ARCHITECTURES
    architecture: str = "resnet50"
    # initial weights: imagenet, none, or a file of the same architecture
    start: str = "imagenet"
    epochs: int = 50  # over the data (the paper: 50)
    batch_size: int = 64  # images of one step
    learning_rate: float = 1e-3  # peak of the one-cycle schedule of AdamW
    weight_decay: float = 0.05  # of AdamW
    ema_decay: float = 0.99  # of the moving average of the weights, for each step
    mask_augmentation: bool = True  # veil random regions of the training images
    # share of the images with a replaced background; needs annotations
    background_augmentation: float = 0.0
    object_pretraining_epochs: int = 0  # epochs over thumbnails of objects first; needs annotations
    localization_weight: float = 4.0  # weight of the loss that locates unsafe objects; needs masks
    # weight of an unsafe image relative to a safe one in calibration
    false_negative_cost: float = 1.0
    seed: int = 0  # of all random numbers
    precision: str = "float32"  # bfloat16 or float32
    device: str = "cpu"  # as torch names it


@dataclass(eq=False)
class TrainState:
    """Progress of a training, saved in each checkpoint."""

    epoch: int = 0  # finished epochs
    best_accuracy: float = -1.0  # on the validation split
    best_weights: dict[str, Tensor] = field(default_factory=dict)  # state dict of that epoch
    # loss and accuracies of each epoch
    history: list[dict[str, float]] = field(default_factory=list)


class ClassifierTrainer:
    """Trains one classifier and keeps the epoch with the best validation accuracy.

    Args:
        config: of the training.
        train: images to train on.
        validation: images to choose the epoch by.
        checkpoint: file to resume from.
    """

    def __init__(
        self, config: TrainConfig, train: ImageArrays, validation: ImageArrays, *, checkpoint: Path
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self._size = train.images.shape[1:3]
        self.spec = InputSpec(*self._size)
        self._train, self._validation = train, validation
        self._checkpoint = checkpoint
        self.module = initial_module(config).to(config.device)
        self._average = torch.optim.swa_utils.AveragedModel(
            self.module,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema_decay),
            use_buffers=True,
        )
        # The heads draw their initial weights from the global generator: keep this order.
        self._pretrainer = self._object_pretrainer() if config.object_pretraining_epochs else None
        self._head = (
            LocalizationHead(self.module, self._size).to(config.device)
            if config.localization_weight
            else None
        )
        self._steps = count_batches(len(train), config.batch_size)
        self._optimizer = OneCycleAdamW(
            [*self.module.parameters(), *(self._head or nn.Identity()).parameters()],
            config.learning_rate,
            total_steps=self._steps * config.epochs,
            warmup=0.2,
            weight_decay=config.weight_decay,
            clip=self.module.parameters(),
            max_norm=5.0,
        )
        self.state = TrainState()

    def _object_pretrainer(self) -> ObjectPretrainer:
        config = self.config
        return ObjectPretrainer(
            self.module,
            self._train,
            epochs=config.object_pretraining_epochs,
            batch_size=2 * config.batch_size,
            learning_rate=config.learning_rate,
            background_augmentation=config.background_augmentation,
            seed=config.seed,
            precision=config.precision,
        )

    def run(self) -> None:
        """Train up to the last epoch; saves a checkpoint after each."""
        if self._pretrainer:
            self._pretrainer.run(self._preprocess)
            self._pretrainer = None
            self._average.update_parameters(self.module)
            self._save()
        while self.state.epoch < self.config.epochs:
            started = time.perf_counter()
            loss = self._run_epoch(self.state.epoch)
            accuracy = accuracy_by_group(self.classifier(), self._validation)
            self._finish_epoch(loss, accuracy, time.perf_counter() - started)
            self._save()

    def classifier(self) -> TorchClassifier:
        """The averaged weights as a classifier."""
        info, device = ModelInfo("training"), self.config.device
        return TorchClassifier(self._average.module, info=info, input_spec=self.spec, device=device)

    def best_classifier(self) -> TorchClassifier:
        """The averaged weights of the best epoch as a classifier."""
        self._average.module.load_state_dict(self.state.best_weights)
        return self.classifier()

    def resume(self) -> bool:
        """Load the checkpoint; returns whether there was one.

        Raises:
            UsageError: the checkpoint was written with another configuration.
        """
        if not self._checkpoint.is_file():
            return False
        saved = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        if saved["config"] != asdict(self.config):
            raise UsageError(
                f"{self._checkpoint} was written with another configuration "
                f"({saved['config']}); pass the same options, or omit --resume to start again"
            )
        self._pretrainer = None
        self.module.load_state_dict(saved["module"])
        self._average.load_state_dict(saved["average"])
        if self._head:
            self._head.load_state_dict(saved["localization_head"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.state = TrainState(**saved["state"])
        return True

    def _save(self) -> None:
        partial = self._checkpoint.with_name(self._checkpoint.name + ".part")
        torch.save(
            {
                "config": asdict(self.config),
                "module": self.module.state_dict(),
                "average": self._average.state_dict(),
                "localization_head": self._head.state_dict() if self._head else {},
                "optimizer": self._optimizer.state_dict(),
                "state": vars(self.state),
            },
            partial,
        )
        partial.replace(self._checkpoint)  # atomic: a stopped run leaves the old one or the new

    def _finish_epoch(self, loss: float, accuracy: dict[str, float], seconds: float) -> None:
        state = self.state
        state.epoch += 1
        state.history.append({"loss": loss, **accuracy})
        if accuracy["all"] >= state.best_accuracy:  # of equal epochs, the later one
            state.best_accuracy = accuracy["all"]
            weights = self._average.module.state_dict()
            state.best_weights = {k: v.detach().cpu().clone() for k, v in weights.items()}
        shown = ", ".join(f"{name} {value:.4f}" for name, value in accuracy.items())
        logger.info(
            f"epoch {state.epoch}/{self.config.epochs}: loss {loss:.4f}, accuracy {shown}; "
            f"{len(self._train) / seconds:.0f} images/s"
        )

    def _run_epoch(self, epoch: int) -> float:
        """Train one epoch; returns the mean loss of its steps."""
        rng = np.random.default_rng([self.config.seed, epoch])
        self.module.train()
        total = 0.0
        batches = track(self._batches(rng), f"epoch {epoch + 1}", self._steps)
        for images, pixel_targets, targets in batches:
            with autocast(self.config.precision, self.config.device):
                logits = self._forward(images)
            probabilities = torch.stack([1 - targets, targets], dim=1)  # (B, 2): safe, unsafe
            loss = functional.cross_entropy(logits.float(), probabilities)
            if self._head:
                loss = loss + self.config.localization_weight * self._head.loss(pixel_targets)
            self._optimizer.step(loss)
            self._average.update_parameters(self.module)
            total += float(loss.detach())
        return total / self._steps

    def _forward(self, images: Tensor) -> Tensor:
        if self._head:
            return self._head.run_backbone(self.module, images)
        logits: Tensor = self.module(images)
        return logits

    def _batches(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Input ``(B, 3, h, w)``, pixel targets ``(B, h, w)`` and image targets ``(B,)``."""
        arrays, config = self._train, self.config
        veil = MaskAugmentation(*self._size, rng=rng) if config.mask_augmentation else None
        replace_background = (
            BackgroundAugmentation(*self._size, rng=rng) if config.background_augmentation else None
        )
        unsafe = np.flatnonzero(arrays.unsafe)
        for batch in split_batches(rng.permutation(len(arrays)), config.batch_size):
            images = arrays.images[batch]
            pixel_targets = np.zeros((len(batch), *self._size), np.float32)
            targets = arrays.unsafe[batch].astype(np.float32)
            for row, index in enumerate(batch):
                instances = arrays.instance_maps[index]
                if replace_background and rng.random() < config.background_augmentation:
                    objects = arrays.class_maps[index] > 0
                    images[row] = replace_background(images[row], objects, rng)
                mask = np.zeros(self._size, bool)
                if veil:
                    decoy = arrays.instance_maps[rng.choice(unsafe)] > 0
                    label = bool(arrays.unsafe[index])
                    images[row], mask = veil(images[row], instances, label, decoy)
                if instances.any():
                    pixel_targets[row] = localization_target(instances, mask)
                    targets[row] = pixel_targets[row].max()
            yield (
                self._preprocess(images, rng),
                torch.from_numpy(pixel_targets).to(config.device),
                torch.from_numpy(targets).to(config.device),
            )

    def _preprocess(self, images: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Normalised input with colour jitter; no geometric augmentation."""
        x = torch.from_numpy(images).to(self.config.device).permute(0, 3, 1, 2).float()
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (len(images), 3, 1, 1)).astype(np.float32))
        x = (x * gain.to(x.device)).clamp(0, 255) / 255
        mean = torch.tensor(self.spec.mean, device=x.device).view(1, 3, 1, 1)
        std = torch.tensor(self.spec.std, device=x.device).view(1, 3, 1, 1)
        return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def initial_module(config: TrainConfig) -> nn.Module:
    """The network with its initial weights.

    Raises:
        ModelError: the initial weights cannot be read or downloaded.
    """
    module = build_network(config.architecture)
    if config.start == "imagenet":
        _load_imagenet(module, config.architecture)
    elif config.start != "none":
        initial = load_file(Path(config.start), name=config.start).module
        module.load_state_dict(initial.state_dict())
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _load_imagenet(module: nn.Module, architecture: str) -> None:
    """Load torchvision's ImageNet weights, except for the last layer."""
    models = import_torchvision().models
    try:
        weights = models.get_model_weights(architecture).DEFAULT.get_state_dict(progress=False)
    except ValueError as error:
        raise ModelError(
            f"there are no ImageNet weights for {architecture}; pass --start none"
        ) from error
    except OSError as error:  # URLError too
        raise ModelError(
            f"the ImageNet weights of {architecture} cannot be downloaded ({error}); put them into "
            "torch's hub folder, or pass --start none"
        ) from error
    kept = {key: value for key, value in weights.items() if not key.startswith("fc.")}
    module.load_state_dict(kept, strict=False)
    logger.info(f"started from torchvision's ImageNet weights of {architecture}")
