"""``ConditionalBlip``: descriptions and answers, conditioned on what the classifiers flagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterveil.categories import CATEGORIES, PAPER, Category, ControlCode
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.errors import ModelError, UsageError
from counterveil.reasoning.base import DESCRIBE, Answered
from counterveil.reasoning.ciit import ConditionalInstructBlip
from counterveil.reasoning.generation import PAPER_GENERATION, Generation, preset
from counterveil.reasoning.options import split, typed
from counterveil.reasoning.precision import Precision, placed
from counterveil.reasoning.prior import ControlSpec
from counterveil.reasoning.prompts import TEMPLATE
from counterveil.reasoning.yesno import YesNo
from counterveil.types import Image, ModelInfo


@dataclass(frozen=True)
class Options(Precision):
    """Of the spec ``blip:REPO_OR_FOLDER?dtype=bfloat16&quantise=4&generation=greedy``.

    Attributes:
        generation: name of the settings in :data:`counterveil.reasoning.generation.PRESETS`.
    """

    generation: str = "paper"


class ConditionalBlip:
    """A conditioned InstructBLIP with its processor.

    Args:
        model: the network.
        processor: an ``InstructBlipProcessor``.
        info: which model this is, for records.
        generation: how text is generated.

    Raises:
        ModelError: the model has no control code; see :meth:`from_pretrained`.
    """

    def __init__(
        self,
        model: ConditionalInstructBlip,
        processor: Any,
        *,
        info: ModelInfo,
        generation: Generation = PAPER_GENERATION,
    ) -> None:
        if model.spec is None:
            raise ModelError(f"{info.name}: no control code; load it with from_pretrained")
        self.model = model.eval()
        self.processor = processor
        self.info = info
        self.generation = generation
        self.spec: ControlSpec = model.spec
        self._yes_no = YesNo(processor.tokenizer, info.name)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        categories: Sequence[Category] | None = None,
        tokens: int = 4,
        device: str = "cpu",
        generation: Generation = PAPER_GENERATION,
        **options: Any,
    ) -> ConditionalBlip:
        """A stock InstructBLIP checkpoint, or one of ours.

        Args:
            source: folder or ``REPO[@REVISION]``.
            categories: that a stock checkpoint is to be conditioned on; the paper's where
                ``None``. One of ours has its own.
            tokens: control tokens a category, for a stock checkpoint.
            device: where it runs, unless ``options`` hold a ``device_map``.
            generation: how text is generated.
            options: as ``from_pretrained`` of transformers takes them: ``dtype``,
                ``device_map``, ``quantization_config``.

        Raises:
            ModelError: the checkpoint cannot be found or read.
        """
        checkpoint = Checkpoint.resolve("blip", str(source))
        from transformers import InstructBlipProcessor

        options.setdefault("dtype", torch.float32)
        put = placed(options, device)
        model = checkpoint.load(ConditionalInstructBlip, use_safetensors=True, **options)
        processor = checkpoint.load(InstructBlipProcessor)
        if processor.num_query_tokens is None:
            processor.num_query_tokens = model.config.num_query_tokens
        if model.spec is None:
            chosen = [CATEGORIES[key] for key in PAPER] if categories is None else categories
            condition(model, processor, chosen, tokens=tokens)
        if not put:
            model = model.to(device)
        return cls(model, processor, info=checkpoint.info(), generation=generation)

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Write model and processor; options are those of transformers, as ``max_shard_size``."""
        self.model.save_pretrained(folder, **options)
        self.processor.save_pretrained(folder)

    def push_to_hub(self, repository: str, **options: Any) -> None:
        """Upload model and processor to a repository on the hub.

        Args:
            repository: ``OWNER/NAME``; made where there is none.
            options: those of transformers: ``private``, ``token``, ``revision``,
                ``max_shard_size``, ...
        """
        self.model.push_to_hub(repository, **options)
        self.processor.push_to_hub(repository, **options)

    def calibrate(self, scale: float, shift: float) -> None:
        """Set the calibration of P(yes): ``sigmoid(scale * logit + shift)``; it is saved too."""
        self.spec = replace(self.spec, scale=scale, shift=shift)
        self.model.spec = self.spec

    def describe(
        self,
        images: Sequence[Image],
        codes: Sequence[ControlCode],
        *,
        instruction: str = DESCRIBE,
    ) -> list[str]:
        """A description of each image.

        Args:
            images: RGB ``(H, W, 3)`` uint8, of any sizes.
            codes: of each image.
            instruction: what is asked for.
        """
        asked = [[instruction]] * len(images)
        return [one[0].text for one in self.answer(images, asked, codes)]

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[Answered]]:
        """Answers to the questions of each image; each image passes the vision tower once.

        Args:
            images: RGB ``(H, W, 3)`` uint8, of any sizes; one given twice, to be asked about
                under another code, passes once, too.
            questions: of each image.
            codes: of each image.
            text: write the answers out; without, only P(yes) is computed.

        Raises:
            UsageError: not as many questions or codes as images.
        """
        if not len(images) == len(questions) == len(codes):
            raise UsageError(
                f"{len(images)} images, {len(questions)} lists of questions, {len(codes)} codes: "
                "give one of each for every image"
            )
        flat = [question for asked in questions for question in asked]
        if not flat:
            return [[] for _ in images]
        owners = torch.tensor([i for i, asked in enumerate(questions) for _ in asked])
        # The caller's references keep the images, and so their ids, while this runs.
        distinct = {id(image): image for image in images}
        place = {key: at for at, key in enumerate(distinct)}
        seen = torch.tensor([place[id(image)] for image in images])[owners]
        inputs = self.inputs(flat)
        with torch.inference_mode():
            patches = self.model.see(self.pixels([*distinct.values()]))[seen.to(self.device)]
            guidance = self.spec.guidance(codes)[owners].to(self.device)
            inputs = {**inputs, "patches": patches, "guidance": guidance}
            if text:
                texts, first = self._generate(inputs)
            else:
                texts, first = [""] * len(flat), self.model(**inputs)["logits"][:, -1]
            p_yes = self._p_yes(first)
        answers = iter(zip(flat, texts, p_yes, strict=True))
        return [[Answered(*next(answers)) for _ in asked] for asked in questions]

    @property
    def knows(self) -> tuple[str, ...]:
        """Keys of the categories that its codes can speak of."""
        return self.spec.categories

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        device: torch.device = self.model.query_tokens.device
        return device

    def inputs(self, questions: Sequence[str]) -> dict[str, Tensor]:
        """Token ids of questions, for the Q-Former and for the language model.

        Padding comes before the image's tokens, so that a question's answer does not depend on
        the questions beside it; the stock processor puts it between image and text.
        """
        tokenizer, queries = self.processor.tokenizer, self.model.config.num_query_tokens
        image = [self.model.config.image_token_index] * queries
        prompts = [image + tokenizer(TEMPLATE.format(question=q))["input_ids"] for q in questions]
        text = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
        instruction = self.processor.qformer_tokenizer(
            list(questions), padding=True, truncation=True, return_tensors="pt"
        )
        inputs = {
            "input_ids": text["input_ids"],
            "attention_mask": text["attention_mask"],
            "qformer_input_ids": instruction["input_ids"],
            "qformer_attention_mask": instruction["attention_mask"],
        }
        return {name: value.to(self.device) for name, value in inputs.items()}

    def pixels(self, images: Sequence[Image]) -> Tensor:
        """The vision tower's input ``(B, 3, h, w)``, on its device."""
        return self.prepare(images).to(self.device, self.model.dtype)

    def prepare(self, images: Sequence[Image]) -> Tensor:
        """The same as float32 in main memory, for a training that moves it itself."""
        pixels: Tensor = self.processor.image_processor(list(images), return_tensors="pt")[
            "pixel_values"
        ]
        return pixels.float()

    def _generate(self, inputs: Mapping[str, Tensor]) -> tuple[list[str], Tensor]:
        """Texts, and the logits of their first tokens ``(B, vocabulary)``."""
        written = self.model.write(**inputs, **self.generation.options())
        texts = self.processor.tokenizer.batch_decode(written.ids, skip_special_tokens=True)
        return [text.strip() for text in texts], written.first[:: self.generation.beams]

    def _p_yes(self, logits: Tensor) -> list[float]:
        """Of first tokens' logits ``(B, vocabulary)``, normalised over yes and no, calibrated."""
        odds = self._yes_no.log_odds(logits)
        p_yes: list[float] = torch.sigmoid(self.spec.scale * odds + self.spec.shift).tolist()
        return p_yes


