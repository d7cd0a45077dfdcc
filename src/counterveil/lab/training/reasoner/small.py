"""A small ConditionalBlip for the proxy scenes, with a vocabulary of their words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS, PAPER
from counterveil.classifiers.torch_classifier import InputSpec
from counterveil.lab.training.tower import initialise, start_stem
from counterveil.reasoning.conditional import ConditionalBlip, add_control_prior
from counterveil.reasoning.instructblip import ConditionalInstructBlip
from counterveil.reasoning.modules import ConvPatchEmbedding, PatchEmbeddingConfig
from counterveil.reasoning.options import GREEDY
from counterveil.reasoning.prompts import QUESTION_TEMPLATE
from counterveil.types import ModelInfo

from transformers import (  # isort: skip  (after torchvision, which instructblip imports)
    BlipImageProcessor,
    InstructBlipConfig,
    InstructBlipProcessor,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

SIDE, PATCH, QUERIES = 224, 16, 24


def names() -> tuple[str, ...]:
    """A word for each thing that can be seen, for the language model's first lessons."""
    return tuple(name_of(thing) for thing in (*OBJECT_KINDS, *DISTRACTORS, "a person"))


def name_of(thing: str) -> str:
    """The word for a kind, or for what a caption calls a piece of clutter."""
    return f"<{thing.split()[-1]}>"


def new(*, seed: int = 0) -> ConditionalBlip:
    """Weights drawn from a seed."""
    torch.manual_seed(seed)
    text = _tokenizer(("<pad>", "<unk>", "<s>", "</s>"), names(), lower=False)
    instruction = _tokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]"), (), lower=True)
    processor = InstructBlipProcessor(
        BlipImageProcessor(
            size={"height": SIDE, "width": SIDE},
            image_mean=list(InputSpec().mean),
            image_std=list(InputSpec().std),
        ),
        text,
        instruction,
        num_query_tokens=QUERIES,
    )
    config = InstructBlipConfig(
        vision_config=InstructBlipVisionConfig(
            hidden_size=192,
            intermediate_size=768,
            num_hidden_layers=2,
            num_attention_heads=3,
            image_size=SIDE,
            patch_size=PATCH,
        ).to_dict(),
        qformer_config=InstructBlipQFormerConfig(
            vocab_size=len(instruction),
            hidden_size=192,
            num_hidden_layers=4,
            num_attention_heads=3,
            intermediate_size=768,
            encoder_hidden_size=192,
            max_position_embeddings=64,
        ).to_dict(),
        text_config=LlamaConfig(
            vocab_size=len(text),
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=3,
            num_key_value_heads=3,
            max_position_embeddings=256,
            tie_word_embeddings=False,
            bos_token_id=text.bos_token_id,
            eos_token_id=text.eos_token_id,
            pad_token_id=text.pad_token_id,
        ).to_dict(),
        num_query_tokens=QUERIES,
        image_token_index=text.convert_tokens_to_ids("<image>"),
        patch_embedding=asdict(PatchEmbeddingConfig()),
    )
    model = ConditionalInstructBlip(config)
    initialise(model.vision_model, seed=seed)
    start_stem(model.vision_model.embeddings.patch_embedding, PAPER)
    with torch.no_grad():
        model.query_tokens.normal_(0, 0.5)
    add_control_prior(model, processor, [CATEGORIES[key] for key in PAPER], tokens=2)
    return ConditionalBlip(model, processor, info=ModelInfo("small"), generation=GREEDY)


def is_small(blip: ConditionalBlip) -> bool:
    """Whether it was made by :func:`new`, however often it was taught since."""
    return isinstance(blip.model.vision_model.embeddings.patch_embedding, ConvPatchEmbedding)


def _tokenizer(
    specials: tuple[str, str, str, str], added: Iterable[str], *, lower: bool
) -> PreTrainedTokenizerFast:
    pad, unknown, first, last = specials
    vocabulary = {word: i for i, word in enumerate([*specials, *_words(lower=lower)])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece(cleanup=True)  # joins by spaces, none before a full stop
    if lower:
        inner.normalizer = normalizers.Lowercase()
    single = f"{first} $A {last}" if lower else f"{first} $A"
    inner.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(first, 2), (last, 3)]
    )
    roles = ("cls_token", "sep_token") if lower else ("bos_token", "eos_token")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=pad,
        unk_token=unknown,
        **dict(zip(roles, (first, last), strict=True)),
    )
    tokenizer.add_tokens(list(added))
    return tokenizer


def _words(*, lower: bool) -> list[str]:
    """Every word that a question or an answer about a scene can hold."""
    texts = [QUESTION_TEMPLATE.format(question="")]
    texts += ["Yes, the image shows No. The image shows an empty"]
    texts += ["place. and Somebody is There are no people in the image. standing by a person"]
    texts += [f"{count} people" for count in range(10)]
    texts += [*DISTRACTORS, *(question.text for question in GENERIC_QUESTIONS)]
    for kind in OBJECT_KINDS.values():
        texts += [kind.caption, kind.activity]
    for key in PAPER:
        texts += [CATEGORIES[key].title, *(q.text for q in CATEGORIES[key].questions)]
    splitter = pre_tokenizers.Whitespace()
    found = {word for text in texts for word, _ in splitter.pre_tokenize_str(text)}
    return sorted({word.lower() for word in found} if lower else found)
