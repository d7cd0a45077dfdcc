"""Any Hugging Face image-text-to-text model as a reasoner: ``hf:REPO``.

``hf:Salesforce/instructblip-vicuna-13b`` is InstructBLIP without a code, as in the paper's Table 1,
with the paper's settings. ``hf:REPO?dtype=bfloat16&quantise=4&generation=greedy`` chooses others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from counterveil.categories import ControlCode
from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.errors import UsageError
from counterveil.reasoning.base import OPEN, Answered
from counterveil.reasoning.generation import Generation, preset
from counterveil.reasoning.options import split, typed
from counterveil.reasoning.precision import Precision, placed
from counterveil.reasoning.prompts import TEMPLATE, YES_NO, prior
from counterveil.reasoning.replies import described, refusal
from counterveil.reasoning.yesno import YesNo
from counterveil.types import Image


@dataclass(frozen=True)
class Options(Precision):
    """Of the spec.

    Attributes:
        generation: name of the settings in :data:`counterveil.reasoning.generation.PRESETS`;
            empty: ``greedy`` for a model that is chatted with, the paper's for others.
        batch: most questions in one forward.
    """

    generation: str = ""
    batch: int = 8


class HubReasoner:
    """Asks a model of the hub; the code reaches it in words, where it can be chatted with.

    Args:
        checkpoint: where its files are.
        device: where it runs.
        conditioned: tell it of the code; without, it is the unconditioned baseline.
        batch: most questions in one forward.
        generation: how text is generated; ``None``: ``greedy`` for a model that is chatted with,
            the paper's settings for others.
        options: for transformers' ``from_pretrained``: ``dtype``, ``device_map``, ...

    Raises:
        ModelError: it cannot be found or read, or cannot say yes or no.
    """

    knows = None

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "cpu",
        conditioned: bool = True,
        batch: int = 8,
        generation: Generation | None = None,
        **options: Any,
    ) -> None:
        import_torchvision()
        from transformers import AutoModelForImageTextToText, AutoProcessor

        options.setdefault("dtype", torch.float32)
        put = placed(options, device)
        model = checkpoint.load(AutoModelForImageTextToText, use_safetensors=True, **options)
        self.model = model.eval() if put else model.eval().to(device)
        self.processor = checkpoint.load(AutoProcessor)
        self.processor.tokenizer.padding_side = "left"  # the answers start in one column
        self.info = checkpoint.info()
        self._conditioned, self._batch = conditioned, batch
        self._chat = getattr(self.processor, "chat_template", None) is not None
        self.generation = generation or preset("greedy" if self._chat else "paper")
        self._yes_no = YesNo(self.processor.tokenizer, self.info.name)

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[Answered]]:
        """Answers to the questions of each image.

        Args:
            images: RGB ``(H, W, 3)`` uint8, of any sizes.
            questions: of each image.
            codes: of each image.
            text: write the answers out; without, one token is generated.
        """
        jobs = [
            (image, question, code)
            for image, asked, code in zip(images, questions, codes, strict=True)
            for question in asked
        ]
        answers: list[Answered] = []
        for start in range(0, len(jobs), self._batch):
            answers += self._ask(jobs[start : start + self._batch], text=text)
        flat = iter(answers)
        return [[next(flat) for _ in asked] for asked in questions]

    def _ask(self, jobs: Sequence[tuple[Image, str, ControlCode]], *, text: bool) -> list[Answered]:
        prompts = [self._prompt(question, code) for _, question, code in jobs]
        inputs = self.processor(
            images=[image for image, _, _ in jobs], text=prompts, padding=True, return_tensors="pt"
        ).to(self.model.device, self.model.dtype)
        settings = self.generation if text else replace(preset("greedy"), length=1)
        with torch.inference_mode():
            out = self.model.generate(
                **inputs,
                **settings.options(),
                output_logits=True,
                return_dict_in_generate=True,
            )
        odds = self._yes_no.log_odds(out.logits[0][:: settings.beams])  # beams start alike
        words = self._words(out, inputs["input_ids"]) if text else [""] * len(jobs)
        return [
            _answered(question, said, p)
            for (_, question, _), said, p in zip(
                jobs, words, torch.sigmoid(odds).tolist(), strict=True
            )
        ]

    def _prompt(self, question: str, code: ControlCode) -> str:
        if not self._chat:
            return TEMPLATE.format(question=question)
        asked = question if question in OPEN else f"{question}\n{YES_NO}"
        told = f"{prior(code)}\n\n{asked}" if self._conditioned else asked
        content = [{"type": "image"}, {"type": "text", "text": told}]
        prompt: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        return prompt

    def _words(self, out: Any, prompt: Tensor) -> list[str]:
        """What was generated; some models return the prompt before it."""
        new, count = out.sequences, prompt.shape[1]
        if torch.equal(new[:, :count], prompt):
            new = new[:, count:]
        texts = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in texts]


def _answered(question: str, said: str, p_yes: float) -> Answered:
    if question in OPEN:
        return described(question, said) if said else Answered(question, "", None)
    refused = refusal(said)
    return Answered(question, "", None, refused) if refused else Answered(question, said, p_yes)


def load(argument: str, *, device: str = "cpu") -> HubReasoner:
    """The reasoner of ``hf:REPO_OR_FOLDER[@REVISION]``, with options after a ``?``.

    Raises:
        UsageError: no repository is named, or an option is not one.
        ModelError: it cannot be found or read.
        MissingExtraError: quantising needs an extra that is not installed.
    """
    source, given = split(argument)
    if not source:
        raise UsageError("hf: must name a repository or a folder, as hf:REPO")
    chosen = typed(Options, given)
    return HubReasoner(
        Checkpoint.resolve("hf", source, spec=f"hf:{argument}"),
        device=device,
        batch=chosen.batch,
        generation=preset(chosen.generation) if chosen.generation else None,
        **chosen.options(),
    )