def load(argument: str, *, device: str = "cpu") -> ConditionalBlip:
    """The reasoner of ``blip:REPO_OR_FOLDER`` or ``blip:REPO?dtype=bfloat16&quantise=4``.

    Raises:
        UsageError: an option is not one.
        ModelError: it cannot be found or read.
        MissingExtraError: quantising needs an extra that is not installed.
    """
    source, given = split(argument)
    chosen = typed(Options, given)
    blip = ConditionalBlip.from_pretrained(
        source, device=device, generation=preset(chosen.generation), **chosen.options()
    )
    blip.info = replace(blip.info, name=f"blip:{argument}")  # precision is part of what spoke
    return blip


def condition(
    model: ConditionalInstructBlip, processor: Any, categories: Sequence[Category], *, tokens: int
) -> None:
    """Give an InstructBLIP a control code, started from the words of the categories' titles."""
    spec = ControlSpec(tuple(category.key for category in categories), tokens)
    model.add_control(spec, _words(processor.qformer_tokenizer, model, categories))


def _words(
    tokenizer: Any, model: ConditionalInstructBlip, categories: Sequence[Category]
) -> list[Tensor]:
    """Ids of each category's title, in the Q-Former's vocabulary."""
    size = model.qformer.embeddings.word_embeddings.num_embeddings
    words = []
    for category in categories:
        text = np.asarray(tokenizer(category.title, add_special_tokens=False)["input_ids"])
        # The tokenizer may hold tokens, added later, that the Q-Former has no embedding of.
        known = text[text < size]
        words.append(torch.from_numpy(known if len(known) else np.zeros(1, int)))
    return words
