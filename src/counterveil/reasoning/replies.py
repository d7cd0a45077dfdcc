"""Parse what a chat model writes; a reply that is no answer gives no P(yes), and the reason."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from counterveil.reasoning.interfaces import OPEN_QUESTIONS, QuestionAnswer

_THINKING = re.compile(r"<think>.*?</think>", re.S)
_CODE_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.S | re.I)
_JSON_OBJECT = re.compile(r"\{[^{}]*\}", re.S)
_JSON_FRAGMENT = re.compile(r'^\W*[\[{]|"\w+"\s*:')
_YES_NO_TEXT = re.compile(
    r"\W*(yes|no)\b\W*$|\W*(yes|no)\s*[.,:;!\n\u2013\u2014-]\s*(.*)$", re.S | re.I
)
# A second yes or no as its own clause; "no people" is not one.
_YES_NO_CLAUSE = re.compile(r"(?:^|[.!?;,]\s+)(yes|no)\s*(?:[.,;:!?]|$)", re.I)
_ANSWER_KEY = re.compile(r'"answer"\s*:\s*"?$')
_APOLOGY = re.compile(
    r"\W*(?:(?:i['’]?m|i am) (?:\w+ )?(?:sorry|afraid)|sorry|i apologi[sz]e)\b", re.I
)
_DECLINE = re.compile(
    r"\b(?:i|we)(?:['’]m| am|['’]re| are)?\s+(?:can['’]?t|can ?not|won['’]?t|will not|unable to|"
    r"not able to|not allowed to|not comfortable|must decline|decline to|have to decline)"
    r"(?:\s+\w+)?\s*(?:assist|help|compl[yi]|descri|provid|answer|respond|discuss|engag|fulfil|"
    r"analy|continu|process|do (?:that|this|so)|generat|comment|$|[.!])",
    re.I,
)
# Refusals come at the start of a reply; later words are about the image.
_REFUSAL_LENGTH = 200


def parse_reply(question: str, reply: Any, *, open_question: bool) -> QuestionAnswer:
    """Convert a chat completion to an answer.

    Args:
        question: the question.
        reply: chat completion of the ``openai`` client.
        open_question: expect a sentence, not yes or no.
    """
    choice = reply.choices[0] if reply.choices else None
    text = _THINKING.sub("", choice.message.content or "").strip() if choice else ""
    if choice is None or choice.finish_reason == "content_filter" or not text:
        refusal = getattr(choice.message, "refusal", None) if choice else None
        return QuestionAnswer(question, "", None, refusal or "the server gave no answer")
    if open_question:
        return parse_description(question, text)
    parsed = _parse_yes_no(text)
    if isinstance(parsed, str):
        return QuestionAnswer(question, "", None, parsed)
    yes, explanation = parsed
    p_yes = _p_yes(choice)
    word = "Yes" if yes else "No"
    if not explanation.lower().startswith(word.lower()):
        explanation = f"{word}. {explanation}".strip()
    return QuestionAnswer(question, explanation, float(yes) if p_yes is None else p_yes)


def parse_text(question: str, text: str, p_yes: float) -> QuestionAnswer:
    """Combine a model's text and P(yes); an open question or a refusal has no P(yes)."""
    if question in OPEN_QUESTIONS:
        return parse_description(question, text) if text else QuestionAnswer(question, "", None)
    if refusal := find_refusal(text):
        return QuestionAnswer(question, "", None, refusal)
    return QuestionAnswer(question, text, p_yes)


def parse_description(question: str, text: str) -> QuestionAnswer:
    """Convert a description to an answer; a refusal or a JSON fragment is none."""
    value = _parse_json(text)
    if isinstance(value, dict):
        strings = [item for item in value.values() if isinstance(item, str)]
        text = strings[0] if len(strings) == len(value) == 1 else text
    if refusal := find_refusal(text):
        return QuestionAnswer(question, "", None, refusal)
    if _JSON_FRAGMENT.search(text) or not re.search(r"\w", text):
        return QuestionAnswer(question, "", None, "the reply is not a sentence")
    return QuestionAnswer(question, text, None)


def find_refusal(text: str) -> str:
    """Reason if the text refuses to answer; empty if it answers."""
    head = text[:_REFUSAL_LENGTH]
    if _APOLOGY.match(head) or _DECLINE.search(head):
        return f"the model refused: {' '.join(head.split())[:100]}"
    return ""


def _parse_yes_no(text: str) -> tuple[bool, str] | str:
    """Yes or no with its explanation; or the reason why the text is neither."""
    value = _parse_json(text)
    plain_answer = _YES_NO_TEXT.match(text)
    if isinstance(value, dict) and "answer" in value:
        word, explanation = value["answer"], value.get("explanation", "")
        word = {True: "yes", False: "no"}[word] if isinstance(word, bool) else word
        if not isinstance(word, str) or word.lower().strip(" .") not in ("yes", "no"):
            return "the server's reply is neither yes nor no"
        word = word.lower().strip(" .")
        explanation = explanation if isinstance(explanation, str) else ""
    elif value is None and plain_answer and not _JSON_FRAGMENT.search(text):
        word = (plain_answer[1] or plain_answer[2]).lower()
        explanation = (plain_answer[3] or "").strip()
        if {found.lower() for found in _YES_NO_CLAUSE.findall(explanation)} - {word}:
            return "the server's reply says both yes and no"
    else:
        return find_refusal(text) or "the server's reply is not the requested JSON"
    return find_refusal(explanation) or (word == "yes", explanation)


def _parse_json(text: str) -> Any:
    """The only JSON value of a text, bare, fenced or within words; ``None`` if not unique."""
    fenced = _CODE_FENCE.findall(text)
    for candidate in (text, *(fenced if len(fenced) == 1 else ())):
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    objects = _JSON_OBJECT.findall(text)
    try:
        return json.loads(objects[0]) if len(objects) == 1 else None
    except ValueError:
        return None


def _p_yes(choice: Any) -> float | None:
    """P(yes) from the log probabilities at the answer's token; ``None`` without them."""
    tokens = getattr(choice.logprobs, "content", None) if choice.logprobs else None
    text = ""
    for token in tokens or ():
        # The answer follows the key "answer", or is the first word of a reply without JSON.
        at_answer = _ANSWER_KEY.search(text) or not re.search(r"\w", text)
        if at_answer and _possible_answers(token.token):
            weight = {"yes": 0.0, "no": 0.0}
            for alternative in token.top_logprobs or [token]:
                for word in _possible_answers(alternative.token):
                    weight[word] += math.exp(alternative.logprob)
            total = sum(weight.values())
            return weight["yes"] / total if total else None
        text += token.token
    return None


def _possible_answers(token: str) -> list[str]:
    """Which of yes and no start with this token."""
    start = token.strip().strip('".,').lower()
    return [word for word in ("yes", "no") if start and word.startswith(start)]
