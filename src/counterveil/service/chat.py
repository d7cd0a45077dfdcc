"""A reasoner behind an OpenAI-compatible route, for any client of that API.

The control code is a line of the prompt, ``control: {"self_harm": 0.9}``, as
:class:`counterveil.reasoning.openai_api.ChatReasoner` writes it. Without it, the answers are not
conditioned.
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
from counterveil.reasoning.interfaces import QuestionAnswer, Reasoner
from counterveil.reasoning.prompts import CONTROL_PREFIX, YES_NO_INSTRUCTION
from counterveil.types import Image


class Message(BaseModel):
    """One message; its content is text, or a list of text and image parts."""

    role: str
    content: str | list[dict[str, Any]]


class CompletionRequest(BaseModel):
    """Body of a request; sampling settings are accepted and ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[Message]
    response_format: dict[str, Any] | None = None
    logprobs: bool = False
    stream: bool = False


@dataclass(frozen=True, eq=False)
class ParsedRequest:
    """Image, question and control code of a conversation."""

    image: Image
    question: str
    code: ControlCode


def create_app(reasoner: Reasoner, *, limits: Limits | None = None) -> FastAPI:
    """Create the routes ``/v1/chat/completions``, ``/v1/models`` and ``/health``.

    Args:
        reasoner: the reasoner; it answers one request at a time.
        limits: limits of the images that clients send.
    """
    app = FastAPI(title="Counterveil reasoner", version=__version__)
    lock = Lock()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": reasoner.info.name, "object": "model"}]}

    @app.post("/v1/chat/completions")
    def complete(body: CompletionRequest) -> dict[str, Any]:
        request = parse_request(body, limits or Limits())
        with lock:
            rows = reasoner.answer([request.image], [[request.question]], [request.code])
        return format_reply(rows[0][0], body)

    @app.exception_handler(CounterveilError)
    def bad_request(request: Request, error: CounterveilError) -> JSONResponse:
        content = {"error": {"message": str(error), "type": "invalid_request_error"}}
        return JSONResponse(content, status_code=400)

    return app


def parse_request(body: CompletionRequest, limits: Limits) -> ParsedRequest:
    """Extract image, last question and control code from a conversation.

    Raises:
        UsageError: there is not exactly one image, or no question.
        ImageError: the image cannot be read.
    """
    if body.stream:
        raise UsageError("streaming is not supported; leave stream out")
    urls: list[str] = []
    user_texts: list[str] = []
    other_texts: list[str] = []
    for message in body.messages:
        parts = message.content
        if isinstance(parts, str):
            parts = [{"type": "text", "text": parts}]
        for part in parts:
            try:
                if part.get("type") == "image_url":
                    urls.append(str(part["image_url"]["url"]))
                elif part.get("type") == "text":
                    texts = user_texts if message.role == "user" else other_texts
                    texts.append(str(part["text"]))
            except (LookupError, TypeError) as error:
                raise UsageError(f"a part of a message is malformed ({error!r})") from error
    if len(urls) != 1 or not user_texts:
        raise UsageError(f"send one image and a question; got {len(urls)} images")
    question = user_texts[-1].removesuffix(YES_NO_INSTRUCTION).strip()
    # Only the system's messages may set the control code, not the text of a question.
    code = _parse_control("\n".join(other_texts))
    return ParsedRequest(_decode_image(urls[0], limits), question, code)


def format_reply(answer: QuestionAnswer, body: CompletionRequest) -> dict[str, Any]:
    """Format an answer as a chat completion."""
    wants_json = (body.response_format or {}).get("type") == "json_schema"
    if wants_json and answer.p_yes is not None:
        word = "yes" if answer.yes else "no"
        tokens = ['{"answer": "', word, f'", "explanation": {json.dumps(answer.text)}}}']
    else:
        tokens = [answer.text]
    content, refusal = "".join(tokens), answer.reason or None
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": content, "refusal": refusal},
    }
    if body.logprobs:
        choice["logprobs"] = {"content": [_logprobs(token, answer.p_yes) for token in tokens]}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.model,
        "choices": [choice],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def _logprobs(token: str, p_yes: float | None) -> dict[str, Any]:
    alternatives = {token: 1.0}
    if token in ("yes", "no") and p_yes is not None:
        alternatives = {"yes": p_yes, "no": 1 - p_yes}
    top = [
        {"token": word, "logprob": math.log(max(p, 1e-12)), "bytes": None}
        for word, p in alternatives.items()
    ]
    chosen = next(item["logprob"] for item in top if item["token"] == token)
    return {"token": token, "logprob": chosen, "bytes": None, "top_logprobs": top}


def _decode_image(url: str, limits: Limits) -> Image:
    head, comma, data = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64") or not comma:
        raise UsageError("send the image as a data: URL; other URLs are not fetched")
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise UsageError(f"the image is not valid base64 ({error})") from error
    return load(content, name="image", limits=limits)[0].pixels


def _parse_control(prompt: str) -> ControlCode:
    for line in prompt.splitlines():
        if line.startswith(CONTROL_PREFIX):
            try:
                value = json.loads(line.removeprefix(CONTROL_PREFIX))
                return ControlCode({str(key): float(g) for key, g in value.items()})
            except (ValueError, TypeError, AttributeError) as error:
                message = f"the control line must be a JSON object of numbers, got {line!r}"
                raise UsageError(message) from error
    return ControlCode({})
