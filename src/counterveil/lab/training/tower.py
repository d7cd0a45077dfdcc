"""Teach a small vision transformer to name the things there are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterveil.classifiers import pictograms
from counterveil.lab.training.pointer import Tap
from counterveil.reasoning.modules import ConvPatchEmbedding

_SLIM = "network.resnet."
"""Where a shipped classifier keeps what a stem has."""


class TowerTap(Tap):
    """A head on the patches of a vision model's last layer.

    Args:
        tower: InstructBLIP's vision model.
        outputs: logits a patch.
    """

    def __init__(self, tower: nn.Module, outputs: int) -> None:
        super().__init__()
        self._patch = int(tower.config.patch_size)  # type: ignore[union-attr, arg-type]
        width = int(tower.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.head = nn.Linear(width, outputs)
        self._patches: Tensor | None = None

    def watch(self, module: nn.Module, images: Tensor) -> Tensor:
        """All tokens, the class token first; views of any size that patches divide."""
        hidden: Tensor = module(
            pixel_values=images, interpolate_pos_encoding=True, return_dict=True
        )[0]
        rows, columns = (side // self._patch for side in images.shape[2:])
        self._patches = hidden[:, 1:].unflatten(1, (rows, columns))
        return hidden

    def logits(self) -> list[Tensor]:
        """Of each patch, ``(B, outputs, rows, columns)``."""
        patches, self._patches = self._patches, None
        assert patches is not None
        return [self.head(patches.float()).permute(0, 3, 1, 2)]


def tap_tower(module: nn.Module, size: tuple[int, int], outputs: int) -> Tap:
    """Heads as :class:`counterveil.lab.training.naming.Namer` asks for them."""
    return TowerTap(module, outputs)


def initialise(tower: nn.Module, *, seed: int) -> None:
    """Weights as vision transformers that are trained from scratch start.

    The class's own start is meant to be overwritten by a checkpoint: positions of unit variance
    drown the patches.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in tower.named_parameters():
            if "position" in name or "class_embedding" in name:
                parameter.normal_(0, 0.02, generator=generator)
            elif parameter.ndim > 1:
                fan = parameter[0].numel()
                parameter.normal_(0, fan**-0.5, generator=generator)


def start_stem(stem: ConvPatchEmbedding, keys: Sequence[str]) -> None:
    """Start a stem from the mean of shipped classifiers, as large towers come pretrained.

    They were tuned from one network, so that their mean is a network, too.

    References:
        Wortsman et al., "Model soups", 2022.
    """
    states = [pictograms.load(key).module.state_dict() for key in keys]
    wanted = stem.network.state_dict()
    means = {
        name: torch.stack([state[_SLIM + name].double() for state in states]).mean(0).to(old.dtype)
        for name, old in wanted.items()
    }
    stem.network.load_state_dict(means)
