"""Pretraining of a small reasoner's language model and Q-Former, before instruction tuning.

A stock InstructBLIP starts from pretrained parts. A small model from scratch needs the same start.
Its language model first answers questions from words for a scene's objects, at the positions
where the image tokens will be. Its Q-Former then learns by contrast: for each visible object, one
output must lie at the language model's embedding of the object's word, and no output may lie at
the embedding of an absent object.

References:
    Li et al., "BLIP-2", 2023, section 3.2; Bethany et al., AAAI 2024, section 3.1 (CIIT).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.images import load
from counterveil.lab.scenes import DISTRACTORS, OBJECT_KINDS, reference_answers
from counterveil.lab.training.loop import OneCycleAdamW, autocast, track
from counterveil.lab.training.reasoner.dataset import Example, pad_rows, question_answer_ids
from counterveil.lab.training.reasoner.small_model import object_word, object_words
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.instructblip import IGNORE_INDEX
from counterveil.types import Image, Mask

logger = logging.getLogger(__name__)

_REPORTS = 8  # progress lines of one pretraining
_MASK_RATE = 0.3  # share of the Q-Former's samples with veiled objects; those must not be named
_OBJECT_PATCH_SHARE = 0.2
"""Share of a patch that must belong to objects for the patch to count as one of them."""
_COLOUR_JITTER = 0.2  # largest relative change of a colour channel

Step = Callable[[float], tuple[Tensor, Tensor]]
"""Share of the training that is done, in ``[0, 1]``, to a loss and a bool tensor of hits."""


def _train(
    parameters: Sequence[nn.Parameter], step: Step, name: str, steps: int, learning_rate: float
) -> None:
    """Run ``steps`` steps of AdamW and log the share of hits now and then."""
    optimizer = OneCycleAdamW(
        parameters, learning_rate, total_steps=steps, warmup=0.1, clip=parameters
    )
    hits: list[Tensor] = []
    for number in track(range(1, steps + 1), name, steps):
        loss, correct = step(number / steps)
        optimizer.step(loss)
        hits.append(correct)
        if number % max(1, steps // _REPORTS) == 0:
            logger.info(
                f"{name} {number}/{steps}: accuracy {float(torch.cat(hits).float().mean()):.4f}"
            )
            hits.clear()


def pretrain_language_model(
    blip: ConditionalBlip,
    *,
    steps: int,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int,
    precision: str,
) -> None:
    """Train the language model alone, in place, on questions about random lists of objects.

    Logs the share of correct answer tokens.
    """
    model = blip.model.language_model.train()
    rng = np.random.default_rng([seed, 3])
    padding = int(blip.processor.tokenizer.pad_token_id)

    def step(_: float) -> tuple[Tensor, Tensor]:
        ids, labels = language_batch(blip, batch_size, rng)
        with autocast(precision):
            logits = model(input_ids=ids, attention_mask=(ids != padding).long()).logits
        target, predicted = labels[:, 1:].reshape(-1), logits[:, :-1].flatten(0, 1).float()
        loss = functional.cross_entropy(predicted, target, ignore_index=IGNORE_INDEX)
        return loss, (predicted.argmax(1) == target)[target != IGNORE_INDEX]

    _train(list(model.parameters()), step, "language model", steps, learning_rate)
    model.eval()


def language_batch(
    blip: ConditionalBlip, count: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Token ids and labels, each ``(count, n)``, of object words, question and answer."""
    rows = [_language_sample(blip, rng) for _ in range(count)]
    padding = int(blip.processor.tokenizer.pad_token_id)
    ids, labels = [row[0] for row in rows], [row[1] for row in rows]
    return pad_rows(ids, padding), pad_rows(labels, IGNORE_INDEX)


