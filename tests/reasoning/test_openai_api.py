"""Chat client and served route over real HTTP, with the official ``openai`` client."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import openai
import pytest
import uvicorn

from counterveil import reasoning
from counterveil.categories import ControlCode
from counterveil.errors import UsageError
from counterveil.images import load
from counterveil.reasoning.conditional import ConditionalBlip
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION
from counterveil.reasoning.openai_api import ChatReasoner, ChatSettings, data_url
from counterveil.reasoning.prompts import system_prompt
from counterveil.service.chat import create_app
from tests.reasoning import tiny
from tests.reasoning.test_conditional import OFF, QUESTIONS, SHORT, code, pictures

QUICK = ChatSettings(timeout=5, retries=0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    folder = tiny.save(tmp_path_factory.mktemp("stock"))
    return ConditionalBlip.from_pretrained(folder, generation=SHORT)


@pytest.fixture(scope="module")
def url(blip):
    port = free_port()
    config = uvicorn.Config(create_app(blip), host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join()


@contextmanager
def answering(*replies, wait=0.0, port=0):
    """A server that sends the given replies in order (the last one repeatedly) and records
    requests; a reply may be a function of the request."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            chosen = replies[min(len(got), len(replies) - 1)]
            status, reply = chosen(body) if callable(chosen) else chosen
            got.append({**body, "path": self.path, "key": self.headers["Authorization"]})
            time.sleep(wait)
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    serve = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    serve.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", got
    finally:
        server.shutdown()
        server.server_close()


def said(content, *, refusal=None, finish="stop", logprobs=None):
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs}
    return 200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                 "choices": [choice]}  # fmt: skip


def verdict(answer="yes", explanation="A square.", **options):
    return said(json.dumps({"answer": answer, "explanation": explanation}), **options)


def ask(url, questions=("Is it red?",), control=OFF, settings=QUICK):
    reasoner = ChatReasoner(url, "m", settings=settings, key="k")
    return reasoner.answer(pictures(1), [list(questions)], [control])[0]


def test_route_answers_like_the_reasoner(blip, url):
    asked, codes = [[DESCRIPTION_QUESTION, *QUESTIONS], QUESTIONS[:2]], [code(0.7), OFF]
    here = blip.answer(pictures(), asked, codes)
    there = ChatReasoner(url, "tiny", settings=QUICK).answer(pictures(), asked, codes)
    assert there[0][0].text == here[0][0].text
    for mine, theirs in zip(here[0][1:] + here[1], there[0][1:] + there[1], strict=True):
        assert theirs.question == mine.question
        assert theirs.p_yes == pytest.approx(mine.p_yes, abs=1e-3)
        assert theirs.yes == mine.yes


def test_official_client_is_served(url):
    client = openai.OpenAI(base_url=url, api_key="none")
    assert [model.id for model in client.models.list()]
    image = data_url(pictures(1)[0], 100)
    parts = [
        {"type": "text", "text": DESCRIPTION_QUESTION},
        {"type": "image_url", "image_url": {"url": image}},
    ]
    reply = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": parts}]
    )
    assert reply.choices[0].message.role == "assistant"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("only words", "got 0 images"),
        ([{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
          {"type": "text", "text": "?"}], "other URLs are not fetched"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
          {"type": "text", "text": "?"}], "image"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}},
          {"type": "text", "text": "?"}], "base64"),
        ([{"type": "image_url"}, {"type": "text", "text": "?"}], "malformed"),
        ([{"type": "image_url", "image_url": "data:"}, {"type": "text"}], "malformed"),
    ],
)  # fmt: skip
def test_invalid_requests_are_refused_with_a_reason(url, content, words):
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": content}]
        )


def test_unsupported_category_is_refused_with_a_reason(url):
    answered = ask(url, control=ControlCode({"unheard_of": 1.0}))[0]
    assert answered.p_yes is None
    assert "unheard_of" in answered.reason


def test_p_yes_comes_from_log_probabilities():
    tops = [{"token": "yes", "logprob": np.log(0.6)}, {"token": "no", "logprob": np.log(0.2)},
            {"token": "maybe", "logprob": np.log(0.2)}]  # fmt: skip
    words = ['{"answer', '": "', "yes", '", "explanation": "yes no"}']
    content = [{"token": w, "logprob": 0.0, "top_logprobs": tops if w == "yes" else []}
               for w in words]  # fmt: skip
    with answering(verdict(logprobs={"content": content})) as (url, _):
        assert ask(url)[0].p_yes == pytest.approx(0.75)


