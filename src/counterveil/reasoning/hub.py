"""Any Hugging Face image-text-to-text model as a reasoner: ``hf:REPO``.

``hf:Salesforce/instructblip-vicuna-13b`` is InstructBLIP without a control code, with the paper's
settings: the baseline of Table 1. Options: ``hf:REPO?dtype=bfloat16&quantise=4``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from counterveil.categories import ControlCode
from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.errors import UsageError
from counterveil.reasoning.interfaces import OPEN_QUESTIONS, QuestionAnswer
from counterveil.reasoning.openai_requests import parse_text
from counterveil.reasoning.options import (
    GREEDY,
    GenerationSettings,
    ModelOptions,
    generation_preset,
    parse_options,
    set_device_map,
    split_options,
)
from counterveil.reasoning.prompts import (
    QUESTION_TEMPLATE,
    YES_NO_INSTRUCTION,
    YesNoTokens,
    system_prompt,
)
from counterveil.types import Image


@dataclass(frozen=True)
class HubOptions(ModelOptions):
    """Options of the spec ``hf:REPO?...``.

    Attributes:
        batch: maximum number of questions per forward pass.
    """

    batch: int = 8


class HubReasoner:
    """Vision-language model of the hub; a chat model receives the control code in its prompt.

    Args:
        checkpoint: the model's files.
        device: torch device.
        batch: maximum number of questions per forward pass.
        generation: settings of text generation; ``None`` for greedy search with a chat model and
            the paper's settings with others.
        options: for ``from_pretrained`` of transformers: ``dtype``, ``device_map``, ...

    Raises:
        ModelError: the model cannot be found or read, or its vocabulary lacks yes or no.
    """

    supported_categories = None

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "cpu",
        batch: int = 8,
        generation: GenerationSettings | None = None,
        **options: Any,
    ) -> None:
        import_torchvision()
        from transformers import AutoModelForImageTextToText, AutoProcessor

        options.setdefault("dtype", torch.float32)
        placed = set_device_map(options, device)
        model = checkpoint.load(AutoModelForImageTextToText, use_safetensors=True, **options)
        self.model = model.eval() if placed else model.eval().to(device)
        self.processor = checkpoint.load(AutoProcessor)
        # With left padding the answers of a batch start in the same column.
        self.processor.tokenizer.padding_side = "left"
        self.info = checkpoint.info()
        self._batch = batch
        self._chat = getattr(self.processor, "chat_template", None) is not None
        self.generation = generation or (GREEDY if self._chat else generation_preset("paper"))
        self._yes_no = YesNoTokens(self.processor.tokenizer, self.info.name)

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[QuestionAnswer]]:
        """Answer the questions of each image; without ``text``, generate one token for P(yes)."""
        requests = [
            (image, question, code)
            for image, row, code in zip(images, questions, codes, strict=True)
            for question in row
        ]
        answers: list[QuestionAnswer] = []
        for start in range(0, len(requests), self._batch):
            answers += self._answer_batch(requests[start : start + self._batch], text=text)
        flat = iter(answers)
        return [[next(flat) for _ in row] for row in questions]

    def _answer_batch(
        self, requests: Sequence[tuple[Image, str, ControlCode]], *, text: bool
    ) -> list[QuestionAnswer]:
        prompts = [self._prompt(question, code) for _, question, code in requests]
        # Not as arrays: the processor would take three or four rows of pixels for colour channels.
        images = [Pillow.fromarray(image) for image, _, _ in requests]
        inputs = self.processor(images=images, text=prompts, padding=True, return_tensors="pt").to(
            self.model.device, self.model.dtype
        )
        settings = self.generation if text else replace(GREEDY, max_new_tokens=1)
        with torch.inference_mode():
            out = self.model.generate(
                **inputs, **settings.to_kwargs(), output_logits=True, return_dict_in_generate=True
            )
        # All beams of a row have the same first logits.
        odds = self._yes_no.log_odds(out.logits[0][:: settings.num_beams])
        texts = self._decode(out.sequences, inputs["input_ids"]) if text else [""] * len(requests)
        rows = zip(requests, texts, torch.sigmoid(odds).tolist(), strict=True)
        return [parse_text(question, words, p_yes) for (_, question, _), words, p_yes in rows]

    def _prompt(self, question: str, code: ControlCode) -> str:
        if not self._chat:
            return QUESTION_TEMPLATE.format(question=question)
        if question not in OPEN_QUESTIONS:
            question = f"{question}\n{YES_NO_INSTRUCTION}"
        text = f"{system_prompt(code)}\n\n{question}"
        content = [{"type": "image"}, {"type": "text", "text": text}]
        prompt: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        return prompt

    def _decode(self, ids: Tensor, prompt: Tensor) -> list[str]:
        """Decode generated ids; some models return the prompt's ids before them."""
        length = prompt.shape[1]
        if torch.equal(ids[:, :length], prompt):
            ids = ids[:, length:]
        texts = self.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> HubReasoner:
    """Load ``hf:REPO_OR_FOLDER[@REVISION]?...``; options: :class:`HubOptions`."""
    source, given = split_options(argument)
    if not source:
        raise UsageError("hf: must name a repository or a folder, such as hf:REPO")
    options = parse_options(HubOptions, given)
    return HubReasoner(
        Checkpoint.resolve("hf", source, spec=f"hf:{argument}", folder=folder),
        device=device,
        batch=options.batch,
        generation=generation_preset(options.generation) if options.generation else None,
        **options.from_pretrained_kwargs(),
    )
