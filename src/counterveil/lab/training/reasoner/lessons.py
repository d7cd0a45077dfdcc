"""Images, questions, answers and codes -> what one step of training sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from counterveil.categories import ControlCode
from counterveil.images import load
from counterveil.lab.training.grounds import Grounds
from counterveil.lab.training.reasoner.examples import Example
from counterveil.lab.training.reasoner.language import answer_ids, pad
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.instructblip import IGNORE_INDEX
from counterveil.types import Image


@dataclass(frozen=True)
class Mix:
    """What is shown how often.

    Attributes:
        questions: asked of an image each time that it is seen.
        uncoded: share of the images without a code, so that guidance 0 stays good.
        wrong: share with a code that is not the image's, beside the truthful answers, so that
            the model looks at the image and does not parrot the classifier.
        veiled: share of the images of which something is veiled, where that is known.
        grounds: share of the scenes whose things are put on another ground.
        opening: share of the images whose first question is an open one, not of yes or no.
    """

    questions: int = 4
    uncoded: float = 0.25
    wrong: float = 0.25
    veiled: float = 0.3
    grounds: float = 0.0
    opening: float = 0.0


@dataclass(frozen=True, eq=False)
class Lesson:
    """One image with some of its questions, answers, and its control code."""

    image: Image
    pairs: tuple[tuple[str, str], ...]
    guidance: Tensor


class Lessons(Dataset):
    """Draws lessons; the same seed and epoch draw the same.

    Args:
        examples: images and truths.
        blip: whose categories the codes are about.
        mix: what is shown how often.
        seed: of what is drawn.
    """

    def __init__(
        self, examples: Sequence[Example], blip: ConditionalBlip, mix: Mix, *, seed: int
    ) -> None:
        self._examples, self._spec, self._mix, self._seed = examples, blip.control_config, mix, seed
        self._grounds: dict[tuple[int, int], Grounds] = {}
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Lesson:
        example, mix = self._examples[index], self._mix
        rng = np.random.default_rng([self._seed, self.epoch, index])
        image = load(example.image)[0].pixels
        if example.scene is not None and rng.random() < mix.grounds:
            image = self._ground(image.shape[:2])(image, example.things(image.shape[:2]), rng)
            example = example.alone()
        truth = example.truth
        veiled = example.veiled(rng) if rng.random() < mix.veiled else None
        if veiled is not None:
            veil, truth = veiled
            image = np.where(veil[..., None], np.uint8(0), image)
        code = code_of(truth.flagged, self._spec.categories, mix, rng)
        guidance = self._spec.guidance([code])[0]
        known = truth.answers
        order = [known[i] for i in rng.permutation(len(known))]
        if rng.random() < mix.opening:
            first = next((i for i, one in enumerate(order) if one.yes is None), 0)
            order.insert(0, order.pop(first))
        pairs = tuple((one.question, one.answer) for one in order[: mix.questions])
        return Lesson(image, pairs, guidance)

    def _ground(self, shape: tuple[int, int]) -> Grounds:
        if shape not in self._grounds:
            rng = np.random.default_rng([self._seed, *shape])
            self._grounds[shape] = Grounds(*shape, rng=rng)
        return self._grounds[shape]


def code_of(
    flagged: Sequence[str], keys: Sequence[str], mix: Mix, rng: np.random.Generator
) -> ControlCode:
    """The truth as a classifier would tell it, nothing, or something else.

    Args:
        flagged: categories that the image is unsafe in.
        keys: those that a code can speak of; all of ``flagged`` are among them.
        mix: how often which.
        rng: draws.
    """
    draw = rng.random()
    if draw < mix.uncoded:
        return ControlCode({})
    if draw < mix.uncoded + mix.wrong:
        flagged = [key for key in keys if rng.random() < 0.4]
    return ControlCode({key: float(rng.uniform(0.5, 1)) for key in flagged})


@dataclass(frozen=True)
class Collator:
    """Lessons -> a batch for ``ConditionalInstructBlip.forward``.

    Attributes:
        blip: whose tokenizers and image processor are used.
        gain: most by which a colour channel is made darker or brighter.
    """

    blip: ConditionalBlip
    gain: float = 0.0

    def __call__(self, lessons: Sequence[Lesson]) -> dict[str, Tensor]:
        """Questions and answers of all lessons, one row each."""
        rows = [(i, *pair) for i, one in enumerate(lessons) for pair in one.pairs]
        owners = torch.tensor([i for i, _, _ in rows])
        # Left where it is: Trainer pins it and moves it to the device of each process.
        pixels = self.blip.preprocess([self._lit(lesson.image) for lesson in lessons])
        guidance = torch.stack([lesson.guidance for lesson in lessons])[owners]
        return {
            **self._text([(question, answer) for _, question, answer in rows]),
            "pixel_values": pixels,
            "image_index": owners,
            "guidance": guidance,
        }

    def _text(self, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Tensor]:
        config, processor = self.blip.model.config, self.blip.processor
        image = [config.image_token_index] * config.num_query_tokens
        parts = [answer_ids(self.blip, *pair) for pair in pairs]
        ids = [[*image, *asked, *said] for asked, said in parts]
        labels = [[*[IGNORE_INDEX] * (len(image) + len(asked)), *said] for asked, said in parts]
        instruction = processor.qformer_tokenizer(
            [question for question, _ in pairs], padding=True, truncation=True, return_tensors="pt"
        )
        input_ids = pad(ids, processor.tokenizer.pad_token_id)
        lengths = torch.tensor([len(row) for row in ids])
        return {
            "input_ids": input_ids,
            "attention_mask": (torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
            "labels": pad(labels, IGNORE_INDEX),
            "qformer_input_ids": instruction["input_ids"],
            "qformer_attention_mask": instruction["attention_mask"],
        }

    def _lit(self, image: Image) -> Image:
        """Light and colour vary a little; veiled pixels stay as they are."""
        if not self.gain:
            return image
        gain = 1 + self.gain * (2 * torch.rand(3).numpy() - 1)
        lit: Image = np.clip(image * gain, 0, 255).astype(np.uint8)
        return lit
