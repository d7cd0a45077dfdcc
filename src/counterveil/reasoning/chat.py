"""Any OpenAI-compatible vision model as a reasoner; the control code reaches it in words."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as Pillow

from counterveil.categories import ControlCode
from counterveil.errors import MissingExtraError, UsageError
from counterveil.images import encode_png
from counterveil.reasoning.base import OPEN, Answered
from counterveil.reasoning.prompts import YES_NO, prior
from counterveil.types import Image, ModelInfo

_SCHEMA: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "answer": {"type": "string", "enum": ["yes", "no"]},
                "explanation": {"type": "string"},
            },
            "required": ["answer", "explanation"],
            "additionalProperties": False,
        },
    },
}
_VALUE = re.compile(r'"answer"\s*:\s*"')


@dataclass(frozen=True)
class ChatSettings:
    """How a server is asked.

    Attributes:
        side: longest side of the images sent, pixels; smaller ones are sent as they are.
        timeout: seconds for one answer.
        retries: after time-outs, lost connections, 429 and 5xx, with growing pauses.
        concurrency: questions under way at once.
        tokens: most new tokens of an answer.
    """

    side: int = 768
    timeout: float = 60.0
    retries: int = 3
    concurrency: int = 8
    tokens: int = 300

    def __post_init__(self) -> None:
        if min(self.side, self.concurrency, self.tokens) < 1 or self.timeout <= 0:
            raise UsageError("side, timeout, concurrency and tokens of a chat must be positive")


class ChatReasoner:
    """Asks a server that speaks the OpenAI chat API (vLLM, SGLang, Ollama, a cloud).

    Each question is a request of its own, answered by JSON of a fixed schema. P(yes) comes from
    the log-probabilities of the answer's token where the server gives them; where it does not,
    it is 1 or 0, as the server said. A refusal, a malformed reply or a server that does not
    answer gives no answer, with the reason.

    Args:
        url: of the API, up to and with ``/v1``.
        model: as the server knows it.
        settings: how it is asked.
        key: of the API; ``None`` takes the client's own, from ``OPENAI_API_KEY``.

    Raises:
        MissingExtraError: the extra ``chat`` is not installed.
    """

    knows = None

    def __init__(
        self, url: str, model: str, *, settings: ChatSettings | None = None, key: str | None = None
    ) -> None:
        openai = _openai()
        self.info = ModelInfo(f"chat:{url}#{model}")
        self.settings = settings or ChatSettings()
        self._model = model
        self._errors = openai.OpenAIError
        options = {
            "base_url": url,
            "timeout": self.settings.timeout,
            "max_retries": self.settings.retries,
        }
        try:
            self._client = openai.OpenAI(api_key=key, **options)
        except openai.OpenAIError:  # no key anywhere: servers of one's own need none
            self._client = openai.OpenAI(api_key="none", **options)

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[Answered]]:
        """Answers to the questions of each image, asked at once.

        Args:
            images: RGB ``(H, W, 3)`` uint8, of any sizes.
            questions: of each image.
            codes: of each image.
            text: kept or not; the server writes it all the same.
        """
        urls = [data_url(image, self.settings.side) for image in images]
        jobs = [
            (url, question, code)
            for url, asked, code in zip(urls, questions, codes, strict=True)
            for question in asked
        ]
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            answers = pool.map(lambda job: self._ask(*job), jobs)
            return [[next(answers) for _ in asked] for asked in questions]

    def _ask(self, url: str, question: str, code: ControlCode) -> Answered:
        free = question in OPEN
        options: dict[str, Any] = {"max_tokens": self.settings.tokens, "temperature": 0}
        if not free:
            options |= {"response_format": _SCHEMA, "logprobs": True, "top_logprobs": 10}
        messages = [
            {"role": "system", "content": prior(code)},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": url}},
                    {"type": "text", "text": question if free else f"{question}\n{YES_NO}"},
                ],
            },
        ]
        try:
            reply = self._client.chat.completions.create(
                model=self._model, messages=messages, **options
            )
            return read(question, reply, free=free)
        except self._errors as error:
            return Answered(question, "", None, _reason(error))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # The client builds its values without checking them, so a server's slip shows late.
            return Answered(question, "", None, f"the server's reply is malformed ({error})")


def read(question: str, reply: Any, *, free: bool) -> Answered:
    """A server's reply as an answer; anything unexpected is no answer."""
    choice = reply.choices[0] if reply.choices else None
    said = (choice.message.content or "").strip() if choice else ""
    if choice is None or choice.finish_reason == "content_filter" or not said:
        refusal = getattr(choice.message, "refusal", None) if choice else None
        return Answered(question, "", None, refusal or "the server gave no answer")
    if free:
        return Answered(question, said, None)
    try:
        value = json.loads(said)
        verdict, text = value["answer"], value["explanation"]
    except (ValueError, LookupError, TypeError):
        return Answered(question, "", None, "the server's reply is not the JSON asked for")
    if verdict not in ("yes", "no") or not isinstance(text, str):
        return Answered(question, "", None, "the server's reply is neither yes nor no")
    p_yes = _p_yes(choice)
    if p_yes is None:
        p_yes = float(verdict == "yes")
    if not text.lower().startswith(verdict):
        text = f"{verdict.capitalize()}. {text}".strip()
    return Answered(question, text, p_yes)


def _p_yes(choice: Any) -> float | None:
    """From the alternatives at the token that says yes or no; ``None`` without them."""
    tokens = getattr(choice.logprobs, "content", None) if choice.logprobs else None
    said = ""
    for token in tokens or ():
        ready = _VALUE.search(said)
        if ready and ready.end() == len(said):
            weight = {"yes": 0.0, "no": 0.0}
            for other in token.top_logprobs or [token]:
                word = other.token.strip().strip('"').lower()
                for verdict in weight:
                    if word and verdict.startswith(word):
                        weight[verdict] += math.exp(other.logprob)
            total = sum(weight.values())
            return weight["yes"] / total if total else None
        said += token.token
    return None


def data_url(image: Image, side: int) -> str:
    """An image as a PNG in a URL, shrunk to a longest side."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")


def load(argument: str, *, device: str = "cpu") -> ChatReasoner:
    """The reasoner of ``chat:URL#MODEL`` or ``chat:URL#MODEL@SIDE``.

    Raises:
        UsageError: URL or model are missing.
        MissingExtraError: the extra ``chat`` is not installed.
    """
    url, _, model = argument.partition("#")
    name, _, side = model.rpartition("@")
    if name and side.isdecimal():
        settings = ChatSettings(side=int(side))
    else:
        name, settings = model, ChatSettings()
    if not url.startswith(("http://", "https://")) or not name:
        raise UsageError(
            f"chat:{argument!r} must read chat:URL#MODEL, such as chat:http://localhost:8000/v1#name"
        )
    return ChatReasoner(url, name, settings=settings)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"the server did not answer ({type(error).__name__}: {text[:200]})"


def _openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError(
            "chat endpoints need the extra: pip install 'counterveil[chat]'"
        ) from error
    return openai
