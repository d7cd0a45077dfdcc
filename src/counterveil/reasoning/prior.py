"""The prior p(z|c): from a control code to what the Q-Former and the language model are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from counterveil.categories import ControlCode
from counterveil.errors import UsageError


@dataclass(frozen=True)
class ControlSpec:
    """What a model's control code can say; kept in its configuration.

    Attributes:
        categories: keys, in the order of the embeddings.
        tokens: control tokens a category.
        scale: and ``shift``: calibration of P(yes), on its logit.
        shift: see ``scale``.
    """

    categories: tuple[str, ...]
    tokens: int = 4
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not self.categories or self.tokens < 1:
            raise UsageError("a control code needs a category and a token each")

    def to_dict(self) -> dict[str, Any]:
        """Plain data that the constructor takes."""
        return {**vars(self), "categories": list(self.categories)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ControlSpec:
        """From a configuration's plain data."""
        return cls(**{**value, "categories": tuple(value["categories"])})

    def guidance(self, codes: Sequence[ControlCode]) -> Tensor:
        """``(B, categories)`` in ``[0, 1]``; 0 for what a code does not speak of.

        Raises:
            UsageError: a code guides by a category that the model does not know.
        """
        for code in codes:
            unknown = [key for key in code.flagged if key not in self.categories]
            if unknown:
                known = ", ".join(self.categories)
                raise UsageError(
                    f"the reasoner knows no category {unknown[0]!r}, only {known}; train it with "
                    "that category, or leave the category out of the code"
                )
        rows = [[float(c.guidance.get(key, 0.0)) for key in self.categories] for c in codes]
        return torch.tensor(rows, dtype=torch.float32).reshape(len(codes), len(self.categories))


@dataclass(frozen=True, eq=False)
class Control:
    """A batch of conditioned instruct prompts.

    Attributes:
        tokens: ``(B, K, width)``, shown to the Q-Former ahead of the instruction.
        bias: ``(B, K)``, added to the logits of attention to them: log guidance, so that 0 hides
            a token altogether and its weight grows smoothly with guidance.
        prompt: ``(B, queries, text width)``, added to what the language model sees of the image.
    """

    tokens: Tensor
    bias: Tensor
    prompt: Tensor


class ControlPrior(nn.Module):
    """Learned embeddings a category, scaled by guidance.

    Args:
        categories: how many.
        tokens: a category.
        width: of the Q-Former.
        queries: image tokens that the language model sees.
        text_width: of the language model.

    References:
        Bethany et al., AAAI 2024, section 3.1 (p(z|c)); Keskar et al., "CTRL", 2019.
    """

    def __init__(
        self, categories: int, tokens: int, *, width: int, queries: int, text_width: int
    ) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(categories, tokens, width))
        # Zero, as a low-rank adapter's second half: nothing changes before something is learnt.
        self.prompt = nn.Parameter(torch.zeros(categories, queries, text_width))

    def start(self, words: Sequence[Tensor]) -> None:
        """Start each category's tokens from embeddings ``(n, width)`` of its words, repeated."""
        count = self.tokens.shape[1]
        with torch.no_grad():
            for row, embeddings in zip(self.tokens, words, strict=True):
                order = torch.arange(count) % len(embeddings)
                row.copy_(embeddings[order.to(embeddings.device)])

    def forward(self, guidance: Tensor) -> Control:
        """The prompts of guidance ``(B, categories)``."""
        batch, (categories, tokens, width) = len(guidance), self.tokens.shape
        guidance = guidance.to(self.tokens.device, torch.float32)
        shown = self.tokens.expand(batch, -1, -1, -1).reshape(batch, categories * tokens, width)
        bias = guidance.log().repeat_interleave(tokens, dim=1)
        prompt = torch.einsum("bc,cqw->bqw", guidance.to(self.prompt.dtype), self.prompt)
        return Control(shown, bias, prompt)
