"""Options of reasoners: generation, precision, devices, and the memory of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import torch
from torch import nn

from counterveil.categories import check_keys
from counterveil.errors import MissingExtraError, UsageError
from counterveil.reasoning.instructblip import ConditionalInstructBlip

from transformers import (  # isort: skip  (after torchvision, which instructblip imports)
    InstructBlipConfig,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
)


T = TypeVar("T")


@dataclass(frozen=True)
class GenerationSettings:
    """Arguments of transformers' ``generate``; the defaults are the paper's.

    The sampling settings count only if ``do_sample``; ``top_k`` 0 draws from all tokens.
    """

    num_beams: int = 5
    max_new_tokens: int = 512
    repetition_penalty: float = 1.5
    length_penalty: float = 1.0
    top_p: float = 0.9
    top_k: int = 0
    temperature: float = 1.0
    do_sample: bool = False
    no_repeat_ngram_size: int = 0

    def to_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for ``generate``."""
        kwargs = {"min_new_tokens": 1, **vars(self)}
        # transformers warns about sampling settings that it does not use.
        unused = () if self.do_sample else ("top_p", "top_k", "temperature")
        return {name: value for name, value in kwargs.items() if name not in unused}


PAPER_GENERATION = GenerationSettings()
GREEDY = GenerationSettings(num_beams=1, max_new_tokens=60, repetition_penalty=1.0)
"""For chat models, which end their answers themselves, and for the pictogram reasoner, whose
sentences must repeat words."""

GENERATION_PRESETS: Mapping[str, GenerationSettings] = MappingProxyType(
    {
        "paper": PAPER_GENERATION,
        "instructblip": PAPER_GENERATION,
        "mplug": GenerationSettings(1, repetition_penalty=1.0, top_p=1.0, top_k=5, do_sample=True),
        "ofa": GenerationSettings(repetition_penalty=1.0, no_repeat_ngram_size=3),
        "greedy": GREEDY,
    }
)
"""Settings by name: the paper's for ConditionalBLIP and its baselines (Table 1), and greedy."""


def generation_preset(name: str) -> GenerationSettings:
    """Look up a preset.

    Raises:
        UsageError: no preset has this name.
    """
    if name not in GENERATION_PRESETS:
        names = ", ".join(GENERATION_PRESETS)
        raise UsageError(f"unknown generation preset {name!r}; choose one of {names}")
    return GENERATION_PRESETS[name]


@dataclass(frozen=True)
class ModelOptions:
    """Options shared by ``blip:`` and ``hf:`` specs.

    Attributes:
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        quantise: bits of the linear layers, 8 or 4; 0 for no quantisation.
        device_map: as in transformers; ``auto`` spreads a model over all GPUs and main memory.
            Empty: the device passed to ``load``.
        generation: key of :data:`GENERATION_PRESETS`; empty for the scheme's default.
    """

    dtype: str = "float32"
    quantise: int = 0
    device_map: str = ""
    generation: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise UsageError(f"unknown dtype {self.dtype!r}; choose float32, bfloat16 or float16")
        if self.quantise not in (0, 4, 8):
            raise UsageError(f"quantise must be 8 or 4 bits, or 0 for none, got {self.quantise}")

    def from_pretrained_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for ``from_pretrained`` of transformers.

        Raises:
            MissingExtraError: the extra ``quantise`` is needed and not installed.
        """
        import torch

        dtype = getattr(torch, self.dtype)
        kwargs: dict[str, Any] = {"dtype": dtype}
        if self.device_map:
            _require("accelerate", "device_map")
            kwargs["device_map"] = self.device_map
        if self.quantise:
            _require("bitsandbytes", "quantise")
            from transformers import BitsAndBytesConfig

            kwargs["quantization_config"] = BitsAndBytesConfig(
                load_in_8bit=self.quantise == 8,
                load_in_4bit=self.quantise == 4,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=dtype,
            )
        return kwargs


def set_device_map(kwargs: dict[str, Any], device: str) -> bool:
    """Add a device map where one is needed; True if transformers places the model itself."""
    # A quantised model cannot be moved after loading.
    if kwargs.get("quantization_config") is not None:
        kwargs.setdefault("device_map", {"": device})
    return "device_map" in kwargs


def _require(package: str, option: str) -> None:
    if find_spec(package) is None:
        install = "pip install 'counterveil[quantise]'"
        raise MissingExtraError(f"option {option!r} needs {package}: {install}")


def split_options(argument: str) -> tuple[str, dict[str, str]]:
    """Split a spec's argument at its last ``?``; returns the head and the options.

    Raises:
        UsageError: the options do not read ``name=value&name=value``, or a name repeats.
    """
    head, mark, query = argument.rpartition("?")
    if not mark:
        return argument, {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise UsageError(f"options must read ?name=value&name=value, got {query!r}") from error
    if len(dict(pairs)) < len(pairs):
        raise UsageError(f"an option of a spec is given twice in {query!r}; give it once")
    return head, dict(pairs)


def parse_options(cls: type[T], options: Mapping[str, str]) -> T:
    """Build a dataclass of ints, floats and strings from a spec's options.

    Raises:
        UsageError: the class has no such field, or a value has the wrong type.
    """
    types: dict[str, Any] = {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]
    check_keys(options, list(types))
    return cls(**{name: _parse_value(name, types[name], text) for name, text in options.items()})


def _parse_value(name: str, type_name: str, text: str) -> int | float | str:
    try:
        return int(text) if type_name == "int" else float(text) if type_name == "float" else text
    except ValueError as error:
        number = "a whole number" if type_name == "int" else "a number"
        raise UsageError(f"option {name!r} must be {number}, got {text!r}") from error


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