def test_without_log_probabilities_p_yes_is_0_or_1():
    with answering(verdict("no")) as (url, got):
        answered = ask(url)[0]
    assert (answered.p_yes, answered.text) == (0.0, "No. A square.")
    assert got[0]["response_format"]["json_schema"]["strict"]
    assert got[0]["logprobs"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (said("I cannot help with that."), "the model refused: I cannot help"),
        (said("I’m sorry, but I can’t assist with that."), "the model refused"),
        (said("No. I'm unable to help with this image."), "the model refused"),
        (verdict("no", "I can't assist with that request."), "the model refused"),
        (said('{"answer": "perhaps", "explanation": ""}'), "neither yes nor no"),
        (said('{"explanation": "yes"}'), "not the requested JSON"),
        (said('{"answer": "yes", "expl'), "not the requested JSON"),
        (said('{"answer": "yes"} {"answer": "no"}'), "not the requested JSON"),
        (said('["yes"]'), "not the requested JSON"),
        (said("Perhaps."), "not the requested JSON"),
        (said("Nobody is there."), "not the requested JSON"),
        (said("Yes and no."), "not the requested JSON"),
        (said("No, wait. Yes."), "both yes and no"),
        (said(None, refusal="I will not."), "I will not."),
        (said("{}", finish="content_filter"), "no answer"),
        ((200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                "choices": []}), "no answer"),
        ((401, {"error": {"message": "bad key"}}), "AuthenticationError"),
        ((500, {"error": {"message": "broken"}}), "InternalServerError"),
        ((200, b"<html>"), "malformed"),
        ((200, {"choices": [{"message": None}]}), "malformed"),
        ((200, {"choices": "none"}), "malformed"),
    ],
)  # fmt: skip
def test_invalid_replies_give_a_reason_and_no_p_yes(reply, words):
    with answering(reply) as (url, _):
        answered = ask(url)[0]
    assert answered.p_yes is None
    assert answered.text == ""
    assert words in answered.reason
    assert answered.reason
    assert not answered.yes


@pytest.mark.parametrize(
    ("content", "p_yes", "text"),
    [
        ('```json\n{"answer": "yes", "explanation": "A cat."}\n```', 1.0, "Yes. A cat."),
        ('Here it is:\n```\n{"answer": "no", "explanation": ""}\n```', 0.0, "No."),
        ('Sure: {"answer": "No.", "explanation": "A cat."}', 0.0, "No. A cat."),
        ('<think>Yes? No.</think>{"answer": "yes", "explanation": ""}', 1.0, "Yes."),
        ('{"answer": true}', 1.0, "Yes."),
        ("Yes", 1.0, "Yes."),
        ("No.", 0.0, "No."),
        ("**No**", 0.0, "No."),
        ("No, there are no weapons.", 0.0, "No. there are no weapons."),
        ("Yes: no people, but a weapon.", 1.0, "Yes. no people, but a weapon."),
    ],
)
def test_answers_in_other_formats_are_parsed(content, p_yes, text):
    with answering(said(content)) as (url, _):
        answered = ask(url)[0]
    assert (answered.p_yes, answered.text, answered.reason) == (p_yes, text, "")


def test_p_yes_of_an_answer_without_json():
    tops = [{"token": " Yes", "logprob": np.log(0.3)}, {"token": "No", "logprob": np.log(0.1)}]
    content = [{"token": " Yes", "logprob": 0.0, "top_logprobs": tops}]
    with answering(said("Yes", logprobs={"content": content})) as (url, _):
        assert ask(url)[0].p_yes == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("I'm sorry, but I can't assist with that.", "the model refused"),
        ("I cannot describe this image.", "the model refused"),
        ("Unfortunately, I am unable to provide a description.", "the model refused"),
        ('{"description": "I can\'t help with that."}', "the model refused"),
        ('{"objects": ["a cat"', "not a sentence"),
        ('{"objects": ["a cat"], "count": 1}', "not a sentence"),
        ('Result: "answer": "yes"', "not a sentence"),
        ("...", "not a sentence"),
    ],
)
def test_refusals_and_json_are_no_descriptions(content, words):
    with answering(said(content)) as (url, _):
        answered = ask(url, (DESCRIPTION_QUESTION,))[0]
    assert (answered.text, answered.p_yes) == ("", None)
    assert words in answered.reason


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('```json\n{"description": "A red square."}\n```', "A red square."),
        ("A person who looks sorry.", "A person who looks sorry."),
        ("I can't see any weapons, only a cup.", "I can't see any weapons, only a cup."),
    ],
)
def test_descriptions_are_kept(content, text):
    with answering(said(content)) as (url, _):
        assert ask(url, (DESCRIPTION_QUESTION,))[0].text == text


