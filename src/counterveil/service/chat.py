"""A reasoner behind an OpenAI-compatible route, for any client of that API.

The control code comes in the prompt, as a line ``control: {"self_harm": 0.9}``; the client
:class:`counterveil.reasoning.chat.ChatReasoner` writes one. Without it, nothing is conditioned.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import time
import uuid
from dataclasses import dataclass
from threading import Lock
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from counterveil import __version__
from counterveil.categories import ControlCode
from counterveil.errors import CounterveilError, UsageError
from counterveil.images import Limits, load
from counterveil.reasoning.base import Answered, Reasoner
from counterveil.reasoning.prompts import CONTROL, YES_NO
from counterveil.types import Image


class Message(BaseModel):
    """One message; content is text, or parts of text and images."""

    role: str
    content: str | list[dict[str, Any]]


class Completion(BaseModel):
    """What a client asks for; settings that a reasoner has of its own are taken and ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[Message]
    response_format: dict[str, Any] | None = None
    logprobs: bool = False
    stream: bool = False


@dataclass(frozen=True, eq=False)
class Asked:
    """What a conversation comes down to."""

    image: Image
    question: str
    code: ControlCode


def app(reasoner: Reasoner, *, limits: Limits | None = None) -> FastAPI:
    """The routes ``/v1/chat/completions``, ``/v1/models`` and ``/health``.

    Args:
        reasoner: who answers; one request at a time.
        limits: of the images that clients send.
    """
    served = FastAPI(title="Counterveil reasoner", version=__version__)
    lock = Lock()

    @served.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @served.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": reasoner.info.name, "object": "model"}]}

    @served.post("/v1/chat/completions")
    def complete(body: Completion) -> dict[str, Any]:
        asked = read(body, limits or Limits())
        with lock:
            answered = reasoner.answer([asked.image], [[asked.question]], [asked.code])[0][0]
        return reply(answered, body)

    @served.exception_handler(CounterveilError)
    def refused(request: Request, error: CounterveilError) -> JSONResponse:
        content = {"error": {"message": str(error), "type": "invalid_request_error"}}
        return JSONResponse(content, status_code=400)

    return served


def read(body: Completion, limits: Limits) -> Asked:
    """The image, the last question and the code of a conversation.

    Raises:
        UsageError: there is not exactly one image, or no question.
        ImageError: the image cannot be read.
    """
    if body.stream:
        raise UsageError("answers are not streamed; leave stream out")
    urls: list[str] = []
    texts: list[str] = []
    said: list[str] = []
    for message in body.messages:
        parts = message.content
        if isinstance(parts, str):
            parts = [{"type": "text", "text": parts}]
        for part in parts:
            try:
                if part.get("type") == "image_url":
                    urls.append(str(part["image_url"]["url"]))
                elif part.get("type") == "text":
                    (texts if message.role == "user" else said).append(str(part["text"]))
            except (LookupError, TypeError) as error:
                raise UsageError(f"a part of a message is malformed ({error!r})") from error
    if len(urls) != 1 or not texts:
        raise UsageError(f"send one image and a question; got {len(urls)} images")
    question = texts[-1].removesuffix(YES_NO).strip()
    return Asked(_image(urls[0], limits), question, _code("\n".join(said)))


def reply(answered: Answered, body: Completion) -> dict[str, Any]:
    """An answer as the API has it."""
    wants_json = (body.response_format or {}).get("type") == "json_schema"
    if wants_json and answered.p_yes is not None:
        verdict = "yes" if answered.yes else "no"
        head, tail = '{"answer": "', f'", "explanation": {json.dumps(answered.text)}}}'
        content, tokens = head + verdict + tail, [head, verdict, tail]
    else:
        content, tokens = answered.text, [answered.text]
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": content, "refusal": answered.reason or None},
    }
    if body.logprobs:
        choice["logprobs"] = {"content": [_token(token, answered.p_yes) for token in tokens]}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.model,
        "choices": [choice],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def _token(token: str, p_yes: float | None) -> dict[str, Any]:
    tops = [{"token": token, "logprob": 0.0, "bytes": None}]
    if token in ("yes", "no") and p_yes is not None:
        odds = {"yes": p_yes, "no": 1 - p_yes}
        tops = [
            {"token": word, "logprob": math.log(max(p, 1e-12)), "bytes": None}
            for word, p in odds.items()
        ]
    own = next(top["logprob"] for top in tops if top["token"] == token)
    return {"token": token, "logprob": own, "bytes": None, "top_logprobs": tops}


def _image(url: str, limits: Limits) -> Image:
    head, comma, data = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64") or not comma:
        raise UsageError("send the image as a data: URL; nothing is fetched from elsewhere")
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise UsageError(f"the image's base64 is damaged ({error})") from error
    return load(content, name="image", limits=limits)[0].pixels


def _code(prompt: str) -> ControlCode:
    for line in prompt.splitlines():
        if line.startswith(CONTROL):
            try:
                value = json.loads(line.removeprefix(CONTROL))
                return ControlCode({str(key): float(g) for key, g in value.items()})
            except (ValueError, TypeError, AttributeError) as error:
                raise UsageError(f"the control line is not JSON of guidances: {line!r}") from error
    return ControlCode({})
