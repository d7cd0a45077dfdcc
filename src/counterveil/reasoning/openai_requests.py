"""Requests to an OpenAI-compatible server, with retries, and the parsing of its replies."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

import json
import math
import re

from counterveil.reasoning.interfaces import OPEN_QUESTIONS, QuestionAnswer

T = TypeVar("T")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0  # seconds between two attempts of one request
_LONGEST_REST = 600.0  # seconds that the circuit stays open
_TEMPORARY_STATUSES = (408, 409, 429)  # besides 5xx


class CircuitOpenError(Exception):
    """The server failed repeatedly and gets no requests for a while."""


class RetryPolicy:
    """Retries with exponential backoff, and a circuit breaker shared by all requests.

    Without the breaker, a hanging server would cost its timeout for every question. After
    ``failures`` connection errors in a row, no request is sent for ``rest`` seconds. Then one
    request probes the server; if it fails too, the rest doubles.

    Args:
        connection_error: exception class for timeouts and lost connections.
        retries: maximum number of retries of one request.
        failures: connection errors in a row, over all requests, that open the circuit.
        rest: seconds.
    """

    def __init__(
        self, connection_error: type[Exception], *, retries: int, failures: int, rest: float
    ) -> None:
        self._connection_error, self._retries = connection_error, retries
        self._max_failures, self._rest = failures, rest
        self._failures, self._rests, self._open_until = 0, 0, 0.0
        self._probe_lock, self._state_lock = Lock(), Lock()

    def call(self, request: Callable[..., T], **arguments: Any) -> T:
        """Return the result of ``request(**arguments)``.

        Raises:
            CircuitOpenError: the request was not sent.
            Exception: the error of the last attempt.
        """
        request = partial(request, **arguments)
        if not self._circuit_open():
            return self._call_with_retries(request)
        with self._probe_lock:  # the other requests wait for the result of the probe
            if self._circuit_open():
                remaining = self._open_until - time.monotonic()
                if remaining > 0:
                    raise CircuitOpenError(
                        f"the server did not answer {self._failures} times in a row; "
                        f"next attempt in {remaining:.0f} s"
                    )
                return self._attempt(request, probe=True)
        return self._call_with_retries(request)

    def _call_with_retries(self, request: Callable[[], T]) -> T:
        from tenacity import Retrying, retry_if_exception

        retrying = Retrying(
            retry=retry_if_exception(lambda error: self._retry_after(error) is not None),
            stop=lambda state: state.attempt_number > self._retries or self._circuit_open(),
            wait=self._wait,
            reraise=True,
        )
        result: T = retrying(self._attempt, request)
        return result

    def _attempt(self, request: Callable[[], T], *, probe: bool = False) -> T:
        try:
            result = request()
        except Exception as error:
            self._record(failed=isinstance(error, self._connection_error), probe=probe)
            raise
        self._record(failed=False, probe=probe)
        return result

    def _wait(self, state: RetryCallState) -> float:
        """Exponential backoff with jitter, at least as long as the server asks for."""
        pause = float(min(_FIRST_WAIT * 2 ** (state.attempt_number - 1), _LONGEST_WAIT))
        error = state.outcome.exception() if state.outcome else None
        return max(self._retry_after(error) or 0.0, pause * random.uniform(0.75, 1))

    def _retry_after(self, error: BaseException | None) -> float | None:
        """Minimum seconds before a retry; ``None`` if a retry cannot help."""
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            if status not in _TEMPORARY_STATUSES and status < 500:
                return None
            header = error.response.headers.get("retry-after", "")  # type: ignore[union-attr]
            return min(float(header), 60.0) if header.isdecimal() else 0.0
        return 0.0 if isinstance(error, self._connection_error) else None

    def _circuit_open(self) -> bool:
        return self._failures >= self._max_failures

    def _record(self, *, failed: bool, probe: bool) -> None:
        with self._state_lock:
            if not failed:  # any reply, an error status too, shows that the server is there
                self._failures = self._rests = 0
                return
            self._failures += 1
            # Requests that were under way when the circuit opened must not extend the rest.
            if probe or self._failures == self._max_failures:
                rest = self._rest * 2 ** min(self._rests, 16)
                self._open_until = time.monotonic() + min(_LONGEST_REST, rest)
                self._rests += 1


# Options that a server may not support, with the words that name them in error messages. If a
# message names none of them, they are dropped in this order.
_OPTION_NAMES = {
    "logprobs": ("logprob",),
    "response_format": ("response_format", "json_schema", "structured output", "grammar"),
    "max_tokens": ("max_tokens",),
    "max_completion_tokens": ("max_completion_tokens",),
    "temperature": ("temperature",),
}
_INVALID_REQUEST = (400, 422)
_UNRELATED_STATUSES = (401, 403, 404, 429)  # no option causes these


class ServerCapabilities:
    """Learns from a server's errors which request options it does not support."""

    def __init__(self) -> None:
        self.unsupported: frozenset[str] = frozenset()
        self._accepted: set[frozenset[str]] = set()

    def request(self, create: Callable[..., Any], options: Mapping[str, Any]) -> Any:
        """Call ``create`` with all options that the server supports, and return its result.

        Raises:
            Exception: the first error of ``create``, if dropping options does not help.
        """
        unsupported, first = self.unsupported, None
        while True:
            sent = _supported(options, unsupported)
            try:
                reply = create(**sent)
            except Exception as error:  # the client's own error classes
                first = first or error
                dropped = self._rejected_option(error, sent)
                if dropped is None:
                    raise first from None
                unsupported |= {dropped}
                continue
            self.unsupported |= unsupported
            self._accepted.add(frozenset(sent))
            return reply

    def _rejected_option(self, error: Exception, sent: Mapping[str, Any]) -> str | None:
        status = getattr(error, "status_code", None)
        message = f"{getattr(error, 'param', '')} {error}".lower()
        if status is None or status in _UNRELATED_STATUSES or "content_filter" in message:
            return None
        candidates = [name for name in _OPTION_NAMES if name in sent]
        named = [n for n in candidates if any(word in message for word in _OPTION_NAMES[n])]
        if named:
            return named[0]
        # A server that accepted these options before rejects something else, such as the image.
        guess = status in _INVALID_REQUEST and frozenset(sent) not in self._accepted
        return candidates[0] if guess and candidates else None


def _supported(options: Mapping[str, Any], unsupported: frozenset[str]) -> dict[str, Any]:
    sent = {name: value for name, value in options.items() if name not in unsupported}
    if "logprobs" in unsupported:
        sent.pop("top_logprobs", None)
    # Newer servers know the maximum length under another name.
    if "max_tokens" in unsupported and "max_completion_tokens" not in unsupported:
        sent["max_completion_tokens"] = options["max_tokens"]
    return sent


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
