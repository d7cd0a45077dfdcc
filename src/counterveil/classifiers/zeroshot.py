"""CLIP, SigLIP and SigLIP 2 against prompts: ``zeroshot:REPO#unsafe|unsafe||safe|safe``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from counterveil.classifiers._checkpoint import Checkpoint
from counterveil.classifiers._probe import Probed, probe
from counterveil.classifiers._torchvision import import_torchvision
from counterveil.classifiers.base import InputSpec, TorchClassifier
from counterveil.errors import ModelError, UnsupportedModelError, UsageError

SAFE_PROMPTS = (
    "an ordinary photo",
    "a harmless picture of everyday life",
    "a photo of people",
    "a photo of an object",
    "a drawing",
)
"""What CLIP compares with where the spec names no safe prompts."""

_SIGMOID = ("siglip", "siglip2")


class Prompted(nn.Module):
    """Pixels ``(B, 3, h, w)`` to one logit a prompt ``(B, P)``.

    The logit is ``exp(scale) <image, text> + bias`` of unit vectors; CLIP has no bias. The
    text tower is not kept: its features are computed once.

    Args:
        model: a CLIP-like model with ``get_image_features`` and ``logit_scale``.
        text: features of the prompts, unit length, ``(P, D)``.
        patch: side of the patches for models that take pixels as a list of patches; 0 for
            those that take an image.
        flipped: the model wants blue, green, red.

    References:
        Radford et al., CLIP, 2021; Zhai et al., SigLIP, 2023; Tschannen et al., SigLIP 2, 2025.
    """

    text: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, model: Any, text: Tensor, *, patch: int = 0, flipped: bool = False) -> None:
        super().__init__()
        bias = getattr(model, "logit_bias", None)
        self.register_buffer("text", text)
        self.register_buffer("scale", model.logit_scale.detach().exp().reshape(()))
        self.register_buffer("bias", torch.zeros(()) if bias is None else bias.detach().reshape(()))
        model.text_model = nn.Identity()
        self.model = model
        self.patch = patch
        self.flipped = flipped

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, P)``."""
        pixels = pixels.flip(1) if self.flipped else pixels
        inputs = _patches(pixels, self.patch) if self.patch else {"pixel_values": pixels}
        image = functional.normalize(_pooled(self.model.get_image_features(**inputs)), dim=-1)
        return image @ self.text.T * self.scale + self.bias


class ZeroShot(TorchClassifier):
    """A classifier whose explained scalar is how far unsafe prompts lead safe ones."""

    def target(self, logits: Tensor) -> Tensor:
        """Log-odds of unsafe ``(B,)`` for a softmax; for sigmoids, the unsafe logits' sum."""
        if self.activation == "sigmoid":
            return super().target(logits)
        chosen = list(self.unsafe)
        rest = [index for index in range(logits.shape[1]) if index not in self.unsafe]
        return logits[:, chosen].logsumexp(1) - logits[:, rest].logsumexp(1)


def load(argument: str, *, device: str = "cpu") -> ZeroShot:
    """The classifier that the prompts describe; prompts are used word by word.

    P(unsafe) is the unsafe prompts' share of a softmax over all prompts, against
    :data:`SAFE_PROMPTS` where none are given. SigLIP without safe prompts answers each unsafe
    prompt by yes or no on its own, as it was trained, and any yes is unsafe.

    Args:
        argument: ``REPO_OR_FOLDER[@REVISION]#unsafe|unsafe||safe|safe``.
        device: where it runs.

    Raises:
        UsageError: there is no prompt, or one is longer than the model reads.
        ModelError: the checkpoint cannot be loaded.
        UnsupportedModelError: the checkpoint compares no images with texts.
    """
    checkpoint, rest = Checkpoint.parse("zeroshot", argument)
    unsafe, safe = parse_prompts(rest)
    import_torchvision()
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model: Any = checkpoint.model(AutoModel)
    if not hasattr(model, "get_text_features") or not hasattr(model, "logit_scale"):
        raise UnsupportedModelError(
            f"{checkpoint.spec}: a {model.config.model_type} model does not compare images with "
            "texts; name a CLIP or SigLIP model, or try hub: for a classifier"
        )
    alone = model.config.model_type in _SIGMOID and not safe
    prompts = unsafe if alone else [*unsafe, *(safe or SAFE_PROMPTS)]
    with checkpoint.translated():
        text = _features(model, checkpoint.load(AutoTokenizer), prompts)
    probed, patch = _input(model.config, checkpoint.load(AutoImageProcessor))
    return ZeroShot(
        Prompted(model, text, patch=patch, flipped=probed.flipped),
        info=checkpoint.info(),
        unsafe=tuple(range(len(unsafe))),
        spec=probed.spec,
        activation="sigmoid" if alone else "softmax",
        device=device,
    )


