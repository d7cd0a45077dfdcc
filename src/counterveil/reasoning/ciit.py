"""The Conditional Image Instruction-guided Transformer, on Hugging Face's InstructBLIP.

Only the parts that every InstructBLIP has are used (vision model, Q-Former, projection, language
model), so that any checkpoint serves, whatever language model it brings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from counterveil.classifiers.architectures import import_torchvision
from counterveil.errors import ModelError
from counterveil.reasoning.prior import Control, ControlPrior, ControlSpec

import_torchvision()  # before transformers, which imports it

from transformers import (  # noqa: E402
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
)

from counterveil.reasoning.stem import Stem, StemSpec  # noqa: E402

IGNORED = -100
"""Label of tokens that are not learnt."""


@dataclass(frozen=True, eq=False)
class Written:
    """What was generated.

    Attributes:
        ids: of the new tokens, ``(B, n)``.
        first: logits of the first of them, before any penalty, ``(B * beams, vocabulary)``.
    """

    ids: Tensor
    first: Tensor


class ConditionalInstructBlip(InstructBlipForConditionalGeneration):  # type: ignore[misc]
    """InstructBLIP whose Q-Former and language model are conditioned on a control code.

    Without a control code, or with guidance 0, it computes what InstructBLIP computes, bit for
    bit. ``config.control`` holds the :class:`ControlSpec`; a stock checkpoint has none and gets
    one from :meth:`add_control`. ``config.stem``, where there is one, is the :class:`StemSpec` of
    convolutions that take the place of the vision tower's patches.

    References:
        Bethany et al., AAAI 2024, section 3.1, equations 1 to 3; Dai et al., "InstructBLIP", 2023.
    """

    def __init__(self, config: InstructBlipConfig) -> None:
        super().__init__(config)
        self.control: ControlPrior | None = None
        if getattr(config, "stem", None):
            self._make_stem(StemSpec.from_dict(config.stem))
        if getattr(config, "control", None):
            self._make_control()

    @property
    def spec(self) -> ControlSpec | None:
        """What the control code can say."""
        value = getattr(self.config, "control", None)
        return ControlSpec.from_dict(value) if value else None

    @spec.setter
    def spec(self, value: ControlSpec) -> None:
        self.config.control = value.to_dict()

    def add_control(self, spec: ControlSpec, words: list[Tensor]) -> None:
        """Make the control embeddings, started from the Q-Former's embeddings of words.

        Args:
            spec: categories and tokens.
            words: of each category, ids ``(n,)`` in the Q-Former's vocabulary.
        """
        self.spec = spec
        control = self._make_control().to(self.query_tokens.device)
        table = self.qformer.embeddings.word_embeddings.weight.detach().float()
        control.start([table[ids.to(table.device)] for ids in words])

    def _make_stem(self, spec: StemSpec) -> None:
        vision = self.config.vision_config
        if vision.patch_size != spec.stride:
            raise ModelError(
                f"a stem of stride {spec.stride} does not fit patches of {vision.patch_size} px"
            )
        self.vision_model.embeddings.patch_embedding = Stem(spec, vision.hidden_size)

    def _make_control(self) -> ControlPrior:
        spec = self.spec
        assert spec is not None
        self.control = ControlPrior(
            len(spec.categories),
            spec.tokens,
            width=self.config.qformer_config.hidden_size,
            queries=self.config.num_query_tokens,
            text_width=self.config.text_config.hidden_size,
        )
        return self.control

    def see(self, pixel_values: Tensor) -> Tensor:
        """The vision tower: pixels ``(B, 3, h, w)`` to patches ``(B, P, width)``."""
        patches: Tensor = self.vision_model(pixel_values=pixel_values, return_dict=True)[0]
        return patches

    def prompt(
        self,
        patches: Tensor,
        instruction: Tensor,
        instruction_mask: Tensor,
        guidance: Tensor | None = None,
        around: Tensor | None = None,
    ) -> Tensor:
        """What the language model sees of the image: ``(B, queries, text width)``.

        Args:
            patches: ``(B, P, width)``, from :meth:`see`.
            instruction: ids ``(B, n)`` of the Q-Former's tokenizer.
            instruction_mask: ``(B, n)``, 1 = a token.
            guidance: ``(B, categories)`` in ``[0, 1]``, or none.
            around: ``(B, P)``, 1 = a patch that may be looked at; without guidance only. All of
                them where ``None``.
        """
        queries = self.query_tokens.expand(len(patches), -1, -1)
        count = queries.shape[1]
        mask = torch.cat([torch.ones_like(queries[..., 0], dtype=torch.long), instruction_mask], 1)
        if around is None:
            around = torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device)
        hidden: Tensor
        if self.control is None or guidance is None or not bool(guidance.any()):
            hidden = self.qformer(
                input_ids=instruction,
                attention_mask=mask,
                query_embeds=queries,
                encoder_hidden_states=patches,
                encoder_attention_mask=around,
                return_dict=True,
            )[0]
            return self._projected(hidden[:, :count])
        control = self.control(guidance)
        hidden = self._conditioned(queries, instruction, mask, patches, control)
        projected = self._projected(hidden[:, :count])
        conditioned: Tensor = projected + control.prompt.to(projected.dtype)
        return conditioned

    def _projected(self, queries: Tensor) -> Tensor:
        projected: Tensor = self.language_projection(queries)
        return projected

    def _conditioned(
        self,
        queries: Tensor,
        instruction: Tensor,
        mask: Tensor,
        patches: Tensor,
        control: Control,
    ) -> Tensor:
        """The Q-Former over queries, control tokens and instruction, in this order.

        The instruction keeps the positions it has without a code. Control tokens have none: they
        are a set.
        """
        qformer, count = self.qformer, queries.shape[1]
        words = qformer.embeddings.word_embeddings(instruction)
        places = torch.arange(instruction.shape[1], device=instruction.device)
        words = words + qformer.embeddings.position_embeddings(places)
        control_tokens = control.tokens.to(words.dtype)
        embedded = torch.cat([queries.to(words.dtype), control_tokens, words], dim=1)
        embedded = embedded.to(qformer.embeddings.layernorm.weight.dtype)
        embedded = qformer.embeddings.dropout(qformer.embeddings.layernorm(embedded))
        lowest = torch.finfo(embedded.dtype).min
        bias = torch.where(mask > 0, 0.0, lowest)
        shown = control.bias.to(bias.device).clamp(min=lowest)
        bias = torch.cat([bias[:, :count], shown, bias[:, count:]], dim=1)
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

    def _embedded(self, input_ids: Tensor, prompt: Tensor) -> Tensor:
        """The language model's input: text, with the image's tokens filled in."""
        embedded = self.get_input_embeddings()(input_ids)
        places = (input_ids == self.config.image_token_index).unsqueeze(-1)
        filled: Tensor = embedded.masked_scatter(
            places.expand_as(embedded), prompt.to(embedded.device, embedded.dtype)
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
        owners: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Logits ``(B, n, vocabulary)``, and the loss where there are labels.

        Args:
            input_ids: ids ``(B, n)`` for the language model, with the image's placeholders.
            attention_mask: ``(B, n)``.
            qformer_input_ids: the instruction, for the Q-Former.
            qformer_attention_mask: of it.
            pixel_values: ``(B, 3, h, w)``, or
            patches: what :meth:`see` made of them.
            guidance: ``(B, categories)``.
            labels: ``(B, n)``, -100 where nothing is learnt: all but the answer (equation 3).
            owners: ``(B,)``, which image each row is about, where there are fewer images.
            kwargs: for the language model.
        """
        if patches is None:
            assert pixel_values is not None
            patches = self.see(pixel_values)
        if owners is not None:
            patches = patches[owners]
        prompt = self.prompt(patches, qformer_input_ids, qformer_attention_mask, guidance)
        embedded = self._embedded(input_ids, prompt)
        kwargs.pop("num_items_in_batch", None)
        if self.config.use_decoder_only_language_model:
            out = self.language_model(
                inputs_embeds=embedded, attention_mask=attention_mask, return_dict=True, **kwargs
            )
            result = {"logits": out.logits}
            if labels is not None:
                result = {"loss": _next_token_loss(out.logits, labels), **result}
            return result
        out = self.language_model(
            inputs_embeds=embedded,
            attention_mask=attention_mask,
            labels=labels,
            return_dict=True,
            **kwargs,
        )
        return (
            {"logits": out.logits} if labels is None else {"loss": out.loss, "logits": out.logits}
        )

    def generate(self, *inputs: Any, **settings: Any) -> Tensor:
        """Ids of new tokens; arguments as those of :meth:`write`."""
        return self.write(*inputs, **settings).ids

    @torch.no_grad()
    def write(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        qformer_input_ids: Tensor,
        qformer_attention_mask: Tensor,
        pixel_values: Tensor | None = None,
        patches: Tensor | None = None,
        guidance: Tensor | None = None,
        **settings: Any,
    ) -> Written:
        """What the language model generates; arguments as above, settings those of ``generate``."""
        if patches is None:
            assert pixel_values is not None
            patches = self.see(pixel_values)
        prompt = self.prompt(patches, qformer_input_ids, qformer_attention_mask, guidance)
        given = {"inputs_embeds": self._embedded(input_ids, prompt)}
        if self.config.use_decoder_only_language_model:
            # As InstructBLIP has it: penalties for repetition look at the prompt, too.
            given["input_ids"] = input_ids
        out = self.language_model.generate(
            **given,
            attention_mask=attention_mask,
            output_logits=True,
            return_dict_in_generate=True,
            **settings,
        )
        start = input_ids.shape[1] if "input_ids" in given else 0
        return Written(out.sequences[:, start:], out.logits[0])


def _next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    wanted = labels[:, 1:].reshape(-1).to(logits.device)
    guessed = logits[:, :-1].reshape(-1, logits.shape[-1])
    return functional.cross_entropy(guessed.float(), wanted, ignore_index=IGNORED)
