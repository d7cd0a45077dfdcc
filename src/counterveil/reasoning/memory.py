"""Memory of a reasoner's weights, computed from its configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from counterveil.reasoning.instructblip import ConditionalInstructBlip

from transformers import (  # isort: skip  (after torchvision, which instructblip imports)
    InstructBlipConfig,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
)

# Bits per weight of a linear layer as bitsandbytes stores it. 4-bit adds one float32 scale per 64
# weights; 8-bit adds one per row, which is negligible.
_LINEAR_BITS = {"bf16": 16.0, "8-bit": 8.0, "4-bit": 4.0 + 32 / 64}
_OTHER_BITS = 16.0


@dataclass(frozen=True)
class WeightMemory:
    """Size of a model's weights.

    Attributes:
        parameters: number of parameters.
        gib: GiB for each precision, without activations and the key-value cache.
    """

    parameters: int
    gib: Mapping[str, float]


def vicuna_config(size: str) -> InstructBlipConfig:
    """Configuration of InstructBLIP with Vicuna ``7b`` or ``13b``, as Salesforce released it."""
    hidden, intermediate, layers = {"7b": (4096, 11008, 32), "13b": (5120, 13824, 40)}[size]
    llama = LlamaConfig(
        vocab_size=32001,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=layers,  # as many as layers, in both sizes
    )
    return InstructBlipConfig(
        vision_config=InstructBlipVisionConfig().to_dict(),
        qformer_config=InstructBlipQFormerConfig(vocab_size=30523).to_dict(),
        text_config=llama.to_dict(),
        num_query_tokens=32,
        image_token_index=32000,
    )


def weight_memory(config: InstructBlipConfig) -> WeightMemory:
    """Compute the memory of the weights without allocating them."""
    with torch.device("meta"):
        model = ConditionalInstructBlip(config)
    # bitsandbytes quantises every linear layer but the output layer; the rest stays in bf16.
    head = model.language_model.get_output_embeddings()
    linear = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, nn.Linear) and module is not head
    )
    total = sum(parameter.numel() for parameter in model.parameters())
    gib = {
        name: (linear * bits + (total - linear) * _OTHER_BITS) / 8 / 2**30
        for name, bits in _LINEAR_BITS.items()
    }
    return WeightMemory(total, gib)
