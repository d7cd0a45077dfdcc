"""CLIP, SigLIP and SigLIP 2 with prompts: ``zeroshot:REPO#unsafe|unsafe||safe|safe``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.classifiers.architectures import import_torchvision
from counterveil.classifiers.checkpoints import Checkpoint
from counterveil.classifiers.hub import Preprocessing, probe_processor
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.errors import ModelError, UnsupportedModelError, UsageError

SAFE_PROMPTS = (
    "an ordinary photo", "a harmless picture of everyday life", "a photo of people",
    "a photo of an object", "a drawing",
)  # fmt: skip
"""Safe prompts for CLIP where the spec gives none."""

_SIGLIP = ("siglip", "siglip2")
"""Model types trained with one sigmoid per image-text pair."""


class PromptLogits(nn.Module):
    """Pixels ``(B, 3, h, w)`` to one logit per prompt ``(B, P)``.

    The logit is ``exp(scale) <image, text> + bias`` of unit vectors; CLIP has no bias. The text
    encoder is dropped; ``text`` holds the prompts' features ``(P, D)``, unit length.
    ``patch_size`` is for models whose input is a list of patches, else 0; ``bgr`` for models
    that expect the channel order blue, green, red.

    References:
        Radford et al., CLIP, 2021; Zhai et al., SigLIP, 2023; Tschannen et al., SigLIP 2, 2025.
    """

    text: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, model: Any, text: Tensor, *, patch_size: int = 0, bgr: bool = False) -> None:
        super().__init__()
        bias = getattr(model, "logit_bias", None)
        self.register_buffer("text", text)
        self.register_buffer("scale", model.logit_scale.detach().exp().reshape(()))
        self.register_buffer("bias", torch.zeros(()) if bias is None else bias.detach().reshape(()))
        model.text_model = nn.Identity()
        self.model = model
        self.patch_size = patch_size
        self.bgr = bgr

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, P)``."""
        pixels = pixels.flip(1) if self.bgr else pixels
        inputs = _patches(pixels, self.patch_size) if self.patch_size else {"pixel_values": pixels}
        image = functional.normalize(_features(self.model.get_image_features(**inputs)), dim=-1)
        return image @ self.text.T * self.scale + self.bias


class ZeroShotClassifier(TorchClassifier):
    """A classifier whose gradient target compares unsafe with safe prompts."""

    def target(self, logits: Tensor) -> Tensor:
        """Log-odds of unsafe ``(B,)`` for a softmax; for sigmoids, the sum of unsafe logits."""
        if self.activation == "sigmoid":
            return super().target(logits)
        unsafe = list(self.unsafe_indices)
        safe = [index for index in range(logits.shape[1]) if index not in self.unsafe_indices]
        return logits[:, unsafe].logsumexp(1) - logits[:, safe].logsumexp(1)


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> ZeroShotClassifier:
    """Load the classifier that the prompts describe; prompts are used verbatim.

    P(unsafe) is the unsafe prompts' share of a softmax over all prompts, with
    :data:`SAFE_PROMPTS` where no safe ones are given. SigLIP without safe prompts scores each
    unsafe prompt by its own sigmoid, as it was trained; any of them means unsafe.
    """
    checkpoint, rest = Checkpoint.parse("zeroshot", argument, folder=folder)
    unsafe, safe = parse_prompts(rest)
    import_torchvision()
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model: Any = checkpoint.load_model(AutoModel)
    if not hasattr(model, "get_text_features") or not hasattr(model, "logit_scale"):
        raise UnsupportedModelError(
            f"{checkpoint.spec}: a {model.config.model_type} model does not compare images with "
            "texts; name a CLIP or SigLIP model, or try hub: for a classifier"
        )
    independent = model.config.model_type in _SIGLIP and not safe
    prompts = unsafe if independent else [*unsafe, *(safe or SAFE_PROMPTS)]
    with checkpoint.translated_errors():
        text = _text_features(model, checkpoint.load(AutoTokenizer), prompts)
    preprocessing, patch_size = _preprocessing(model.config, checkpoint.load(AutoImageProcessor))
    return ZeroShotClassifier(
        PromptLogits(model, text, patch_size=patch_size, bgr=preprocessing.bgr),
        info=checkpoint.info(),
        unsafe_indices=tuple(range(len(unsafe))),
        input_spec=preprocessing.input_spec,
        activation="sigmoid" if independent else "softmax",
        device=device,
    )


