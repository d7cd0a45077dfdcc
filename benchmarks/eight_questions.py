"""Eight questions about one image in one call, compared with eight independent stock calls.

Run: python benchmarks/eight_questions.py --out out/bench/eight_questions.json
Both have the same weights, settings and image; the answers must be identical. Ours is
`ConditionalBlip.answer`: the vision encoder runs once, the questions are one batch, and P(yes) is
computed. The baseline calls `InstructBlipForConditionalGeneration.generate` eight times, without
P(yes). Weights are random. The vision encoder has the real number of patches, 257, and is by far
the largest part of this model: on a CPU, the language model needs eight times the arithmetic for
eight questions, while on a GPU, where 7 G parameters are bound by memory bandwidth, a batch costs
about as much as one question. So the vision encoder stands for all that the questions share.
`tower` is its share of a stock call; the rest is mostly the steps of generation. Goal: at most 1/4.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from counterveil.categories import CATEGORIES, PAPER_CATEGORIES, ControlCode
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.options import GenerationSettings

QUESTIONS = [q.text for key in PAPER_CATEGORIES for q in CATEGORIES[key].questions][:8]
GOAL = 0.25


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12, help="of the vision tower")
    parser.add_argument("--width", type=int, default=512, help="of the vision tower")
    parser.add_argument("--side", type=int, default=224, help="of its input, pixels")
    parser.add_argument("--tokens", type=int, default=8, help="most new tokens of an answer")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    generation = GenerationSettings(num_beams=options.beams, max_new_tokens=options.tokens)
    figures = measure(
        layers=options.layers,
        width=options.width,
        side=options.side,
        generation=generation,
        runs=options.runs,
    )
    text = json.dumps(figures, indent=1)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", "utf-8")


def measure(
    *, layers: int, width: int, side: int, generation: GenerationSettings, runs: int
) -> dict[str, Any]:
    """Both sides by turns, after one of each that does not count."""
    from tests.reasoning import tiny

    with TemporaryDirectory() as folder:
        tiny.save(
            Path(folder),
            side=side,
            patch=14,
            vision=(layers, width),
            qformer=(2, 128),
            language=(2, 128),
            queries=32,
            spread=0.05,
        )
        blip = ConditionalBlip.from_pretrained(folder, generation=generation)
        theirs = tiny.InstructBlipForConditionalGeneration.from_pretrained(folder).eval()
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    sides: dict[str, Callable[[], list[str]]] = {
        "ours": lambda: together(blip, image),
        "stock": lambda: one_by_one(theirs, blip, image),
    }
    said = {name: call() for name, call in sides.items()}
    pixels = blip.pixel_values([image])
    sides["tower"] = lambda: [str(blip.model.encode_image(pixels).shape)]  # once, as ours
    took: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, call in sides.items():
            started = time.perf_counter()
            with torch.inference_mode():
                call()
            took[name].append(time.perf_counter() - started)
    ratios = np.divide(took["ours"], took["stock"])
    towers = len(QUESTIONS) * np.divide(took["tower"], took["stock"])
    low, high = np.percentile(ratios, [25, 75])
    return {
        "identical": said["ours"] == said["stock"],
        "ratio": round(float(np.median(ratios)), 4),
        "quartiles": [round(float(low), 4), round(float(high), 4)],
        "goal": GOAL,
        "seconds": {name: round(float(np.median(some)), 4) for name, some in took.items()},
        "tower": round(float(np.median(towers)), 3),
        "runs": runs,
        "settings": generation.to_kwargs(),
        "parameters": {
            name: sum(p.numel() for p in getattr(blip.model, name).parameters())
            for name in ("vision_model", "qformer", "language_model")
        },
        "threads": torch.get_num_threads(),
    }


def together(blip: ConditionalBlip, image: np.ndarray) -> list[str]:
    """Our side."""
    answers = blip.answer([image], [QUESTIONS], [ControlCode({})])[0]
    return [answered.text for answered in answers]


def one_by_one(model: Any, blip: ConditionalBlip, image: np.ndarray) -> list[str]:
    """Stock generation, one call a question; the processor is the same."""
    said = []
    for question in QUESTIONS:
        inputs = blip.tokenize([question])
        ids = model.generate(
            **inputs, pixel_values=blip.pixel_values([image]), **blip.generation.to_kwargs()
        )
        new = ids[:, inputs["input_ids"].shape[1] :]
        said += blip.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
    return [text.strip() for text in said]


if __name__ == "__main__":
    main()
