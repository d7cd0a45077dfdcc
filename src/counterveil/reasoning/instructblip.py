"""Conditional Image Instruction-guided Transformer, built on Hugging Face's InstructBLIP.

It uses the parts that every InstructBLIP has (vision model, Q-Former, projection, language model),
so any InstructBLIP checkpoint works, with any language model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from counterveil.errors import ModelError
from counterveil.reasoning.modules import (
    ControlConfig,
    ControlEmbedding,
    ControlPrior,
    ConvPatchEmbedding,
    PatchEmbeddingConfig,
)

from transformers import (  # isort: skip  (after torchvision, which modules imports)
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
)

IGNORE_INDEX = -100
"""Label of tokens that do not count in the loss."""


@dataclass(frozen=True, eq=False)
class GenerateOutput:
    """Generated tokens.

    Attributes:
        ids: ids of the new tokens, ``(B, n)``.
        first_logits: logits of the first new token, before any penalty,
            ``(B * beams, vocabulary)``.
    """

    ids: Tensor
    first_logits: Tensor


class ConditionalInstructBlip(InstructBlipForConditionalGeneration):  # type: ignore[misc]
    """InstructBLIP with Q-Former and language model conditioned on a control code.

    Without a control code, or with guidance 0, its output equals InstructBLIP's bit for bit.
    ``config.control_code`` holds the :class:`ControlConfig`; a stock checkpoint has none until
    :meth:`add_control_prior`. An optional ``config.patch_embedding`` holds the
    :class:`PatchEmbeddingConfig` of a convolutional patch embedding.

    References:
        Bethany et al., AAAI 2024, section 3.1, equations 1 to 3; Dai et al., "InstructBLIP", 2023.
    """

    def __init__(self, config: InstructBlipConfig) -> None:
        super().__init__(config)
        self.control: ControlPrior | None = None
        if getattr(config, "patch_embedding", None):
            self._replace_patch_embedding(PatchEmbeddingConfig(**config.patch_embedding))
        if self.control_config is not None:
            self._make_control_prior(self.control_config)

    @property
    def control_config(self) -> ControlConfig | None:
        """Categories and calibration; ``None`` for a stock checkpoint."""
        value = getattr(self.config, "control_code", None)
        return ControlConfig(**value) if value else None

    @control_config.setter
    def control_config(self, value: ControlConfig) -> None:
        self.config.control_code = asdict(value)

    def add_control_prior(self, config: ControlConfig, token_ids: list[Tensor]) -> None:
        """Create the control prior; its tokens start as Q-Former word embeddings.

        Args:
            config: categories and number of tokens.
            token_ids: per category, ids ``(n,)`` in the Q-Former's vocabulary.
        """
        self.control_config = config
        prior = self._make_control_prior(config).to(self.query_tokens.device)
        table = self.qformer.embeddings.word_embeddings.weight.detach().float()
        prior.init_tokens([table[ids.to(table.device)] for ids in token_ids])

    def _replace_patch_embedding(self, config: PatchEmbeddingConfig) -> None:
        vision = self.config.vision_config
        if vision.patch_size != config.stride:
            raise ModelError(
                f"a patch embedding of stride {config.stride} does not fit patches of "
                f"{vision.patch_size} px; make both equal in config.json"
            )
        embedding = ConvPatchEmbedding(config, vision.hidden_size)
        self.vision_model.embeddings.patch_embedding = embedding

    def _make_control_prior(self, config: ControlConfig) -> ControlPrior:
        self.control = ControlPrior(
            len(config.categories),
            config.tokens,
            width=self.config.qformer_config.hidden_size,
            queries=self.config.num_query_tokens,
            text_width=self.config.text_config.hidden_size,
        )
        return self.control

    def encode_image(self, pixel_values: Tensor) -> Tensor:
        """Encode pixels ``(B, 3, h, w)`` as patch features ``(B, P, width)``."""
        patches: Tensor = self.vision_model(pixel_values=pixel_values, return_dict=True)[0]
        return patches

    def image_prompt(
        self,
        patches: Tensor,
        instruction: Tensor,
        instruction_mask: Tensor,
        guidance: Tensor | None = None,
        patch_mask: Tensor | None = None,
    ) -> Tensor:
        """Compute the language model's image tokens ``(B, queries, text width)``.

        Args:
            patches: ``(B, P, width)``, from :meth:`encode_image`.
            instruction: token ids ``(B, n)`` of the Q-Former's tokenizer.
            instruction_mask: attention mask ``(B, n)``, 1 = token.
            guidance: ``(B, categories)`` in ``[0, 1]``, or ``None``.
            patch_mask: attention mask ``(B, P)``, 1 = visible patch; ``None`` for all. Used
                without guidance only.
        """
        queries = self.query_tokens.expand(len(patches), -1, -1)
        count = queries.shape[1]
        mask = torch.cat([torch.ones_like(queries[..., 0], dtype=torch.long), instruction_mask], 1)
        if patch_mask is None:
            patch_mask = torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device)
        hidden: Tensor
        # Guidance 0 takes the stock path: the control path differs in the last bits.
        if self.control is None or guidance is None or not bool(guidance.any()):
            hidden = self.qformer(
                input_ids=instruction,
                attention_mask=mask,
                query_embeds=queries,
                encoder_hidden_states=patches,
                encoder_attention_mask=patch_mask,
                return_dict=True,
            )[0]
            projected: Tensor = self.language_projection(hidden[:, :count])
            return projected
        control = self.control(guidance)
        hidden = self._qformer_with_control(queries, instruction, mask, patches, control)
        projected = self.language_projection(hidden[:, :count])
        conditioned: Tensor = projected + control.prompt.to(projected.dtype)
        return conditioned

    def _qformer_with_control(
        self,
        queries: Tensor,
        instruction: Tensor,
        mask: Tensor,
        patches: Tensor,
        control: ControlEmbedding,
    ) -> Tensor:
        """Run the Q-Former on queries, control tokens and instruction, in this order."""
        qformer, count = self.qformer, queries.shape[1]
        words = qformer.embeddings.word_embeddings(instruction)
        # Control tokens are a set and get no position; the instruction keeps its own positions.
        positions = torch.arange(instruction.shape[1], device=instruction.device)
        words = words + qformer.embeddings.position_embeddings(positions)
        control_tokens = control.tokens.to(words.dtype)
        embedded = torch.cat([queries.to(words.dtype), control_tokens, words], dim=1)
        embedded = embedded.to(qformer.embeddings.layernorm.weight.dtype)
        embedded = qformer.embeddings.dropout(qformer.embeddings.layernorm(embedded))
        # log(0) is -inf; masks of transformers use the lowest finite number, and so does this one.
        lowest = torch.finfo(embedded.dtype).min
        bias = torch.where(mask > 0, 0.0, lowest)
        control_bias = control.attention_bias.to(bias.device).clamp(min=lowest)
        bias = torch.cat([bias[:, :count], control_bias, bias[:, count:]], dim=1)
        attention = bias.to(embedded.dtype)[:, None, None, :]
        attention = attention.expand(-1, 1, embedded.shape[1], -1)
        hidden: Tensor = qformer.encoder(
            embedded,
            attention_mask=attention,
            encoder_hidden_states=patches,
            encoder_attention_mask=None,
            query_length=count,
        )[0]
        return hidden

    def _embed_inputs(
        self,
        input_ids: Tensor,
        qformer_input_ids: Tensor,
        qformer_attention_mask: Tensor,
        pixel_values: Tensor | None = None,
        patches: Tensor | None = None,
        guidance: Tensor | None = None,
        image_index: Tensor | None = None,
    ) -> Tensor:
        """Embed the text and replace its image placeholders by the image tokens."""
        if patches is None:
            assert pixel_values is not None
            patches = self.encode_image(pixel_values)
        if image_index is not None:
            patches = patches[image_index]
        prompt = self.image_prompt(patches, qformer_input_ids, qformer_attention_mask, guidance)
        embedded = self.get_input_embeddings()(input_ids)
        placeholders = (input_ids == self.config.image_token_index).unsqueeze(-1)
        filled: Tensor = embedded.masked_scatter(
            placeholders.expand_as(embedded), prompt.to(embedded.device, embedded.dtype)
        )
        return filled

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        qformer_input_ids: Tensor,
        qformer_attention_mask: Tensor,
        pixel_values: Tensor | None = None,
        patches: Tensor | None = None,
        guidance: Tensor | None = None,
        labels: Tensor | None = None,
        image_index: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Compute logits ``(B, n, vocabulary)``, and the loss if labels are given.

        Args:
            input_ids: token ids ``(B, n)`` for the language model, with image placeholders.
            attention_mask: attention mask of ``input_ids``.
            qformer_input_ids: token ids of the instruction, for the Q-Former.
            qformer_attention_mask: attention mask of the instruction.
            pixel_values: ``(B, 3, h, w)``; ignored if ``patches`` are given.
            patches: output of :meth:`encode_image`.
            guidance: ``(B, categories)``.
            labels: ``(B, n)``, -100 for all tokens but the answer's (equation 3).
            image_index: ``(B,)``, image of each row; ``None`` if there is one image per row.
            kwargs: passed on to the language model.
        """
        embedded = self._embed_inputs(
            input_ids, qformer_input_ids, qformer_attention_mask, pixel_values, patches, guidance,
            image_index,
        )  # fmt: skip
        kwargs.pop("num_items_in_batch", None)
        decoder_only = self.config.use_decoder_only_language_model
        if labels is not None and not decoder_only:
            kwargs["labels"] = labels
        out = self.language_model(
            inputs_embeds=embedded, attention_mask=attention_mask, return_dict=True, **kwargs
        )
        if labels is None:
            return {"logits": out.logits}
        loss = _next_token_loss(out.logits, labels) if decoder_only else out.loss
        return {"loss": loss, "logits": out.logits}

    @torch.no_grad()
    def generate_with_logits(
        self, inputs: Mapping[str, Tensor], settings: Mapping[str, Any]
    ) -> GenerateOutput:
        """Generate text from the inputs of :meth:`forward`, with ``generate``'s settings."""
        inputs = dict(inputs)
        prompt = {"attention_mask": inputs.pop("attention_mask")}
        prompt["inputs_embeds"] = self._embed_inputs(**inputs)
        if self.config.use_decoder_only_language_model:
            # As in InstructBLIP: repetition penalties also count the tokens of the prompt.
            prompt["input_ids"] = inputs["input_ids"]
        out = self.language_model.generate(
            **prompt, output_logits=True, return_dict_in_generate=True, **settings
        )
        start = prompt["input_ids"].shape[1] if "input_ids" in prompt else 0
        return GenerateOutput(out.sequences[:, start:], out.logits[0])


def _next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each token given the tokens before it."""
    targets = labels[:, 1:].reshape(-1).to(logits.device)
    predictions = logits[:, :-1].reshape(-1, logits.shape[-1])
    return functional.cross_entropy(predictions.float(), targets, ignore_index=IGNORE_INDEX)
