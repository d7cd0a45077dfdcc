"""A tiny InstructBLIP checkpoint in Hugging Face's layout, weights drawn from a seed."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS, PAPER_CATEGORIES
from counterveil.classifiers.architectures import import_torchvision

import_torchvision()

from transformers import (  # noqa: E402
    BlipImageProcessor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

SIDE = 32
QUERIES = 4
WIDE = {"vision": (2, 128), "qformer": (2, 128), "language": (2, 128), "spread": 0.1}
"""Wide enough for bitsandbytes to quantise to 4 bits."""


def words() -> list[str]:
    texts = ["Question : Answer Yes No yes no the image shows a red square . ,"]
    for key in PAPER_CATEGORIES:
        category = CATEGORIES[key]
        texts += [category.title, *(question.text for question in category.questions)]
    texts += [question.text for question in GENERIC_QUESTIONS]
    splitter = pre_tokenizers.Whitespace()
    found = {word for text in texts for word, _ in splitter.pre_tokenize_str(text)}
    return sorted(found | {word.lower() for word in found})


def _tokenizer(specials: list[str], *, lower: bool) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate([*specials, *words()])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=specials[1]))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if lower:
        inner.normalizer = normalizers.Lowercase()
    first, last = specials[2], specials[3]
    single = f"{first} $A {last}" if lower else f"{first} $A"
    inner.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(first, 2), (last, 3)]
    )
    roles = ("cls_token", "sep_token") if lower else ("bos_token", "eos_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=specials[0],
        unk_token=specials[1],
        **dict(zip(roles, specials[2:4], strict=True)),
    )


def save(
    folder: Path,
    *,
    seed: int = 0,
    side: int = SIDE,
    patch: int = 8,
    vision: tuple[int, int] = (2, 16),
    qformer: tuple[int, int] = (2, 16),
    language: tuple[int, int] = (2, 24),
    queries: int = QUERIES,
    spread: float = 0.3,
) -> Path:
    """Write model and processor; the sizes are layers and width, ``spread`` is of the weights."""
    torch.manual_seed(seed)
    text = _tokenizer(["<pad>", "<unk>", "<s>", "</s>"], lower=False)
    instruction = _tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], lower=True)
    processor = InstructBlipProcessor(
        BlipImageProcessor(size={"height": side, "width": side}),
        text,
        instruction,
        num_query_tokens=queries,
    )
    config = InstructBlipConfig(
        vision_config=InstructBlipVisionConfig(
            **_shape(vision), image_size=side, patch_size=patch
        ).to_dict(),
        qformer_config=InstructBlipQFormerConfig(
            **_shape(qformer), vocab_size=len(instruction), encoder_hidden_size=vision[1]
        ).to_dict(),
        text_config=LlamaConfig(
            **_shape(language), vocab_size=len(text), num_key_value_heads=max(2, language[1] // 64),
            bos_token_id=2, eos_token_id=3, pad_token_id=0,
        ).to_dict(),
        num_query_tokens=queries,
        image_token_index=text.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    model = InstructBlipForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or name == "query_tokens":
                parameter.normal_(0, spread)
    model.save_pretrained(folder, safe_serialization=True)
    processor.save_pretrained(folder)
    return folder


def _shape(size: tuple[int, int]) -> dict[str, int]:
    layers, width = size
    return {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "intermediate_size": 4 * width if width > 24 else {16: 24, 24: 32}[width],
        "num_attention_heads": max(2, width // 64),
    }


CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}Answer :"
)


def save_chat(folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny LLaVA with a chat template; returns the folder."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    torch.manual_seed(seed)
    text = _tokenizer(["<pad>", "<unk>", "<s>", "</s>"], lower=False)
    text.add_special_tokens({"additional_special_tokens": ["<image>"]})
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            image_size=SIDE, patch_size=8,
        ).to_dict(),
        text_config=LlamaConfig(
            vocab_size=len(text), hidden_size=24, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, bos_token_id=2, eos_token_id=3,
            pad_token_id=0,
        ).to_dict(),
        image_token_index=text.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder, safe_serialization=True)
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"height": SIDE, "width": SIDE}, do_center_crop=False),
        text,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=CHAT,
        num_additional_image_tokens=1,
    )
    processor.save_pretrained(folder)
    return folder
