"""A small InstructBLIP for the drawn scenes, from scratch, with a vocabulary of their words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn

from counterveil.categories import CATEGORIES, GENERIC_QUESTIONS, PAPER_CATEGORIES
from counterveil.classifiers import pictograms
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.lab.scenes import DISTRACTORS, OBJECT_KINDS
from counterveil.lab.training.object_pretraining import AuxiliaryHead
from counterveil.reasoning.conditional import ConditionalBlip, add_control_prior
from counterveil.reasoning.instructblip import ConditionalInstructBlip
from counterveil.reasoning.modules import ConvPatchEmbedding, PatchEmbeddingConfig
from counterveil.reasoning.options import GREEDY
from counterveil.reasoning.prompts import QUESTION_TEMPLATE
from counterveil.types import ModelInfo

from transformers import (  # isort: skip  (after torchvision, which ciit imports)
    BlipImageProcessor,
    InstructBlipConfig,
    InstructBlipProcessor,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

INPUT_SIZE, PATCH_SIZE, QUERIES = 224, 16, 24
_WIDTH = {"hidden_size": 192, "num_attention_heads": 3}
_CLASSIFIER_PREFIX = "network.resnet."
"""Prefix of the weights in a shipped classifier that a stem has, too."""


def object_words() -> tuple[str, ...]:
    """One word of the language model for each object that a scene can show."""
    return tuple(object_word(name) for name in (*OBJECT_KINDS, *DISTRACTORS, "a person"))


def object_word(name: str) -> str:
    """The word for the name of an object or for the caption of a piece of clutter."""
    return f"<{name.split()[-1]}>"


def build_small_model(*, seed: int = 0) -> ConditionalBlip:
    """The small model with random weights; its stem starts from the shipped classifiers."""
    torch.manual_seed(seed)
    text = _tokenizer(("<pad>", "<unk>", "<s>", "</s>"), object_words(), lower=False)
    instruction = _tokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]"), (), lower=True)
    # Before the configuration: the processor adds the image token to the vocabulary.
    processor = InstructBlipProcessor(
        BlipImageProcessor(
            size={"height": INPUT_SIZE, "width": INPUT_SIZE},
            image_mean=list(InputSpec().mean),
            image_std=list(InputSpec().std),
        ),
        text,
        instruction,
        num_query_tokens=QUERIES,
    )
    model = ConditionalInstructBlip(_model_config(text, instruction))
    initialize_vision_encoder(model.vision_model, seed=seed)
    initialize_stem(model.vision_model.embeddings.patch_embedding, PAPER_CATEGORIES)
    with torch.no_grad():
        model.query_tokens.normal_(0, 0.5)
    add_control_prior(model, processor, [CATEGORIES[key] for key in PAPER_CATEGORIES], tokens=2)
    return ConditionalBlip(model, processor, info=ModelInfo("small"), generation=GREEDY)


def is_small_model(blip: ConditionalBlip) -> bool:
    """Whether a model was built by :func:`build_small_model` (and perhaps trained since)."""
    return isinstance(blip.model.vision_model.embeddings.patch_embedding, ConvPatchEmbedding)


def _model_config(
    text: PreTrainedTokenizerFast, instruction: PreTrainedTokenizerFast
) -> InstructBlipConfig:
    """Configuration for tokenizers that have the image token already."""
    return InstructBlipConfig(
        vision_config=InstructBlipVisionConfig(
            **_WIDTH,
            intermediate_size=768,
            num_hidden_layers=2,
            image_size=INPUT_SIZE,
            patch_size=PATCH_SIZE,
        ).to_dict(),
        qformer_config=InstructBlipQFormerConfig(
            vocab_size=len(instruction),
            **_WIDTH,
            num_hidden_layers=4,
            intermediate_size=768,
            encoder_hidden_size=192,
            max_position_embeddings=64,
        ).to_dict(),
        text_config=LlamaConfig(
            vocab_size=len(text),
            **_WIDTH,
            intermediate_size=512,
            num_hidden_layers=4,
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


def initialize_vision_encoder(encoder: nn.Module, *, seed: int) -> None:
    """Initialise a vision transformer for training from scratch, in place.

    The initialisation of the class expects that a checkpoint replaces it: its position embeddings
    have unit variance and would dominate the patches.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "position" in name or "class_embedding" in name:
                parameter.normal_(0, 0.02, generator=generator)
            elif parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0, fan_in**-0.5, generator=generator)