def _language_sample(
    blip: ConditionalBlip, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    kinds = [str(name) for name in rng.choice(list(OBJECT_KINDS), int(rng.integers(0, 5)))]
    clutter = [str(name) for name in rng.choice(DISTRACTORS, int(rng.integers(0, 5)))]
    bystanders = int(rng.choice([0, 0, 1, 2, 3]))
    known = reference_answers(kinds, bystanders, clutter)
    chosen = known[int(rng.integers(len(known)))]
    tokenizer, config = blip.processor.tokenizer, blip.model.config
    # In the order in which answers name objects; each at a random image token, the rest unused.
    kinds, clutter = (
        sorted(kinds, key=list(OBJECT_KINDS).index),
        sorted(clutter, key=DISTRACTORS.index),
    )
    words = [object_word(name) for name in [*kinds, *clutter, *["a person"] * bystanders]]
    image = np.full(config.num_query_tokens, config.image_token_index)
    positions = np.sort(rng.permutation(len(image))[: len(words)])
    image[positions] = tokenizer.convert_tokens_to_ids(words)
    question, answer = question_answer_ids(blip, chosen.question, chosen.answer)
    ids = [*map(int, image), *question, *answer]
    return ids, [*[IGNORE_INDEX] * (len(ids) - len(answer)), *answer]


class WordMatcher(nn.Module):
    """Logit of each word from the distance of the nearest Q-Former output to its embedding.

    Args:
        embeddings: frozen word embeddings of the language model, ``(words, width)``.
    """

    embeddings: Tensor

    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        self.register_buffer("embeddings", embeddings.detach().float())
        mean_square = float((self.embeddings**2).sum(dim=1).mean())
        self.scale = nn.Parameter(torch.tensor(8.0 / mean_square))
        self.shift = nn.Parameter(torch.tensor(4.0))

    def forward(self, outputs: Tensor) -> Tensor:
        """Logits ``(B, words)`` of Q-Former outputs ``(B, queries, width)``."""
        distances = torch.cdist(outputs.float(), self.embeddings[None]).square()
        logits: Tensor = self.shift - self.scale * distances.amin(dim=1)
        return logits


def pretrain_qformer(
    blip: ConditionalBlip,
    examples: Sequence[Example],
    *,
    steps: int,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    seed: int,
    precision: str,
) -> None:
    """Train the Q-Former, its queries and the projection on scenes, in place.

    Vision encoder and language model must be pretrained. Logs the share of images of which
    every object is found and none is invented.
    """
    model = blip.model
    word_ids = blip.processor.tokenizer.convert_tokens_to_ids(list(object_words()))
    matcher = WordMatcher(model.get_input_embeddings().weight[word_ids])
    parts = (model.qformer.train(), model.language_projection.train(), matcher)
    rng = np.random.default_rng([seed, 7])

    def step(done: float) -> tuple[Tensor, Tensor]:
        indices = rng.integers(0, len(examples), batch_size)
        samples = [_draw_sample(examples[int(i)], rng) for i in indices]
        target = torch.stack([sample.words for sample in samples])  # (B, words)
        with autocast(precision):
            outputs = _qformer_outputs(blip, samples, examples, _background_rate(done), rng)
        logits = matcher(outputs)
        loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        correct = ((logits > 0) == (target > 0))[:, : len(OBJECT_KINDS)].all(dim=1)
        return loss / batch_size, correct

    parameters = [model.query_tokens, *(p for part in parts for p in part.parameters())]
    _train(parameters, step, "Q-Former", steps, learning_rate)
    model.eval()


def _background_rate(done: float) -> float:
    """Share of the background patches that are attended to, beside those of objects.

    Among the patches of a whole image, those of an object are too few to learn from for a long
    time. Objects alone are learned at once; the background is then added linearly.
    """
    return min(max((done - 0.2) / 0.4, 0.0), 1.0)


@dataclass(frozen=True, eq=False)
class _QFormerSample:
    """An image ``(H, W, 3)``, its object mask ``(H, W)``, and targets ``(words,)``."""

    image: Image
    objects: Mask
    words: Tensor


def _draw_sample(example: Example, rng: np.random.Generator) -> _QFormerSample:
    image, truth = load(example.image)[0].pixels, example.truth
    jittered = np.clip(image * (1 + _COLOUR_JITTER * rng.uniform(-1, 1, 3)), 0, 255)
    jittered = jittered.astype(np.uint8)
    objects = example.object_mask(image.shape[:2])
    masked = example.draw_mask(rng) if rng.random() < _MASK_RATE else None
    if masked is not None:
        mask, truth = masked
        jittered[mask] = 0
        objects &= ~mask
    words = object_words()
    target = torch.zeros(len(words))
    for name in truth.objects:
        target[words.index(object_word(name))] = 1
    return _QFormerSample(jittered, objects, target)


def _qformer_outputs(
    blip: ConditionalBlip,
    samples: Sequence[_QFormerSample],
    examples: Sequence[Example],
    background_rate: float,
    rng: np.random.Generator,
) -> Tensor:
    """Projected Q-Former outputs ``(B, queries, width)`` under random questions.

    The words must be there whatever the question is, as one prompt serves all questions.
    """
    asked = [answer.question for answer in examples[0].truth.answers]
    questions = [asked[int(rng.integers(len(asked)))] for _ in samples]
    instruction = blip.processor.qformer_tokenizer(questions, padding=True, return_tensors="pt")
    with torch.no_grad():
        patches = blip.model.encode_image(blip.pixel_values([sample.image for sample in samples]))
    side = round((patches.shape[1] - 1) ** 0.5)
    objects = torch.stack([torch.from_numpy(sample.objects).float() for sample in samples])
    share = functional.adaptive_avg_pool2d(objects[:, None], side).flatten(1)  # (B, patches)
    is_object = share > _OBJECT_PATCH_SHARE
    background = torch.from_numpy(rng.random(is_object.shape) < background_rate)
    # The class token comes first and is always attended to.
    patch_mask = functional.pad((is_object | background).long(), (1, 0), value=1)
    ids, mask = instruction["input_ids"], instruction["attention_mask"]
    outputs: Tensor = blip.model.image_prompt(patches, ids, mask, patch_mask=patch_mask)
    return outputs
