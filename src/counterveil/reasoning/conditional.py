"""``ConditionalBlip``: descriptions and answers, conditioned on the flagged categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from counterveil.categories import CATEGORIES, PAPER_CATEGORIES, Category, ControlCode
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.errors import ModelError, UsageError
from counterveil.reasoning.instructblip import ConditionalInstructBlip
from counterveil.reasoning.interfaces import QuestionAnswer
from counterveil.reasoning.modules import ControlConfig
from counterveil.reasoning.options import (
    PAPER_GENERATION,
    GenerationSettings,
    ModelOptions,
    generation_preset,
    parse_options,
    set_device_map,
    split_options,
)
from counterveil.reasoning.prompts import QUESTION_TEMPLATE, YesNoTokens
from counterveil.types import Image, ModelInfo


class ConditionalBlip:
    """A :class:`ConditionalInstructBlip` with its processor.

    Args:
        model: the network.
        processor: an ``InstructBlipProcessor``.
        info: name, version and weights hash for records.
        generation: settings of text generation.

    Raises:
        ModelError: the model has no control prior; :meth:`from_pretrained` adds one.
    """

    def __init__(
        self,
        model: ConditionalInstructBlip,
        processor: Any,
        *,
        info: ModelInfo,
        generation: GenerationSettings = PAPER_GENERATION,
    ) -> None:
        if model.control_config is None:
            raise ModelError(f"{info.name}: no control prior; load it with from_pretrained")
        self.model = model.eval()
        self.processor = processor
        self.info = info
        self.generation = generation
        self.control_config: ControlConfig = model.control_config
        self._yes_no = YesNoTokens(processor.tokenizer, info.name)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        categories: Sequence[Category] | None = None,
        tokens: int = 4,
        device: str = "cpu",
        folder: Path | None = None,
        generation: GenerationSettings = PAPER_GENERATION,
        **options: Any,
    ) -> ConditionalBlip:
        """Load a stock InstructBLIP checkpoint or a conditioned one.

        Args:
            source: folder or ``REPO[@REVISION]``.
            categories: categories of the control prior added to a stock checkpoint; ``None`` for
                the paper's three.
            tokens: control tokens per category, for a stock checkpoint.
            folder: where a relative ``source`` starts; default: the current folder.
            device: torch device, unless ``options`` hold a ``device_map``.
            generation: settings of text generation.
            options: for ``from_pretrained`` of transformers: ``dtype``, ``device_map``,
                ``quantization_config``.

        Raises:
            ModelError: the checkpoint cannot be found or read.
        """
        checkpoint = Checkpoint.resolve("blip", str(source), folder=folder)
        from transformers import InstructBlipProcessor

        options.setdefault("dtype", torch.float32)
        placed = set_device_map(options, device)
        model = checkpoint.load(ConditionalInstructBlip, use_safetensors=True, **options)
        processor = checkpoint.load(InstructBlipProcessor)
        if processor.num_query_tokens is None:
            processor.num_query_tokens = model.config.num_query_tokens
        if model.control_config is None:
            chosen = (
                [CATEGORIES[key] for key in PAPER_CATEGORIES] if categories is None else categories
            )
            add_control_prior(model, processor, chosen, tokens=tokens)
        if not placed:
            model = model.to(device)
        return cls(model, processor, info=checkpoint.info(), generation=generation)

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Write model and processor; options as in transformers, such as ``max_shard_size``."""
        self.model.save_pretrained(folder, **options)
        self.processor.save_pretrained(folder)

    def push_to_hub(self, repository: str, **options: Any) -> None:
        """Upload to ``OWNER/NAME`` on the hub; options as in transformers, such as ``private``."""
        self.model.push_to_hub(repository, **options)
        self.processor.push_to_hub(repository, **options)

    def calibrate(self, scale: float, shift: float) -> None:
        """Set the saved calibration: P(yes) is ``sigmoid(scale * logit + shift)``."""
        self.control_config = replace(self.control_config, scale=scale, shift=shift)
        self.model.control_config = self.control_config

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[QuestionAnswer]]:
        """Answer the questions of each image; each image is encoded once.

        Raises:
            UsageError: the numbers of images, questions and codes differ.
        """
        if not len(images) == len(questions) == len(codes):
            counts = (
                f"{len(images)} images, {len(questions)} lists of questions, {len(codes)} codes"
            )
            raise UsageError(f"{counts}: give one of each for every image")
        flat = [question for row in questions for question in row]
        if not flat:
            return [[] for _ in images]
        row_of = torch.tensor([i for i, row in enumerate(questions) for _ in row])
        # An image given several times (under several codes) is encoded once. Ids are safe as
        # keys: the caller's references keep the images alive.
        distinct = {id(image): image for image in images}
        position = {key: i for i, key in enumerate(distinct)}
        image_of = torch.tensor([position[id(image)] for image in images])[row_of]
        inputs = self.tokenize(flat)
        with torch.inference_mode():
            pixels = self.pixel_values([*distinct.values()])
            patches = self.model.encode_image(pixels)[image_of.to(self.device)]
            guidance = self.control_config.guidance(codes)[row_of].to(self.device)
            inputs = {**inputs, "patches": patches, "guidance": guidance}
            if text:
                texts, first = self._generate(inputs)
            else:
                texts, first = [""] * len(flat), self.model(**inputs)["logits"][:, -1]
            p_yes = self._p_yes(first)
        answers = iter(zip(flat, texts, p_yes, strict=True))
        return [[QuestionAnswer(*next(answers)) for _ in row] for row in questions]

    @property
    def supported_categories(self) -> tuple[str, ...]:
        """Keys of the categories that control codes may contain."""
        return self.control_config.categories

    @property
    def device(self) -> torch.device:
        """Device of the model's inputs."""
        device: torch.device = self.model.query_tokens.device
        return device

    def tokenize(self, questions: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and attention masks of questions, for the Q-Former and the language model."""
        tokenizer, queries = self.processor.tokenizer, self.model.config.num_query_tokens
        image = [self.model.config.image_token_index] * queries
        prompts = [
            image + tokenizer(QUESTION_TEMPLATE.format(question=q))["input_ids"] for q in questions
        ]
        # The stock processor pads between image and text, so that an answer depends on the other
        # questions of the batch. Padding before the image tokens avoids this.
        text = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
        instruction = self.processor.qformer_tokenizer(
            list(questions), padding=True, truncation=True, return_tensors="pt"
        )
        return {
            "input_ids": text["input_ids"].to(self.device),
            "attention_mask": text["attention_mask"].to(self.device),
            "qformer_input_ids": instruction["input_ids"].to(self.device),
            "qformer_attention_mask": instruction["attention_mask"].to(self.device),
        }

    def pixel_values(self, images: Sequence[Image]) -> Tensor:
        """Preprocess images to ``(B, 3, h, w)`` in the model's dtype, on its device."""
        return self.preprocess(images).to(self.device, self.model.dtype)

    def preprocess(self, images: Sequence[Image]) -> Tensor:
        """Preprocess images to float32 ``(B, 3, h, w)`` on the CPU."""
        # Not as arrays: the processor would take three or four rows of pixels for colour channels.
        pictures = [Pillow.fromarray(image) for image in images]
        pixels: Tensor = self.processor.image_processor(pictures, return_tensors="pt")[
            "pixel_values"
        ]
        return pixels.float()

    def _generate(self, inputs: Mapping[str, Tensor]) -> tuple[list[str], Tensor]:
        """Texts, and the logits of their first tokens ``(B, vocabulary)``."""
        out = self.model.generate_with_logits(inputs, self.generation.to_kwargs())
        texts = self.processor.tokenizer.batch_decode(out.ids, skip_special_tokens=True)
        # All beams of a row have the same first logits.
        return [text.strip() for text in texts], out.first_logits[:: self.generation.num_beams]

    def _p_yes(self, logits: Tensor) -> list[float]:
        """Calibrated P(yes) from first-token logits ``(B, vocabulary)``."""
        scale, shift = self.control_config.scale, self.control_config.shift
        p_yes: list[float] = torch.sigmoid(scale * self._yes_no.log_odds(logits) + shift).tolist()
        return p_yes


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> ConditionalBlip:
    """Load ``blip:REPO_OR_FOLDER`` or ``blip:REPO?dtype=bfloat16``; options: ModelOptions."""
    source, given = split_options(argument)
    options = parse_options(ModelOptions, given)
    blip = ConditionalBlip.from_pretrained(
        source,
        device=device,
        folder=folder,
        generation=generation_preset(options.generation or "paper"),
        **options.from_pretrained_kwargs(),
    )
    # Precision changes the answers, so records name the options too.
    blip.info = replace(blip.info, name=f"blip:{argument}")
    return blip


def add_control_prior(
    model: ConditionalInstructBlip, processor: Any, categories: Sequence[Category], *, tokens: int
) -> None:
    """Add a control prior to an InstructBLIP, initialised from the categories' titles."""
    config = ControlConfig(tuple(category.key for category in categories), tokens)
    size = model.qformer.embeddings.word_embeddings.num_embeddings
    title_ids = []
    for category in categories:
        tokenized = processor.qformer_tokenizer(category.title, add_special_tokens=False)
        ids = np.asarray(tokenized["input_ids"])
        # The tokenizer may hold tokens, added later, for which the Q-Former has no embedding.
        known = ids[ids < size]
        title_ids.append(torch.from_numpy(known if len(known) else np.zeros(1, int)))
    model.add_control_prior(config, title_ids)
