"""Dense prediction heads on intermediate feature maps; used in training and then discarded.

An image label says little about an object that covers a hundredth of the image. Where masks are
known, the last two stages also learn what is at each location.

References:
    Lee et al., "Deeply-Supervised Nets", 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.classifiers.architectures import stages

FULL_TARGET_SHARE = 0.25
"""Unsafe share of a cell of the feature map from which its target is 1."""


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
        self._hooks = [stage.register_forward_hook(self._keep) for stage in stages(backbone)]
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
