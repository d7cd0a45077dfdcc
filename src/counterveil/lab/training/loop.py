"""Shared parts of the training loops: optimizer, mixed precision, progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.progress import track as rich_track
from torch import Tensor, nn

T = TypeVar("T")


class OneCycleAdamW:
    """AdamW with a one-cycle learning rate and gradient clipping.

    Args:
        parameters: to optimize.
        learning_rate: peak of the cycle.
        total_steps: of the cycle.
        warmup: share of the steps before the peak, in ``[0, 1)``; less than two steps are none.
        weight_decay: of AdamW.
        clip: parameters whose joint gradient norm is limited to ``max_norm``.
        max_norm: that limit.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        *,
        total_steps: int,
        warmup: float,
        weight_decay: float = 0.05,
        clip: Iterable[nn.Parameter] = (),
        max_norm: float = 1.0,
    ) -> None:
        self._clip, self._max_norm = list(clip), max_norm
        self._optimizer = torch.optim.AdamW(parameters, learning_rate, weight_decay=weight_decay)
        # OneCycleLR divides by the length of the warm-up less one step, which may be 0.
        start = warmup if warmup * total_steps >= 2 else 0.0
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            # A cycle of one step would be at its end at once, with a learning rate near 0.
            self._optimizer,
            learning_rate,
            total_steps=max(2, total_steps),
            pct_start=start,
        )

    def step(self, loss: Tensor) -> None:
        """Backpropagate a scalar loss and update the parameters."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._clip:
            nn.utils.clip_grad_norm_(self._clip, self._max_norm)
        self._optimizer.step()
        self._schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer and of the schedule."""
        return {"optimizer": self._optimizer.state_dict(), "schedule": self._schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])


def count_batches(count: int, size: int) -> int:
    """Number of batches of :func:`split_batches`."""
    # Batch normalisation cannot train on one value per channel, so no batch of one is left over.
    return max(1, -(-(count - 1) // size)) if count else 0


def split_batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Batches of ``size`` indices; a last one that would hold a single index joins its neighbour.

    Args:
        order: indices, ``(N,)``.
        size: of a batch, 2 or more.
    """
    batches = count_batches(len(order), size)
    for number in range(batches):
        yield order[number * size : (number + 1) * size if number + 1 < batches else None]


def autocast(precision: str, device: str = "cpu") -> AbstractContextManager[Any]:
    """Context of one forward pass in ``bfloat16`` or ``float32``.

    Not of several: autocast caches the cast weights while it is active, so that later steps
    would still use the weights of the first.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)


def terminal_progress() -> Progress:
    """Progress bars on standard error; disabled if that is not a terminal."""
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """The same items, with a progress bar if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return items
    return rich_track(items, description, total=total, console=console)
