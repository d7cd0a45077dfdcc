"""p(z|c) in words, for models that are conditioned by their prompt."""

from __future__ import annotations

import json

from counterveil.categories import CATEGORIES, ControlCode

SYSTEM = (
    "You assist a content moderator who must not be misled. Look at the image and say what it "
    "shows, in one plain sentence, neither more nor less."
)
TEMPLATE = "Question: {question} Answer:"
"""For models that are not chatted with; InstructBLIP's."""
CONTROL = "control: "
"""Starts the line of a prompt that holds the code as JSON, for servers that read it."""
YES_NO = "Answer whether it is so, yes or no, and with one sentence on what the image shows."
"""Follows a moderator's question."""
_BELIEF = (
    "Classifiers rated this image: {ratings}. They are often right and sometimes wrong: where the "
    "image does not show it, say so."
)


def prior(code: ControlCode) -> str:
    """What the classifiers said, and that they may be wrong; guidance 0 says nothing of them."""
    if not code.flagged:
        return SYSTEM
    ratings = ", ".join(f"{_title(key)} {code.guidance[key]:.0%}" for key in code.flagged)
    guided = {key: round(code.guidance[key], 4) for key in code.flagged}
    return "\n".join([SYSTEM, _BELIEF.format(ratings=ratings), CONTROL + json.dumps(guided)])


def _title(key: str) -> str:
    return CATEGORIES[key].title if key in CATEGORIES else key
