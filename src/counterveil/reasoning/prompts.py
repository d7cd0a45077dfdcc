"""Prompts for vision-language models, and P(yes) from the logits of an answer's first token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from counterveil.categories import CATEGORIES, ControlCode
from counterveil.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

SYSTEM = (
    "You assist a content moderator who must not be misled. Look at the image and say what it "
    "shows, in one plain sentence, neither more nor less."
)
QUESTION_TEMPLATE = "Question: {question} Answer:"
"""InstructBLIP's prompt, for models without a chat template."""
CONTROL_PREFIX = "control: "
"""Start of the prompt line that holds the control code as JSON."""
YES_NO_INSTRUCTION = (
    "Answer whether it is so, yes or no, and with one sentence on what the image shows."
)
"""Appended to yes-or-no questions."""
_RATINGS = (
    "Classifiers rated this image: {ratings}. They are often right and sometimes wrong: where the "
    "image does not show it, say so."
)
_YES, _NO = ("yes", "Yes"), ("no", "No")


def system_prompt(code: ControlCode) -> str:
    """The control prior p(z|c) in words; categories with guidance 0 are not mentioned."""
    if not code.flagged:
        return SYSTEM
    ratings = ", ".join(f"{_title(key)} {code.guidance[key]:.0%}" for key in code.flagged)
    guidance = {key: round(code.guidance[key], 4) for key in code.flagged}
    return "\n".join(
        [SYSTEM, _RATINGS.format(ratings=ratings), CONTROL_PREFIX + json.dumps(guidance)]
    )


def _title(key: str) -> str:
    return CATEGORIES[key].title if key in CATEGORIES else key


class YesNoTokens:
    """Ids of the tokens that can start a yes or a no.

    Args:
        tokenizer: tokenizer of the language model.
        name: name of the model, for error messages.

    Raises:
        ModelError: the vocabulary has no token for yes or none for no.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._yes, self._no = (_first_tokens(tokenizer, words, name) for words in (_YES, _NO))

    def log_odds(self, logits: Tensor) -> Tensor:
        """Log-odds of yes ``(B,)`` from first-token logits ``(B, vocabulary)``."""
        logits = logits.double()
        return logits[:, self._yes].logsumexp(1) - logits[:, self._no].logsumexp(1)


def _first_tokens(tokenizer: Any, words: Sequence[str], name: str) -> list[int]:
    found = set()
    for word in words:
        for form in (word, f" {word}"):
            ids = tokenizer(form, add_special_tokens=False)["input_ids"]
            texts = [tokenizer.decode([i]).strip() for i in ids]
            # Some tokenizers encode the leading space as a token of its own: skip it.
            found |= {i for i, t in zip(ids, texts, strict=True) if t and word.startswith(t)}
    found -= {tokenizer.unk_token_id}
    if not found:
        raise ModelError(f"{name}: its tokenizer has no token for {words[0]!r}; use another model")
    return sorted(found)