def parse_prompts(text: str) -> tuple[list[str], list[str]]:
    """Unsafe and safe prompts of ``unsafe|unsafe||safe|safe``.

    Raises:
        UsageError: a prompt is empty.
    """
    sides = [[prompt.strip() for prompt in side.split("|")] for side in text.split("||")]
    if len(sides) > 2 or not all(prompt for side in sides for prompt in side):
        raise UsageError(
            f"prompts must read unsafe|unsafe||safe|safe, none of them empty, got {text!r}"
        )
    return sides[0], sides[1] if len(sides) == 2 else []


def _features(model: Any, tokenizer: Any, prompts: list[str]) -> Tensor:
    """Unit features of the prompts ``(P, D)``."""
    longest = model.config.text_config.max_position_embeddings
    sigmoid = model.config.model_type in _SIGMOID
    if sigmoid:  # trained on lower case, which not every tokenizer sees to
        prompts = [prompt.lower() for prompt in prompts]
    tokenized = tokenizer(prompts)["input_ids"]
    # Without its files, a tokenizer loads all the same and reads every word as unknown.
    if len(set(map(tuple, tokenized))) < len({prompt.casefold() for prompt in prompts}):
        raise ModelError("the tokenizer reads different prompts alike; are its files there?")
    for prompt, ids in zip(prompts, tokenized, strict=True):
        if len(ids) > longest:
            raise UsageError(
                f"prompt {prompt!r} has {len(ids)} tokens, the model reads {longest}; shorten it"
            )
    # SigLIP was trained on texts padded to full length, without a mask.
    padding = {"padding": "max_length", "max_length": longest} if sigmoid else {"padding": True}
    tokens = dict(tokenizer(prompts, return_tensors="pt", **padding))
    names = ["input_ids"] if sigmoid else ["input_ids", "attention_mask"]
    with torch.no_grad():
        features = _pooled(model.get_text_features(**{name: tokens[name] for name in names}))
    return functional.normalize(features, dim=-1)


def _input(config: Any, processor: Any) -> tuple[Probed, int]:
    """How images become input, and the patch side for models that take patches."""
    if config.model_type != "siglip2":
        size = config.vision_config.image_size
        return probe(processor, (size, size)), 0
    # These take any size; a square is as many patches as they were trained on.
    side = int(processor.max_num_patches**0.5) * processor.patch_size
    scale = 255 * processor.rescale_factor if processor.do_rescale else 255
    mean, std = (tuple(c / scale for c in v) for v in (processor.image_mean, processor.image_std))
    return Probed(InputSpec(side, side, mean, std), flipped=False), processor.patch_size


def _patches(pixels: Tensor, patch: int) -> dict[str, Tensor]:
    """Rows of patches ``(B, N, patch * patch * 3)``, none of them padding, and their grid."""
    batch, _, height, width = pixels.shape
    rows, columns = height // patch, width // patch
    tiles = pixels.unfold(2, patch, patch).unfold(3, patch, patch)  # (B, 3, R, C, patch, patch)
    values = tiles.permute(0, 2, 3, 4, 5, 1).reshape(batch, rows * columns, -1)
    return {
        "pixel_values": values,
        "pixel_attention_mask": torch.ones(values.shape[:2], device=pixels.device).long(),
        "spatial_shapes": torch.tensor([[rows, columns]] * batch, device=pixels.device),
    }


def _pooled(output: Any) -> Tensor:
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features