def lacking(*names, words="{name} is not supported", status=400):
    """A server that rejects options; ``words`` is its message."""

    def reply(body):
        for name in names:
            if name in body:
                return status, {"error": {"message": words.format(name=name)}}
        return verdict() if "response_format" in body else said("Yes.")

    return reply


@pytest.mark.parametrize("words", ["{name} is not supported", "bad request"])
@pytest.mark.parametrize(
    ("names", "left"),
    [
        (("logprobs",), {"response_format", "max_tokens", "temperature"}),
        (("response_format", "logprobs"), {"max_tokens", "temperature"}),
        (("max_tokens",), {"max_completion_tokens"}),
        (("temperature",), set()),
    ],
)
def test_unsupported_options_are_dropped_once(names, left, words):
    settings = ChatSettings(retries=0, concurrency=1)
    with answering(lacking(*names, words=words)) as (url, got):
        answers = ask(url, ("A?", "B?"), settings=settings)
    assert [answered.p_yes for answered in answers] == [1.0, 1.0]
    assert left <= set(got[-1])
    assert not set(names) & set(got[-1])
    assert not {"logprobs", "top_logprobs"} & set(got[-1]) or "logprobs" not in names
    asked = [body["messages"][1]["content"][1]["text"][0] for body in got]
    assert asked.count("B") == 1, "what was learnt is remembered"


def test_rejected_images_do_not_drop_options():
    """Once all options were accepted, a rejected image drops none."""
    refused = (400, {"error": {"message": "the image is not allowed"}})
    settings = ChatSettings(retries=0, concurrency=1)
    with answering(verdict(), refused, verdict()) as (url, got):
        answers = ask(url, ("A?", "B?", "C?"), settings=settings)
    assert [answered.p_yes for answered in answers] == [1.0, None, 1.0]
    assert "not allowed" in answers[1].reason
    assert len(got) == 3
    assert "logprobs" in got[2]


def test_first_error_is_reported_if_dropping_options_fails():
    replies = [(400, {"error": {"message": message}}) for message in ("first", "last")]
    with answering(*replies) as (url, _):
        assert "first" in ask(url)[0].reason


def test_circuit_opens_after_repeated_timeouts():
    settings = ChatSettings(timeout=0.2, retries=3, concurrency=2, failures=3, rest=60)
    with answering(verdict(), wait=5.0) as (url, got):
        reasoner = ChatReasoner(url, "m", settings=settings, key="k")
        started = time.monotonic()
        for _ in range(3):
            answers = reasoner.answer(pictures(1), [["A?", "B?", "C?", "D?"]], [OFF])[0]
        took = time.monotonic() - started
    assert all(answered.p_yes is None for answered in answers)
    assert "no request was sent: the server did not answer" in answers[0].reason
    assert len(got) <= 4
    assert took < 3


def test_circuit_closes_when_the_server_recovers():
    settings = ChatSettings(timeout=1, retries=0, failures=2, rest=0.2)
    port = free_port()
    reasoner = ChatReasoner(f"http://127.0.0.1:{port}/v1", "m", settings=settings, key="k")
    for _ in range(3):
        row = reasoner.answer(pictures(1), [["A?", "B?"]], [OFF])[0]
        assert all(answered.p_yes is None for answered in row)
    with answering(verdict(), port=port):
        time.sleep(1.7)  # the rest doubles with each try in vain
        row = reasoner.answer(pictures(1), [["A?", "B?", "C?"]], [OFF])[0]
    assert [answered.p_yes for answered in row] == [1.0, 1.0, 1.0]


def test_connection_errors_give_no_answer():
    answered = ask(f"http://127.0.0.1:{free_port()}/v1")[0]
    assert answered.p_yes is None
    assert "APIConnectionError" in answered.reason


