"""Training data of the reasoner: images with ground truth, sampled and collated for each step."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from torch import Tensor
from torch.utils.data import Dataset

from counterveil.categories import ControlCode
from counterveil.errors import ImageError
from counterveil.images import load
from counterveil.lab.scenes import OBJECT_KINDS, ReferenceAnswer, coco, reference_answers
from counterveil.lab.training.augmentation import BackgroundAugmentation
from counterveil.lab.training.dataset import Annotation, annotation_mask
from counterveil.lab.training.loop import track
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.instructblip import IGNORE_INDEX
from counterveil.reasoning.prompts import QUESTION_TEMPLATE
from counterveil.types import Image, Mask

logger = logging.getLogger(__name__)

_MAX_DILATION = 6  # most pixels by which a mask is wider than the objects it veils
_KIND_NAMES = dict(enumerate(OBJECT_KINDS, 1))


@dataclass(frozen=True)
class GroundTruth:
    """What is true of an image."""

    answers: tuple[ReferenceAnswer, ...]  # one for each question
    flagged: tuple[str, ...]  # keys of the categories in which the image is unsafe
    objects: tuple[str, ...] = ()  # names of the visible objects, if the image is a scene


@dataclass(frozen=True, eq=False)
class Example:
    """One image with its ground truth."""

    image: Path  # path
    split: str  # train, validation or test
    truth: GroundTruth  # of the unveiled image
    # annotations, if the image is a scene; only scenes can be veiled
    scene: coco.SceneFile | None = None

    def draw_mask(self, rng: np.random.Generator) -> tuple[Mask, GroundTruth] | None:
        """A random mask over some objects, and the ground truth of the veiled image.

        Returns ``None`` if no object is annotated or none was drawn.
        """
        if self.scene is None or not self.scene.annotations:
            return None
        objects = self.scene.annotations
        unsafe = np.array([bool(each["unsafe"]) for each in objects])
        # Released images veil everything unsafe, so most training masks do the same.
        hidden = unsafe if unsafe.any() and rng.random() < 0.7 else rng.random(len(objects)) < 0.6
        if not hidden.any():
            return None
        masks = [annotation_mask(each) for each, h in zip(objects, hidden, strict=True) if h]
        mask = np.logical_or.reduce(masks)
        pixels = int(rng.integers(0, _MAX_DILATION + 1))
        mask = binary_dilation(mask, iterations=pixels) if pixels else mask
        others = [each for each, h in zip(objects, hidden, strict=True) if not h]
        visible = [each for each in others if _is_visible(each, mask)]
        return mask, scene_ground_truth(self.scene, visible)

    def without_background(self) -> Example:
        """The same objects without bystanders and clutter, as after background augmentation."""
        assert self.scene is not None
        scene = replace(self.scene, bystanders=0, distractors=())
        return replace(self, truth=scene_ground_truth(scene, scene.annotations), scene=scene)

    def object_mask(self, shape: tuple[int, int]) -> Mask:
        """Pixels of all annotated objects, ``(H, W)`` bool; all ``False`` if not annotated."""
        mask = np.zeros(shape, bool)
        for each in self.scene.annotations if self.scene else ():
            mask |= annotation_mask(each)
        return mask


def scene_examples(folder: Path) -> tuple[Example, ...]:
    """The scenes of a folder with their ground truth."""
    return tuple(
        Example(scene.image, scene.split, scene_ground_truth(scene, scene.annotations), scene)
        for scene in coco.load(folder)
    )


def readable_examples(examples: Sequence[Example]) -> list[Example]:
    """Examples with a readable image; the others are logged, before training starts."""
    readable = []
    for example in track(examples, "reading", len(examples)):
        try:
            load(example.image)
        except ImageError as error:
            logger.warning(f"left out {example.image}: {error}")
        else:
            readable.append(example)
    return readable


def scene_ground_truth(scene: coco.SceneFile, annotations: Sequence[Annotation]) -> GroundTruth:
    """Ground truth of a scene in which only the given annotated objects are visible."""
    names = [_KIND_NAMES[each["category_id"]] for each in annotations]
    flagged = {OBJECT_KINDS[name].category for name in names if OBJECT_KINDS[name].unsafe}
    return GroundTruth(
        reference_answers(names, scene.bystanders, scene.distractors),
        tuple(key for key in scene.labels if key in flagged),
        (*names, *scene.distractors, *["a person"] * scene.bystanders),
    )


def _is_visible(annotation: Annotation, mask: Mask) -> bool:
    """Whether a mask leaves more than half of an object visible."""
    pixels = annotation_mask(annotation)
    return bool((pixels & ~mask).sum() > 0.5 * pixels.sum())


@dataclass(frozen=True)
class SamplingConfig:
    """How training samples are drawn from the examples; rates are in ``[0, 1]``."""

    questions_per_image: int = 4  # questions asked each time an image is used
    # share of the samples without control code, for use without guidance
    no_code_rate: float = 0.25
    # share with a random control code but true answers, so that the model looks at the image and
    # does not repeat the classifier
    wrong_code_rate: float = 0.25
    mask_rate: float = 0.3  # share of the scenes with veiled objects
    background_augmentation: float = 0.0  # share of the scenes with a replaced background
    # share of the samples that start with an open question (not yes/no)
    open_question_rate: float = 0.0


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """One image, pairs of question and answer, and guidance ``(categories,)``."""

    image: Image
    pairs: tuple[tuple[str, str], ...]
    guidance: Tensor


class ReasonerDataset(Dataset):
    """Draws training samples; the same seed and epoch draw the same samples."""

    def __init__(
        self,
        examples: Sequence[Example],
        blip: ConditionalBlip,
        sampling: SamplingConfig,
        *,
        seed: int,
    ) -> None:
        self._examples, self._spec = examples, blip.control_config
        self._sampling, self._seed = sampling, seed
        self._backgrounds: dict[tuple[int, int], BackgroundAugmentation] = {}
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> TrainingSample:
        example, sampling = self._examples[index], self._sampling
        rng = np.random.default_rng([self._seed, self.epoch, index])
        image = load(example.image)[0].pixels
        shape = image.shape[:2]
        if example.scene is not None and rng.random() < sampling.background_augmentation:
            image = self._background_augmentation(shape)(image, example.object_mask(shape), rng)
            example = example.without_background()
        truth = example.truth
        masked = example.draw_mask(rng) if rng.random() < sampling.mask_rate else None
        if masked is not None:
            mask, truth = masked
            image = np.where(mask[..., None], np.uint8(0), image)
        code = draw_control_code(truth.flagged, self._spec.categories, sampling, rng)
        guidance = self._spec.guidance([code])[0]
        order = [truth.answers[i] for i in rng.permutation(len(truth.answers))]
        if rng.random() < sampling.open_question_rate:
            first = next((i for i, answer in enumerate(order) if answer.yes is None), 0)
            order.insert(0, order.pop(first))
        pairs = tuple((a.question, a.answer) for a in order[: sampling.questions_per_image])
        return TrainingSample(image, pairs, guidance)

    def _background_augmentation(self, shape: tuple[int, int]) -> BackgroundAugmentation:
        if shape not in self._backgrounds:
            rng = np.random.default_rng([self._seed, *shape])
            self._backgrounds[shape] = BackgroundAugmentation(*shape, rng=rng)
        return self._backgrounds[shape]


def draw_control_code(
    flagged: Sequence[str],
    categories: Sequence[str],
    sampling: SamplingConfig,
    rng: np.random.Generator,
) -> ControlCode:
    """A control code over ``categories``: correct, empty or random, at the rates of ``sampling``.

    ``flagged`` holds the categories in which the image is unsafe.
    """
    draw = rng.random()
    if draw < sampling.no_code_rate:
        return ControlCode({})
    if draw < sampling.no_code_rate + sampling.wrong_code_rate:
        flagged = [key for key in categories if rng.random() < 0.4]
    # Scores of a classifier that flags: from its threshold to 1.
    return ControlCode({key: float(rng.uniform(0.5, 1)) for key in flagged})


def question_answer_ids(
    blip: ConditionalBlip, question: str, answer: str
) -> tuple[list[int], list[int]]:
    """Token ids of the question in its template, and of the answer with end-of-text token."""
    tokenizer = blip.processor.tokenizer
    question_ids = tokenizer(QUESTION_TEMPLATE.format(question=question))["input_ids"]
    answer_ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return question_ids, [*answer_ids, tokenizer.eos_token_id]


def pad_rows(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of different lengths, padded at the end to ``(N, longest)`` int64."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


@dataclass(frozen=True)
class Collator:
    """Training samples to a batch for ``ConditionalInstructBlip.forward``."""

    blip: ConditionalBlip  # provides tokenizers and image processor
    colour_jitter: float = 0.0  # largest relative change of a colour channel

    def __call__(self, samples: Sequence[TrainingSample]) -> dict[str, Tensor]:
        """One row for each question of all samples."""
        rows = [(i, *pair) for i, sample in enumerate(samples) for pair in sample.pairs]
        image_index = torch.tensor([i for i, _, _ in rows])
        # On the CPU: Trainer pins the batch and moves it to the device of each process.
        pixels = self.blip.preprocess([self._jittered(sample.image) for sample in samples])
        guidance = torch.stack([sample.guidance for sample in samples])[image_index]
        return {
            **self._tokenized([(question, answer) for _, question, answer in rows]),
            "pixel_values": pixels,
            "image_index": image_index,
            "guidance": guidance,
        }

    def _tokenized(self, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Tensor]:
        config, processor = self.blip.model.config, self.blip.processor
        image = [config.image_token_index] * config.num_query_tokens
        parts = [question_answer_ids(self.blip, *pair) for pair in pairs]
        ids = [[*image, *question, *answer] for question, answer in parts]
        # Only the tokens of the answer enter the loss.
        labels = [[*[IGNORE_INDEX] * (len(image) + len(q)), *answer] for q, answer in parts]
        instruction = processor.qformer_tokenizer(
            [question for question, _ in pairs], padding=True, truncation=True, return_tensors="pt"
        )
        input_ids = pad_rows(ids, processor.tokenizer.pad_token_id)
        lengths = torch.tensor([len(row) for row in ids])
        return {
            "input_ids": input_ids,
            "attention_mask": (torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
            "labels": pad_rows(labels, IGNORE_INDEX),
            "qformer_input_ids": instruction["input_ids"],
            "qformer_attention_mask": instruction["attention_mask"],
        }

    def _jittered(self, image: Image) -> Image:
        """Colour jitter by a gain for each channel; veiled (black) pixels stay black."""
        if not self.colour_jitter:
            return image
        # torch's generator, whose state a checkpoint of Trainer restores.
        gain = 1 + self.colour_jitter * (2 * torch.rand(3).numpy() - 1)
        jittered: Image = np.clip(image * gain, 0, 255).astype(np.uint8)
        return jittered
