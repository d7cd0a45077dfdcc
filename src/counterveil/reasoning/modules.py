"""Modules added to InstructBLIP: the control prior p(z|c) and a convolutional patch embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterveil.categories import ControlCode
from counterveil.classifiers.architectures import import_torchvision
from counterveil.errors import UsageError

import_torchvision()  # before transformers, which imports it

from transformers import ResNetConfig, ResNetModel  # noqa: E402


@dataclass(frozen=True)
class ControlConfig:
    """Categories of the control code and calibration of P(yes); stored in the model's config.

    Attributes:
        categories: category keys, in the order of the embeddings.
        tokens: control tokens per category.
        scale: factor on the logit of P(yes).
        shift: offset added to the scaled logit.
    """

    categories: tuple[str, ...]
    tokens: int = 4
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))  # JSON holds a list
        if not self.categories or self.tokens < 1:
            raise UsageError(
                "a control code needs at least one category and at least one token per category"
            )

    def guidance(self, codes: Sequence[ControlCode]) -> Tensor:
        """Guidance ``(B, categories)`` in ``[0, 1]``; 0 for categories that a code lacks.

        Raises:
            UsageError: a code guides by a category that the model does not support.
        """
        for code in codes:
            unknown = [key for key in code.flagged if key not in self.categories]
            if unknown:
                raise UsageError(
                    f"the reasoner does not support category {unknown[0]!r}, only "
                    f"{', '.join(self.categories)}; train it with that category, or remove the "
                    "category from the control code"
                )
        rows = [[float(c.guidance.get(key, 0.0)) for key in self.categories] for c in codes]
        return torch.tensor(rows, dtype=torch.float32).reshape(len(codes), len(self.categories))


@dataclass(frozen=True, eq=False)
class ControlEmbedding:
    """Control code of a batch, embedded.

    Attributes:
        tokens: ``(B, K, width)``, Q-Former input placed before the instruction.
        attention_bias: ``(B, K)``, added to the attention logits of these tokens.
        prompt: ``(B, queries, text width)``, added to the projected Q-Former output.
    """

    tokens: Tensor
    attention_bias: Tensor
    prompt: Tensor


class ControlPrior(nn.Module):
    """The prior p(z|c): learned embeddings per category, weighted by guidance.

    Args:
        categories: number of categories.
        tokens: control tokens per category.
        width: hidden size of the Q-Former.
        queries: number of query tokens.
        text_width: hidden size of the language model.

    References:
        Bethany et al., AAAI 2024, section 3.1 (p(z|c)); Keskar et al., "CTRL", 2019.
    """

    def __init__(
        self, categories: int, tokens: int, *, width: int, queries: int, text_width: int
    ) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(categories, tokens, width))
        # Zero, like the second factor of LoRA: an untrained prior changes nothing.
        self.prompt = nn.Parameter(torch.zeros(categories, queries, text_width))

    def init_tokens(self, word_embeddings: Sequence[Tensor]) -> None:
        """Set each category's tokens to word embeddings ``(n, width)``, repeated as needed."""
        count = self.tokens.shape[1]
        with torch.no_grad():
            for row, embeddings in zip(self.tokens, word_embeddings, strict=True):
                order = torch.arange(count) % len(embeddings)
                row.copy_(embeddings[order.to(embeddings.device)])

    def forward(self, guidance: Tensor) -> ControlEmbedding:
        """Embed guidance ``(B, categories)``."""
        batch, (categories, tokens, width) = len(guidance), self.tokens.shape
        guidance = guidance.to(self.tokens.device, torch.float32)
        expanded = self.tokens.expand(batch, -1, -1, -1).reshape(batch, categories * tokens, width)
        # log(guidance) multiplies the softmax weight by guidance: 0 hides a token completely, and
        # the weight grows smoothly from there.
        bias = guidance.log().repeat_interleave(tokens, dim=1)
        prompt = torch.einsum("bc,cqw->bqw", guidance.to(self.prompt.dtype), self.prompt)
        return ControlEmbedding(expanded, bias, prompt)


@dataclass(frozen=True)
class PatchEmbeddingConfig:
    """Shape of :class:`ConvPatchEmbedding`.

    Attributes:
        hidden_sizes: channels of each ResNet stage.
        depths: basic blocks of each stage. The first stage works at a quarter of the image's
            resolution; each further stage halves it.
    """

    hidden_sizes: Sequence[int] = (32, 64, 128)
    depths: Sequence[int] = (2, 2, 2)

    @property
    def stride(self) -> int:
        """Distance of neighbouring patches in pixels."""
        return int(2 ** (len(self.depths) + 1))


class ConvPatchEmbedding(nn.Module):
    """ResNet stem: pixels ``(B, 3, h, w)`` to patches ``(B, width, h / stride, w / stride)``.

    Small vision transformers that are trained from scratch need it in place of a linear patch
    embedding.

    References:
        Xiao et al., "Early Convolutions Help Transformers See Better", 2021; He et al., "Deep
        Residual Learning for Image Recognition", 2016.
    """

    def __init__(self, config: PatchEmbeddingConfig, width: int) -> None:
        super().__init__()
        resnet = ResNetConfig(
            embedding_size=config.hidden_sizes[0],
            hidden_sizes=list(config.hidden_sizes),
            depths=list(config.depths),
            layer_type="basic",
        )
        self.network = ResNetModel(resnet)
        self.patches = nn.Conv2d(config.hidden_sizes[-1], width, 1)

    @property
    def weight(self) -> Tensor:
        """Read by transformers, which casts the pixels to its dtype."""
        return self.patches.weight

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pixels ``(B, 3, h, w)``."""
        features = self.network(pixels, return_dict=True).last_hidden_state
        patches: Tensor = self.patches(features)
        return patches

    def train(self, mode: bool = True) -> ConvPatchEmbedding:
        """Set the mode; frozen weights stay in evaluation mode.

        Batch norm would otherwise change its running statistics in a frozen encoder whenever a
        trainer puts the whole model into training mode.
        """
        return super().train(mode and self.weight.requires_grad)
