"""How much memory a reasoner's weights need, computed from its configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from counterveil.reasoning.ciit import ConditionalInstructBlip

from transformers import (  # isort: skip  (after torchvision, which ciit imports)
    InstructBlipConfig,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
)

BITS: Mapping[str, float] = {"bf16": 16.0, "8-bit": 8.0, "4-bit": 4.0}
"""Of each weight of a linear layer; bitsandbytes' scales come on top."""
_SCALE = {"bf16": 0.0, "8-bit": 0.0, "4-bit": 32 / 64}
"""Bits a weight for the scales: one float32 for 64 weights in 4-bit; a row's is nothing in 8."""
_GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Weights of a model.

    Attributes:
        parameters: how many.
        gib: of each precision, in GiB; activations and the cache of a generation come on top.
    """

    parameters: int
    gib: Mapping[str, float]


def vicuna(size: str) -> InstructBlipConfig:
    """InstructBLIP with Vicuna ``7b`` or ``13b``, as Salesforce released them."""
    shape: dict[str, Any] = {
        "7b": {
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
        },
        "13b": {
            "hidden_size": 5120,
            "intermediate_size": 13824,
            "num_hidden_layers": 40,
            "num_attention_heads": 40,
        },
    }[size]
    return InstructBlipConfig(
        vision_config=InstructBlipVisionConfig().to_dict(),
        qformer_config=InstructBlipQFormerConfig(vocab_size=30523).to_dict(),
        text_config=LlamaConfig(vocab_size=32001, **shape).to_dict(),
        num_query_tokens=32,
        image_token_index=32000,
    )


def memory(config: InstructBlipConfig) -> Memory:
    """The weights of a configuration, without making them.

    Linear layers are quantised, as bitsandbytes does it, but for the one that gives the logits;
    everything else stays in bf16.
    """
    with torch.device("meta"):
        model = ConditionalInstructBlip(config)
    head = model.language_model.get_output_embeddings()
    linear = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, nn.Linear) and module is not head
    )
    total = sum(parameter.numel() for parameter in model.parameters())
    bits = {
        name: linear * (BITS[name] + _SCALE[name]) + (total - linear) * BITS["bf16"]
        for name in BITS
    }
    return Memory(total, {name: value / 8 / _GIB for name, value in bits.items()})
