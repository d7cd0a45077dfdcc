"""What a chat model wrote -> an answer; what is no answer stays none, with the reason."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from counterveil.reasoning.base import Answered

_THOUGHT = re.compile(r"<think>.*?</think>", re.S)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.S | re.I)
_OBJECT = re.compile(r"\{[^{}]*\}", re.S)
_SCRAP = re.compile(r'^\W*[\[{]|"\w+"\s*:')
_BARE = re.compile(r"\W*(yes|no)\b\W*$|\W*(yes|no)\s*[.,:;!\n\u2013\u2014-]\s*(.*)$", re.S | re.I)
_TURNED = re.compile(r"(?:^|[.!?;,]\s+)(yes|no)\s*(?:[.,;:!?]|$)", re.I)
"""A second verdict, as a clause of its own; "no people" is none."""
_VALUE = re.compile(r'"answer"\s*:\s*"?$')
_SORRY = re.compile(
    r"\W*(?:(?:i['’]?m|i am) (?:\w+ )?(?:sorry|afraid)|sorry|i apologi[sz]e)\b", re.I
)
_WILL_NOT = re.compile(
    r"\b(?:i|we)(?:['’]m| am|['’]re| are)?\s+(?:can['’]?t|can ?not|won['’]?t|will not|unable to|"
    r"not able to|not allowed to|not comfortable|must decline|decline to|have to decline)"
    r"(?:\s+\w+)?\s*(?:assist|help|compl[yi]|descri|provid|answer|respond|discuss|engag|fulfil|"
    r"analy|continu|process|do (?:that|this|so)|generat|comment|$|[.!])",
    re.I,
)
_HEAD = 200
"""Characters in which a refusal comes; later, the words are about the image."""


def read(question: str, reply: Any, *, free: bool) -> Answered:
    """A server's reply as an answer; anything unexpected is no answer.

    Args:
        question: as asked.
        reply: a chat completion.
        free: a sentence was asked for, not yes or no.
    """
    choice = reply.choices[0] if reply.choices else None
    said = _THOUGHT.sub("", choice.message.content or "").strip() if choice else ""
    if choice is None or choice.finish_reason == "content_filter" or not said:
        refusal = getattr(choice.message, "refusal", None) if choice else None
        return Answered(question, "", None, refusal or "the server gave no answer")
    if free:
        return described(question, said)
    found = verdict(said)
    if isinstance(found, str):
        return Answered(question, "", None, found)
    yes, text = found
    p_yes = _p_yes(choice)
    word = "Yes" if yes else "No"
    if not text.lower().startswith(word.lower()):
        text = f"{word}. {text}".strip()
    return Answered(question, text, float(yes) if p_yes is None else p_yes)


def described(question: str, said: str) -> Answered:
    """A description in plain words; a refusal and a scrap of JSON are none."""
    value = _json(said)
    if isinstance(value, dict):
        words = [word for word in value.values() if isinstance(word, str)]
        said = words[0] if len(words) == len(value) == 1 else said
    if refused := refusal(said):
        return Answered(question, "", None, refused)
    if _SCRAP.search(said) or not re.search(r"\w", said):
        return Answered(question, "", None, "the reply holds data where words were asked for")
    return Answered(question, said, None)


def refusal(said: str) -> str:
    """The reason that words are a refusal and no answer; empty where they are an answer."""
    head = said[:_HEAD]
    if _SORRY.match(head) or _WILL_NOT.search(head):
        return f"the model refused: {' '.join(head.split())[:100]}"
    return ""


def verdict(said: str) -> tuple[bool, str] | str:
    """Yes or no with its explanation, or why it is neither."""
    value = _json(said)
    bare = _BARE.match(said)
    if isinstance(value, dict) and "answer" in value:
        word, text = value["answer"], value.get("explanation", "")
        word = {True: "yes", False: "no"}[word] if isinstance(word, bool) else word
        if not isinstance(word, str) or word.lower().strip(" .") not in ("yes", "no"):
            return "the server's reply is neither yes nor no"
        word, text = word.lower().strip(" ."), text if isinstance(text, str) else ""
    elif value is None and bare and not _SCRAP.search(said):
        word, text = (bare[1] or bare[2]).lower(), (bare[3] or "").strip()
        if {turn.lower() for turn in _TURNED.findall(text)} - {word}:
            return "the server's reply says both yes and no"
    else:
        return refusal(said) or "the server's reply is not the JSON asked for"
    return refusal(text) or (word == "yes", text)


def _json(said: str) -> Any:
    """The one JSON value of a reply, bare, fenced or among words; ``None`` without one."""
    fenced = _FENCE.findall(said)
    for text in (said, *(fenced if len(fenced) == 1 else ())):
        try:
            return json.loads(text)
        except ValueError:
            continue
    objects = _OBJECT.findall(said)
    try:
        return json.loads(objects[0]) if len(objects) == 1 else None
    except ValueError:
        return None


def _p_yes(choice: Any) -> float | None:
    """From the alternatives at the token that says yes or no; ``None`` without them."""
    tokens = getattr(choice.logprobs, "content", None) if choice.logprobs else None
    said = ""
    for token in tokens or ():
        first = _VALUE.search(said) or not re.search(r"\w", said)
        if first and _starts(token.token):
            weight = {"yes": 0.0, "no": 0.0}
            for other in token.top_logprobs or [token]:
                for word in _starts(other.token):
                    weight[word] += math.exp(other.logprob)
            total = sum(weight.values())
            return weight["yes"] / total if total else None
        said += token.token
    return None


def _starts(token: str) -> list[str]:
    """The verdicts that a token may start."""
    word = token.strip().strip('".,').lower()
    return [verdict for verdict in ("yes", "no") if word and verdict.startswith(word)]
