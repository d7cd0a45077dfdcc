"""Any OpenAI-compatible vision model as a reasoner; the control code is part of the prompt.

``chat:URL#MODEL?timeout=30&retries=2``: the options are the fields of :class:`ChatSettings`;
``chat:URL#MODEL@SIDE`` is short for ``?side=SIDE``. User, password and query of the URL are sent
to the server but never recorded: records name the model ``chat:HOST#MODEL``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import numpy as np
from PIL import Image as Pillow

from counterveil.categories import ControlCode
from counterveil.errors import MissingExtraError, UsageError
from counterveil.images import encode_png
from counterveil.reasoning.interfaces import OPEN_QUESTIONS, QuestionAnswer
from counterveil.reasoning.openai_requests import (
    CircuitOpenError,
    RetryPolicy,
    ServerCapabilities,
    parse_reply,
)
from counterveil.reasoning.options import parse_options, split_options
from counterveil.reasoning.prompts import YES_NO_INSTRUCTION, system_prompt
from counterveil.types import Image, ModelInfo

_SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "enum": ["yes", "no"]},
        "explanation": {"type": "string"},
    },
    "required": ["answer", "explanation"],
    "additionalProperties": False,
}
_RESPONSE_FORMAT: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "strict": True, "schema": _SCHEMA},
}


@dataclass(frozen=True)
class ChatSettings:
    """Settings of requests to a server.

    Attributes:
        side: longest side of the images sent, in pixels; smaller images are sent unchanged.
        timeout: seconds for one reply.
        retries: retries after timeouts, lost connections, 429 and 5xx, with growing pauses.
        concurrency: maximum number of concurrent requests.
        tokens: maximum number of new tokens per answer.
        failures: connection errors in a row that open the circuit.
        rest: seconds that the circuit first stays open; doubles with each failed probe.
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
    """Reasoner behind the OpenAI chat API (vLLM, SGLang, Ollama, a cloud service).

    Each question is one request, answered in JSON of a fixed schema. P(yes) comes from the log
    probabilities of the answer's token; without them it is 1 or 0. Options that the server rejects
    are not sent again. A refusal, a malformed reply or a server that does not respond gives an
    answer without P(yes), and the reason.

    Args:
        url: URL of the API, including ``/v1``.
        model: model name on the server.
        settings: settings of the requests.
        key: API key; ``None`` reads ``OPENAI_API_KEY``.

    Raises:
        MissingExtraError: the extra ``chat`` is not installed.
    """

    supported_categories = None

    def __init__(
        self, url: str, model: str, *, settings: ChatSettings | None = None, key: str | None = None
    ) -> None:
        openai = _import_openai()
        parts = urlsplit(url)
        self.info = ModelInfo(f"chat:{parts.hostname}#{model}")
        self.settings = settings or ChatSettings()
        self._model = model
        self._client_error = openai.OpenAIError
        self._key_errors = (openai.AuthenticationError, openai.PermissionDeniedError)
        self._capabilities = ServerCapabilities()
        self._retry_policy = RetryPolicy(
            openai.APIConnectionError,
            retries=self.settings.retries,
            failures=self.settings.failures,
            rest=self.settings.rest,
        )
        self._client = _make_client(openai, parts, key, self.settings.timeout)

    def answer(
        self,
        images: Sequence[Image],
        questions: Sequence[Sequence[str]],
        codes: Sequence[ControlCode],
        *,
        text: bool = True,
    ) -> list[list[QuestionAnswer]]:
        """Answer the questions of each image, with concurrent requests; ``text`` is ignored."""
        urls = [data_url(image, self.settings.side) for image in images]
        requests = [
            (url, question, code)
            for url, row, code in zip(urls, questions, codes, strict=True)
            for question in row
        ]
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            answers = pool.map(lambda request: self._answer_one(*request), requests)
            return [[next(answers) for _ in row] for row in questions]

    def _answer_one(self, url: str, question: str, code: ControlCode) -> QuestionAnswer:
        open_question = question in OPEN_QUESTIONS
        options: dict[str, Any] = {"max_tokens": self.settings.tokens, "temperature": 0}
        if not open_question:
            options |= {"response_format": _RESPONSE_FORMAT, "logprobs": True, "top_logprobs": 10}
        prompt = question if open_question else f"{question}\n{YES_NO_INSTRUCTION}"
        image_part = {"type": "image_url", "image_url": {"url": url}}
        messages = [
            {"role": "system", "content": system_prompt(code)},
            {"role": "user", "content": [image_part, {"type": "text", "text": prompt}]},
        ]
        create = partial(
            self._retry_policy.call,
            self._client.chat.completions.create,
            model=self._model,
            messages=messages,
        )
        try:
            reply = self._capabilities.request(create, options)
            return parse_reply(question, reply, open_question=open_question)
        except CircuitOpenError as error:
            reason = f"no request was sent: {error}"
        except self._client_error as error:
            reason = self._reason(error)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # The client does not validate replies, so malformed ones fail only here.
            reason = f"the server's reply is malformed ({error})"
        return QuestionAnswer(question, "", None, reason)

    def _reason(self, error: Exception) -> str:
        kind = type(error).__name__
        if isinstance(error, self._key_errors):  # the message may contain parts of the key
            return f"the server did not answer ({kind}: it rejected the API key)"
        return f"the server did not answer ({kind}: {' '.join(str(error).split())[:200]})"


def data_url(image: Image, side: int) -> str:
    """Encode an image as a PNG data URL; its longest side is at most ``side`` pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode("ascii")


def load(argument: str, *, device: str = "cpu") -> ChatReasoner:
    """Make the client for ``chat:URL#MODEL``, ``chat:URL#MODEL@SIDE`` or ``chat:URL#MODEL?...``."""
    url, _, rest = argument.partition("#")
    model, options = split_options(rest)
    name, _, side = model.rpartition("@")
    if name and side.isdecimal():
        options = {"side": side, **options}
    else:
        name = model
    if not url.startswith(("http://", "https://")) or not urlsplit(url).hostname or not name:
        raise UsageError(
            "the spec must read chat:URL#MODEL, such as chat:http://localhost:8000/v1#name"
        )
    return ChatReasoner(url, name, settings=parse_options(ChatSettings, options))


def _make_client(openai: Any, url: SplitResult, key: str | None, timeout: float) -> Any:
    options = {
        "base_url": url._replace(query="").geturl(),
        "default_query": dict(parse_qsl(url.query)) or None,
        "timeout": timeout,
        # RetryPolicy retries, so that an open circuit also stops retries under way.
        "max_retries": 0,
    }
    try:
        return openai.OpenAI(api_key=key, **options)
    except openai.OpenAIError:  # no key found; local servers need none
        return openai.OpenAI(api_key="none", **options)


def _import_openai() -> Any:
    try:
        import openai
        import tenacity  # noqa: F401  (used by RetryPolicy)
    except ImportError as error:
        raise MissingExtraError(
            "chat reasoners need the extra: pip install 'counterveil[chat]'"
        ) from error
    return openai