def initialize_stem(stem: ConvPatchEmbedding, categories: Sequence[str]) -> None:
    """Initialise a stem with the mean weights of shipped classifiers, in place.

    The classifiers were fine-tuned from one network, so their mean is a working network, too.

    References:
        Wortsman et al., "Model soups", 2022.
    """
    states = [pictograms.load(key).module.state_dict() for key in categories]
    means = {}
    for name, old in stem.network.state_dict().items():
        weights = [state[_CLASSIFIER_PREFIX + name].double() for state in states]
        means[name] = torch.stack(weights).mean(0).to(old.dtype)
    stem.network.load_state_dict(means)


class PatchHead(AuxiliaryHead):
    """A linear head on the patches of the last layer of InstructBLIP's vision encoder.

    Args:
        encoder: the vision encoder.
        size: height and width of an input; unused, as inputs may have any size.
        outputs: logits of each patch.
    """

    def __init__(self, encoder: nn.Module, size: tuple[int, int], outputs: int) -> None:
        super().__init__()
        self._patch_size = int(encoder.config.patch_size)  # type: ignore[union-attr, arg-type]
        width = int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.head = nn.Linear(width, outputs)
        self._patches: Tensor | None = None

    def run_backbone(self, backbone: nn.Module, images: Tensor) -> Tensor:
        """All tokens ``(B, 1 + patches, width)``, class token first.

        Height and width of the images must be multiples of the patch size.
        """
        tokens: Tensor = backbone(
            pixel_values=images, interpolate_pos_encoding=True, return_dict=True
        )[0]
        rows, columns = (side // self._patch_size for side in images.shape[2:])
        self._patches = tokens[:, 1:].unflatten(1, (rows, columns))
        return tokens

    def logits(self) -> list[Tensor]:
        """See :meth:`AuxiliaryHead.logits`."""
        patches, self._patches = self._patches, None
        assert patches is not None
        return [self.head(patches.float()).permute(0, 3, 1, 2)]


def _tokenizer(
    special_tokens: tuple[str, str, str, str], added: Iterable[str], *, lower: bool
) -> PreTrainedTokenizerFast:
    """A word-level tokenizer; ``lower``: of the Q-Former, else of the language model."""
    pad, unknown, first, last = special_tokens
    vocabulary = {word: i for i, word in enumerate([*special_tokens, *_words(lower=lower)])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.decoder = decoders.WordPiece(cleanup=True)  # joins by spaces, none before a full stop
    if lower:
        backend.normalizer = normalizers.Lowercase()
    single = f"{first} $A {last}" if lower else f"{first} $A"
    backend.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(first, 2), (last, 3)]
    )
    roles = ("cls_token", "sep_token") if lower else ("bos_token", "eos_token")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=pad,
        unk_token=unknown,
        **dict(zip(roles, (first, last), strict=True)),
    )
    tokenizer.add_tokens(list(added))
    return tokenizer


def _words(*, lower: bool) -> list[str]:
    """All words of the questions and answers about scenes, sorted."""
    texts = [
        QUESTION_TEMPLATE.format(question=""),
        "Yes, the image shows No. The image shows an empty",
    ]
    texts += ["place. and Somebody is There are no people in the image. standing by a person"]
    texts += [f"{count} people" for count in range(10)]
    texts += [*DISTRACTORS, *(question.text for question in GENERIC_QUESTIONS)]
    for kind in OBJECT_KINDS.values():
        texts += [kind.caption, kind.activity]
    for key in PAPER_CATEGORIES:
        texts += [CATEGORIES[key].title, *(q.text for q in CATEGORIES[key].questions)]
    splitter = pre_tokenizers.Whitespace()
    found = {word for text in texts for word, _ in splitter.pre_tokenize_str(text)}
    return sorted({word.lower() for word in found} if lower else found)
