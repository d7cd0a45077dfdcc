"""P(yes) from the logits of an answer's first token, not from parsing text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from counterveil.errors import ModelError

YES, NO = ("yes", "Yes"), ("no", "No")
"""Words whose first tokens count as that answer."""


class YesNo:
    """The tokens with which an answer of yes or no may start.

    Args:
        tokenizer: of the language model.
        name: of the model, for messages.

    Raises:
        ModelError: the tokenizer cannot say yes or no.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._yes, self._no = (_first_tokens(tokenizer, words, name) for words in (YES, NO))

    def log_odds(self, logits: Tensor) -> Tensor:
        """Of yes against no, ``(B,)``, from first tokens' logits ``(B, vocabulary)``."""
        logits = logits.double()
        return logits[:, self._yes].logsumexp(1) - logits[:, self._no].logsumexp(1)


def _first_tokens(tokenizer: Any, words: Sequence[str], name: str) -> list[int]:
    found = set()
    for word in words:
        for form in (word, f" {word}"):
            ids = tokenizer(form, add_special_tokens=False)["input_ids"]
            texts = [tokenizer.decode([i]).strip() for i in ids]
            # Some tokenizers give a space a token of its own.
            found |= {i for i, t in zip(ids, texts, strict=True) if t and word.startswith(t)}
    found -= {tokenizer.unk_token_id}
    if not found:
        raise ModelError(f"{name}: its tokenizer cannot say {words[0]!r}")
    return sorted(found)
