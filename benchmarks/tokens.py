"""Tokens per second of a conditioned InstructBLIP, compared with stock `generate` and memory speed.

Run: python benchmarks/tokens.py --size 13b --device cuda [--tokens 64] [--rounds 5]
Weights are random, in bf16, and equal for both; only ours has a control code. At batch size one,
generation reads all weights of the language model for each token, so the memory bandwidth, measured
by copying, is a limit. `--size tiny` runs without a GPU. Prints a line of JSON per batch size;
`faster` is the stock time divided by ours, round by round.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from counterveil.reasoning.instructblip import ConditionalInstructBlip
from counterveil.reasoning.modules import ControlConfig
from counterveil.reasoning.options import vicuna_config
from measuring import device_name, machine, print_result, ratios, seconds, spread, time_alternately

from transformers import (  # isort: skip  (after torchvision, which instructblip imports)
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
)

WORDS = 16
"""Of the question."""


def configuration(size: str) -> InstructBlipConfig:
    """InstructBLIP with Vicuna 7b or 13b; ``tiny``: its layers, all of them few and narrow."""
    if size != "tiny":
        return vicuna_config(size)
    config = vicuna_config("7b")
    for part in (config.vision_config, config.qformer_config, config.text_config):
        part.hidden_size, part.intermediate_size = 128, 256
        part.num_hidden_layers, part.num_attention_heads = 2, 2
    config.qformer_config.encoder_hidden_size = 128
    config.text_config.num_key_value_heads, config.text_config.head_dim = 2, 64
    return config


def model_of(size: str, device: str) -> ConditionalInstructBlip:
    """Random weights, made where they stay; conditioned on three categories."""
    before = torch.get_default_dtype()
    torch.manual_seed(0)
    try:
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(device):
            model = ConditionalInstructBlip(configuration(size)).eval()
            words = [torch.arange(3 * n, 3 * n + 3) for n in range(1, 4)]
            model.add_control_prior(ControlConfig(("a", "b", "c"), 4), words)
    finally:
        torch.set_default_dtype(before)
    return model


def inputs_of(model: ConditionalInstructBlip, batch: int) -> dict[str, Tensor]:
    """Random pixels, and ids of a question."""
    config, device = model.config, model.query_tokens.device
    image = torch.full((batch, config.num_query_tokens), config.image_token_index)
    question = torch.arange(100, 100 + WORDS).expand(batch, -1)
    ids = torch.cat([image, question], dim=1).to(device)
    question = question.to(device)
    side = config.vision_config.image_size
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "qformer_input_ids": question,
        "qformer_attention_mask": torch.ones_like(question),
        "pixel_values": torch.rand(batch, 3, side, side, dtype=model.dtype, device=device),
    }


def bandwidth(device: str) -> float:
    """Bytes a second that a copy reads and writes; the best of ten."""
    size = 1 << 27 if device == "cpu" else 1 << 30
    block = torch.zeros(size, dtype=torch.uint8, device=device)
    other = torch.empty_like(block)
    times = [seconds(settled(lambda: other.copy_(block), device)) for _ in range(10)]
    return 2 * block.numel() / min(times)


def settled(call: Callable[[], object], device: str) -> Callable[[], None]:
    """A call that ends when the device is done."""

    def done() -> None:
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["7b", "13b", "tiny"], default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    options = parser.parse_args()
    model = model_of(options.size, options.device)
    read = sum(p.numel() * p.element_size() for p in model.language_model.parameters())
    table = model.get_input_embeddings().weight  # of which a token reads one row
    least = (read - table.numel() * table.element_size()) / bandwidth(options.device)
    for batch in options.batches:
        given = inputs_of(model, batch)
        guidance = torch.ones(batch, 3, device=options.device)
        fixed = {
            "do_sample": False,
            "min_new_tokens": options.tokens,
            "max_new_tokens": options.tokens,
        }

        def ours(given=given, guidance=guidance, fixed=fixed) -> Tensor:
            return model.generate_with_logits({**given, "guidance": guidance}, fixed).ids

        def stock(given=given, fixed=fixed) -> Tensor:
            with torch.inference_mode():
                return InstructBlipForConditionalGeneration.generate(model, **given, **fixed)

        calls = {"counterveil": ours, "stock": stock}
        calls = {name: settled(call, options.device) for name, call in calls.items()}
        for call in calls.values():
            call()
        times = time_alternately(calls, options.rounds)
        written = batch * options.tokens
        print_result(
            "tokens",
            setting=f"{options.size}, bf16, batch {batch}, {options.tokens} tokens",
            device=device_name(options.device),
            tokens_per_second={
                name: spread([written / t for t in values]) for name, values in times.items()
            },
            faster=ratios(times["stock"], times["counterveil"]),
            limit=batch / least,
            share_of_limit=spread([options.tokens * least / t for t in times["counterveil"]]),
            **machine("torch", "transformers"),
        )


if __name__ == "__main__":
    main()