def test_timeouts_give_no_answer():
    with answering(verdict(), wait=1.0) as (url, _):
        answered = ask(url, settings=ChatSettings(timeout=0.2, retries=0))[0]
    assert "APITimeoutError" in answered.reason


def test_busy_servers_are_retried():
    busy = (429, {"error": {"message": "slow down"}})
    with answering(busy, verdict()) as (url, got):
        assert ask(url, settings=ChatSettings(retries=2))[0].yes
    assert len(got) == 2


def test_one_failure_keeps_the_other_answers():
    broken = (500, {"error": {"message": "broken"}})
    settings = ChatSettings(retries=0, concurrency=1)
    with answering(broken, verdict()) as (url, _):
        answers = ask(url, ("A?", "B?", "C?"), settings=settings)
    assert [answered.p_yes for answered in answers] == [None, 1.0, 1.0]
    assert [answered.question for answered in answers] == ["A?", "B?", "C?"]


def test_open_questions_are_sent_unchanged():
    with answering(said("A red square.")) as (url, got):
        answered = ask(url, (DESCRIPTION_QUESTION,))[0]
    assert answered.text == "A red square."
    assert "response_format" not in got[0]


def test_images_are_shrunk_to_the_longest_side():
    image = np.zeros((300, 900, 3), np.uint8)
    raw = base64.b64decode(data_url(image, 90).partition(",")[2])
    assert load(raw)[0].pixels.shape == (30, 90, 3)
    raw = base64.b64decode(data_url(image, 4000).partition(",")[2])
    assert load(raw)[0].pixels.shape == (300, 900, 3)


def test_system_prompt_names_flagged_categories():
    text = system_prompt(ControlCode({"self_harm": 0.97, "cyberbullying": 0.0}))
    assert "Self-harm 97%" in text
    assert "sometimes wrong" in text
    assert "Cyberbullying" not in text
    assert "Classifiers" not in system_prompt(OFF)


def test_spec_sets_url_model_and_settings():
    reasoner = reasoning.load("chat:http://localhost:1/v1#org/model:7b@512")
    assert reasoner.info.name == "chat:localhost#org/model:7b"
    assert reasoner.settings.side == 512
    assert reasoning.load("chat:http://localhost:1/v1#name@latest").info.name.endswith("@latest")
    spec = "chat:http://localhost:1/v1#m@512?timeout=7.5&retries=0&concurrency=2&tokens=50"
    assert reasoning.load(spec).settings == ChatSettings(512, 7.5, 0, 2, 50)


def test_secrets_of_a_url_are_never_recorded():
    """Model names appear in records, reports and statements of reasons."""
    refused = (401, {"error": {"message": "Incorrect API key provided: k-secret"}})
    with answering(verdict(), refused) as (url, got):
        port = url.split(":")[2].split("/")[0]
        spec = f"chat:http://me:hidden@127.0.0.1:{port}/v1?api-version=5&token=hush#m?retries=0"
        reasoner = reasoning.load(spec)
        rows = [reasoner.answer(pictures(1), [["A?"]], [OFF])[0][0] for _ in range(2)]
    assert reasoner.info.name == "chat:127.0.0.1#m"
    assert got[0]["path"] == "/v1/chat/completions?api-version=5&token=hush"
    assert got[0]["key"] == "Basic " + base64.b64encode(b"me:hidden").decode()
    assert rows[0].yes
    assert rows[1].reason.endswith("(AuthenticationError: it rejected the API key)")


@pytest.mark.parametrize(
    "spec", ["chat:localhost#m", "chat:http://localhost/v1", "chat:", "chat:http://#m"]
)
def test_spec_without_url_or_model_is_refused(spec):
    with pytest.raises(UsageError, match="must read chat:URL#MODEL"):
        reasoning.load(spec)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("timout=3", "did you mean 'timeout'"),
        ("timeout=soon", "'timeout' must be a number"),
        ("retries=1.5", "'retries' must be a whole number"),
        ("timeout=0", "must be positive"),
        ("retries=-1", "must not be negative"),
        ("timeout", "name=value"),
        ("side=1&side=2", "given twice"),
    ],
)
def test_invalid_options_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        reasoning.load(f"chat:http://localhost:1/v1#m?{options}")
