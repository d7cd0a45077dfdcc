"""Where masks are known: teach the network's last stages to point at what is unsafe.

A label of a whole image says little about an object on a hundredth of it. Small heads on the
last two stages learn to say, place by place, whether something unsafe is visible there; they
are thrown away after training. Deep supervision (Lee et al., "Deeply-Supervised Nets", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.classifiers.architectures import stages

FULL = 0.25
"""Share of a place that must be unsafe for it to count in full."""


class Pointer(nn.Module):
    """Heads that point, and the hooks that feed them.

    Args:
        module: one of ``counterveil.classifiers.architectures``.
        size: height and width of its input.
    """

    def __init__(self, module: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self._maps: list[Tensor] = []
        for stage in stages(module):
            stage.register_forward_hook(self._keep)
        was = module.training
        module.eval()
        with torch.no_grad():
            module(torch.zeros(1, 3, *size, device=next(module.parameters()).device))
        module.train(was)
        self.heads = nn.ModuleList(nn.Conv2d(m.shape[1], 1, 1) for m in self._maps)
        self._maps.clear()

    def _keep(self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        if module.training or not hasattr(self, "heads"):
            self._maps.append(output)

    def loss(self, lesson: Tensor) -> Tensor:
        """Mean cross-entropy of the last forward's maps against ``(B, h, w)`` lessons."""
        total = lesson.new_zeros(())
        for head, features in zip(self.heads, self._maps, strict=True):
            wanted = functional.adaptive_avg_pool2d(lesson[:, None], features.shape[-2:])
            wanted = (wanted / FULL).clamp(0, 1)
            logits = head(features.float())
            total = total + functional.binary_cross_entropy_with_logits(logits, wanted)
        self._maps.clear()
        return total
