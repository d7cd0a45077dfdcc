"""Heads on a network's last stages, that learn place by place and are thrown away.

A label of a whole image says little about an object on a hundredth of it. Where masks are
known, the last two stages are also told what is where: deep supervision (Lee et al.,
"Deeply-Supervised Nets", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.classifiers.architectures import last_stages

FULL = 0.25
"""Share of a place that must be unsafe for it to count in full."""


class Tap(nn.Module):
    """Heads on a module that is watched: what :class:`Namer` learns to name with."""

    def watch(self, module: nn.Module, images: Tensor) -> Tensor:
        """The module's output for images ``(B, 3, h, w)``; what the heads need is kept."""
        raise NotImplementedError

    def logits(self) -> list[Tensor]:
        """``(B, outputs, h, w)`` of each head, for what was watched last."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of the module."""


class Tapped(Tap):
    """A head of ``outputs`` logits a place on each of the last two stages.

    Args:
        module: one of ``counterveil.classifiers.architectures``.
        size: height and width of an input.
        outputs: logits a place.
    """

    def __init__(self, module: nn.Module, size: tuple[int, int], *, outputs: int = 1) -> None:
        super().__init__()
        self._maps: list[Tensor] = []
        self._hooks = [stage.register_forward_hook(self._keep) for stage in last_stages(module)]
        training = module.training
        with torch.no_grad():
            self.watch(module.eval(), torch.zeros(1, 3, *size, device=_device(module)))
        module.train(training)
        self.heads = nn.ModuleList(nn.Conv2d(kept.shape[1], outputs, 1) for kept in self._maps)

    def watch(self, module: nn.Module, images: Tensor) -> Tensor:
        """The module's output; its stages' maps are kept."""
        self._maps.clear()
        output: Tensor = module(images)
        return output

    def logits(self) -> list[Tensor]:
        """Of each stage."""
        kept = list(self._maps)
        self._maps.clear()
        return [head(maps.float()) for head, maps in zip(self.heads, kept, strict=True)]

    def release(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()
        self._maps.clear()

    def _keep(self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        self._maps.append(output)


def tap_stages(module: nn.Module, size: tuple[int, int], outputs: int) -> Tap:
    """Heads on the last two stages."""
    return Tapped(module, size, outputs=outputs)


class Pointer(Tapped):
    """Learns where something unsafe is visible."""

    def loss(self, lesson: Tensor) -> Tensor:
        """Mean cross-entropy of what was watched last against ``(B, h, w)`` lessons."""
        total = lesson.new_zeros(())
        for logits in self.logits():
            wanted = functional.adaptive_avg_pool2d(
                lesson[:, None], (logits.shape[-2], logits.shape[-1])
            )
            wanted = (wanted / FULL).clamp(0, 1)
            total = total + functional.binary_cross_entropy_with_logits(logits, wanted)
        return total


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
