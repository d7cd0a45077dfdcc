"""Any OpenAI-compatible vision model as a reasoner; the control code reaches it in words.

``chat:URL#MODEL?timeout=30&retries=2``: the options are the fields of :class:`ChatSettings`;
``chat:URL#MODEL@SIDE`` is short for ``?side=SIDE``. A user, a password and a query of the URL are
used, and told to nobody: records call the model ``chat:HOST#MODEL``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import numpy as np
from PIL import Image as Pillow

from counterveil.categories import ControlCode
from counterveil.errors import MissingExtraError, UsageError
from counterveil.images import encode_png
from counterveil.reasoning.base import OPEN, Answered
from counterveil.reasoning.negotiation import Negotiation
from counterveil.reasoning.options import split, typed
from counterveil.reasoning.patience import Patience, RestingError
from counterveil.reasoning.prompts import YES_NO, prior
from counterveil.reasoning.replies import read
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
_BUSY = (408, 409, 429)
"""Statuses that pass, beside 5xx."""


@dataclass(frozen=True)
class ChatSettings:
    """How a server is asked.

    Attributes:
        side: longest side of the images sent, pixels; smaller ones are sent as they are.
        timeout: seconds for one answer.
        retries: after time-outs, lost connections, 429 and 5xx, with growing pauses.
        concurrency: questions under way at once.
        tokens: most new tokens of an answer.
        failures: time-outs and lost connections in a row after which the server is left alone.
        rest: seconds for which it is, at first; they double while it stays away.
    """

    side: int = 768
    timeout: float = 60.0
    retries: int = 3
    concurrency: int = 8
    tokens: int = 300
    failures: int = 3
    rest: float = 30.0

    def __post_init__(self) -> None:
        if min(self.side, self.concurrency, self.tokens, self.failures) < 1 or self.timeout <= 0:
            raise UsageError(
                "side, timeout, concurrency, tokens and failures of a chat must be positive"
            )
        if self.retries < 0 or self.rest < 0:
            raise UsageError("retries and rest of a chat must not be negative")


class ChatReasoner:
    """Asks a server that speaks the OpenAI chat API (vLLM, SGLang, Ollama, a cloud).

    Each question is a request of its own, answered by JSON of a fixed schema. P(yes) comes from
    the log-probabilities of the answer's token where the server gives them; where it does not,
    it is 1 or 0, as the server said. What a server refuses to take (a schema, log-probabilities)
    it is not sent again. A refusal, a malformed reply or a server that does not answer gives no
    answer, with the reason; one that does not answer repeatedly is left alone for a while.

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
        parts = urlsplit(url)
        self.info = ModelInfo(f"chat:{parts.hostname}#{model}")
        self.settings = settings or ChatSettings()
        self._model = model
        self._errors = openai.OpenAIError
        self._refused_key = (openai.AuthenticationError, openai.PermissionDeniedError)
        self._negotiation = Negotiation()
        self._patience = Patience(
            retries=self.settings.retries,
            failures=self.settings.failures,
            rest=self.settings.rest,
            gone=lambda error: isinstance(error, openai.APIConnectionError),
            passing=_passing,
        )
        self._client = _client(openai, parts, key, self.settings.timeout)

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
        asked = question if free else f"{question}\n{YES_NO}"
        content = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": asked},
        ]
        messages = [
            {"role": "system", "content": prior(code)},
            {"role": "user", "content": content},
        ]

        def create(**sent: Any) -> Any:
            completions = self._client.chat.completions
            return self._patience.ask(
                lambda: completions.create(model=self._model, messages=messages, **sent)
            )

        try:
            return read(question, self._negotiation.ask(create, options), free=free)
        except RestingError as error:
            return Answered(question, "", None, f"the server was not asked: {error}")
        except self._errors as error:
            return Answered(question, "", None, self._reason(error))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # The client builds its values without checking them, so a server's slip shows late.
            return Answered(question, "", None, f"the server's reply is malformed ({error})")

    def _reason(self, error: Exception) -> str:
        kind = type(error).__name__
        if isinstance(error, self._refused_key):  # whose words may hold a part of the key
            return f"the server did not answer ({kind}: it refused the key)"
        return f"the server did not answer ({kind}: {' '.join(str(error).split())[:200]})"


def data_url(image: Image, side: int) -> str:
    """An image as a PNG in a URL, shrunk to a longest side."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")


def load(argument: str, *, device: str = "cpu") -> ChatReasoner:
    """The reasoner of ``chat:URL#MODEL``, ``chat:URL#MODEL@SIDE``, ``chat:URL#MODEL?timeout=30``.

    Raises:
        UsageError: URL or model are missing, or an option is not one.
        MissingExtraError: the extra ``chat`` is not installed.
    """
    url, _, rest = argument.partition("#")
    model, given = split(rest)
    name, _, side = model.rpartition("@")
    if name and side.isdecimal():
        given = {"side": side, **given}
    else:
        name = model
    if not url.startswith(("http://", "https://")) or not urlsplit(url).hostname or not name:
        raise UsageError(
            "the spec must read chat:URL#MODEL, such as chat:http://localhost:8000/v1#name"
        )
    return ChatReasoner(url, name, settings=typed(ChatSettings, given))


def _client(openai: Any, url: SplitResult, key: str | None, timeout: float) -> Any:
    """The official client; retries are ours, so that they end when the server is left alone."""
    options = {
        "base_url": url._replace(query="").geturl(),
        "default_query": dict(parse_qsl(url.query)) or None,
        "timeout": timeout,
        "max_retries": 0,
    }
    try:
        return openai.OpenAI(api_key=key, **options)
    except openai.OpenAIError:  # no key anywhere: servers of one's own need none
        return openai.OpenAI(api_key="none", **options)


def _passing(error: Exception) -> float | None:
    """Seconds to wait, at least, where asking again may help."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        if status not in _BUSY and status < 500:
            return None
        asked = error.response.headers.get("retry-after", "")  # type: ignore[attr-defined]
        return min(float(asked), 60.0) if asked.isdecimal() else 0.0
    return 0.0 if type(error).__name__ in ("APIConnectionError", "APITimeoutError") else None


def _openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError(
            "chat endpoints need the extra: pip install 'counterveil[chat]'"
        ) from error
    return openai