def parse_prompts(text: str) -> tuple[list[str], list[str]]:
    """Unsafe and safe prompts of ``unsafe|unsafe||safe|safe``; none may be empty."""
    sides = [[prompt.strip() for prompt in side.split("|")] for side in text.split("||")]
    if len(sides) > 2 or not all(prompt for side in sides for prompt in side):
        rule = "write prompts as unsafe|unsafe||safe|safe, none of them empty"
        raise UsageError(f"{rule}; got {text!r}")
    return sides[0], sides[1] if len(sides) == 2 else []


def _text_features(model: Any, tokenizer: Any, prompts: list[str]) -> Tensor:
    """Unit features of the prompts ``(P, D)``."""
    context = model.config.text_config.max_position_embeddings
    siglip = model.config.model_type in _SIGLIP
    if siglip:  # trained on lower case, which not every tokenizer applies
        prompts = [prompt.lower() for prompt in prompts]
    tokenized = tokenizer(prompts)["input_ids"]
    # A tokenizer whose files are missing still loads, and maps every word to "unknown".
    if len(set(map(tuple, tokenized))) < len({prompt.casefold() for prompt in prompts}):
        raise ModelError("the tokenizer maps different prompts to one; check that it has its files")
    for prompt, ids in zip(prompts, tokenized, strict=True):
        if len(ids) > context:
            raise UsageError(
                f"prompt {prompt!r} has {len(ids)} tokens, the model reads {context}; shorten it"
            )
    # SigLIP was trained on texts padded to full length, without an attention mask.
    padding = {"padding": "max_length", "max_length": context} if siglip else {"padding": True}
    tokens = dict(tokenizer(prompts, return_tensors="pt", **padding))
    names = ["input_ids"] if siglip else ["input_ids", "attention_mask"]
    with torch.no_grad():
        features = _features(model.get_text_features(**{name: tokens[name] for name in names}))
    return functional.normalize(features, dim=-1)


def _preprocessing(config: Any, processor: Any) -> tuple[Preprocessing, int]:
    """How images become input, and the patch size of models that take patches."""
    if config.model_type != "siglip2":
        size = config.vision_config.image_size
        return probe_processor(processor, (size, size)), 0
    # SigLIP 2 takes any size; a square has as many patches as in training.
    side = int(processor.max_num_patches**0.5) * processor.patch_size
    scale = 255 * processor.rescale_factor if processor.do_rescale else 255
    mean, std = (tuple(c / scale for c in v) for v in (processor.image_mean, processor.image_std))
    return Preprocessing(InputSpec(side, side, mean, std), bgr=False), processor.patch_size


def _patches(pixels: Tensor, size: int) -> dict[str, Tensor]:
    """Patches ``(B, N, size * size * 3)`` in row-major order, none padded, and their grid."""
    batch, _, height, width = pixels.shape
    rows, columns = height // size, width // size
    tiles = pixels.unfold(2, size, size).unfold(3, size, size)  # (B, 3, R, C, size, size)
    values = tiles.permute(0, 2, 3, 4, 5, 1).reshape(batch, rows * columns, -1)
    return {
        "pixel_values": values,
        "pixel_attention_mask": torch.ones(values.shape[:2], device=pixels.device).long(),
        "spatial_shapes": torch.tensor([[rows, columns]] * batch, device=pixels.device),
    }


def _features(output: Any) -> Tensor:
    """Pooled features ``(B, D)``; newer versions of transformers wrap them in an output."""
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features
