"""The local model server as its own process: real answers, real streams, and a slot that nobody can block."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from local.models.app import ModelServer
from local.models.registry import Modality, Source
from tests.model_server import ROOT, needs, serving

MODEL = "smollm2-135m-instruct"
LONG_PROMPT = "hello " * 1500
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

needs_model = needs(MODEL)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("models") / "stderr.log", "chat") as (_, url):
        yield url


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=60) as client:
        yield client


def ask(content: object, **options: object) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **options}


def endless(**options: object) -> dict[str, Any]:
    """Its answer fills the context: about 2000 tokens, over 25 s at any speed seen so far.

    By a schema: how long a story of this model is hangs on the processor and on what its cache holds.
    """
    numbers = {"type": "array", "minItems": 20, "items": {"type": "integer"}}
    schema = {"name": "endless", "schema": {"type": "array", "minItems": 100, "items": numbers}}
    return ask("Count.", response_format={"type": "json_schema", "json_schema": schema}, **options)


async def post(client: httpx.AsyncClient, body: object, status: int = 200) -> dict[str, Any]:
    answer = await client.post("/chat/completions", json=body)
    assert answer.status_code == status, answer.text
    parsed: dict[str, Any] = answer.json()
    return parsed


def text_of(completion: dict[str, Any]) -> str:
    text: str = completion["choices"][0]["message"]["content"]
    return text


async def events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The JSON events of a stream; checks that `[DONE]` ends it."""
    done = False
    async for line in response.aiter_lines():
        assert not done or not line
        if line == "data: [DONE]":
            done = True
        elif line:
            yield json.loads(line.removeprefix("data: "))
    assert done


@asynccontextmanager
async def answering(client: httpx.AsyncClient, body: object) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """A stream whose first text has come, and its events from there on.

    They are held here: an iterator of httpx that nobody holds any more hangs up.
    """
    async with client.stream("POST", "/chat/completions", json=body) as response:
        incoming = events(response)
        async for event in incoming:
            if event["choices"][0]["delta"].get("content"):
                break
        else:
            raise AssertionError("the stream ended without text")
        yield incoming


async def health(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(str(client.base_url).removesuffix("/v1/") + "/health")
    row: dict[str, Any] = answer.json()["models"][MODEL]
    return row


async def until(client: httpx.AsyncClient, **wanted: object) -> None:
    """Ask for the model's health until it shows these values."""
    async with asyncio.timeout(20):
        while not wanted.items() <= (await health(client)).items():  # noqa: ASYNC110 (another process changes it)
            await asyncio.sleep(0.01)


@needs_model
async def test_answers_a_question(client: httpx.AsyncClient) -> None:
    answer = await post(client, ask("What is the capital of France?"))
    assert "Paris" in text_of(answer)
    assert answer["object"] == "chat.completion"
    assert answer["model"] == MODEL
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@needs_model
async def test_text_parts_and_developer_role_are_read(client: httpx.AsyncClient) -> None:
    messages = [
        {"role": "developer", "content": "You are a helpful assistant."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is the"}, {"type": "text", "text": "capital of France?"}],
        },
    ]
    assert "Paris" in text_of(await post(client, {"model": MODEL, "messages": messages, "an_unknown_field": 1}))


@needs_model
async def test_streams_token_by_token(client: httpx.AsyncClient) -> None:
    body = ask("What is the capital of France?", stream=True, stream_options={"include_usage": True})
    async with client.stream("POST", "/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = [event async for event in events(response)]
    *chunks, last = seen
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == sum(bool(c["choices"][0]["delta"].get("content")) for c in chunks) + 1
    assert all(chunk["usage"] is None for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert "Paris" in "".join(delta.get("content", "") for delta in deltas)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk["id"] for chunk in seen}) == 1


@needs_model
async def test_tokens_arrive_one_by_one_while_the_model_works(client: httpx.AsyncClient) -> None:
    async with answering(client, endless(stream=True)) as incoming:
        for _ in range(3):
            event = await anext(incoming)
            assert event["choices"][0]["delta"]["content"]
            assert "usage" not in event
            assert (await health(client))["running"]


@needs_model
@pytest.mark.parametrize("stream", [False, True])
async def test_json_schema_is_enforced(client: httpx.AsyncClient, stream: bool) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
    body = ask("Extract the person: Ann is 31 years old.", response_format=wanted, max_tokens=100, stream=stream)
    if stream:
        async with client.stream("POST", "/chat/completions", json=body) as response:
            deltas = [event["choices"][0]["delta"] async for event in events(response)]
        text = "".join(delta.get("content", "") for delta in deltas)
    else:
        text = text_of(await post(client, body))
    jsonschema.validate(json.loads(text), PERSON)
    assert json.loads(text) == {"name": "Ann", "age": 31}


@needs_model
async def test_json_object_begins_as_an_object(client: httpx.AsyncClient) -> None:
    body = ask("Who are you?", response_format={"type": "json_object"}, max_tokens=10)
    assert text_of(await post(client, body)).lstrip().startswith("{")


@needs_model
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_token_limit_gives_length(client: httpx.AsyncClient, name: str) -> None:
    answer = await post(client, endless(**{name: 5}))
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


@needs_model
async def test_stop_sequence_ends_the_answer_before_it(client: httpx.AsyncClient) -> None:
    answer = await post(client, ask("What is the capital of France?", stop=["Paris"]))
    assert text_of(answer) == "The capital of France is "
    assert answer["choices"][0]["finish_reason"] == "stop"


@needs_model
async def test_seed_repeats_and_temperature_varies(client: httpx.AsyncClient) -> None:
    def poem(seed: int) -> dict[str, Any]:
        return ask("Write a poem about the sea.", temperature=1, top_p=0.95, seed=seed, max_tokens=16)

    first = text_of(await post(client, poem(7)))
    assert text_of(await post(client, poem(8))) != first
    assert text_of(await post(client, poem(7))) == first


@needs_model
async def test_logprobs_cover_the_text(client: httpx.AsyncClient) -> None:
    answer = await post(client, ask("What is the capital of France?", logprobs=True, top_logprobs=2))
    entries = answer["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries).startswith(text_of(answer))
    assert all(entry["logprob"] <= 0 and len(entry["top_logprobs"]) == 2 for entry in entries)


@needs_model
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("words", [2500, 500_000])
async def test_prompt_too_long(client: httpx.AsyncClient, words: int, stream: bool) -> None:
    answer = await post(client, ask("hello " * words, stream=stream), 400)
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["code"] == "context_length_exceeded"


BAD_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
HUGE_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["value"] * 5000}}}


@needs_model
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "0"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"seed": True}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"response_format": {"type": "weird"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": BAD_SCHEMA}, "response_format"),
        ({"response_format": HUGE_SCHEMA}, "response_format"),
    ],
)
async def test_bad_requests_name_the_field(
    client: httpx.AsyncClient, change: dict[str, Any], param: str, stream: bool
) -> None:
    body = json.dumps({**ask("hello"), **change, "stream": stream})
    answer = await client.post("/chat/completions", content=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]
    assert error["code"]


@needs_model
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"temperature": NaN}', b"[" * 100_000])
async def test_bad_json(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@needs_model
async def test_unknown_model_path_and_method(client: httpx.AsyncClient) -> None:
    assert (await post(client, {**ask("x"), "model": "gpt-9"}, 404))["error"]["code"] == "model_not_found"
    assert (await client.get("/nothing")).json()["error"]["code"] == "not_found"
    wrong_method = await client.get("/chat/completions")
    assert wrong_method.status_code == 405
    assert wrong_method.json()["error"]["code"] == "method_not_allowed"


@needs_model
async def test_lists_its_models(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/models")).json()
    assert answer["object"] == "list"
    assert [row["id"] for row in answer["data"]] == [MODEL]


@needs_model
async def test_hanging_up_on_a_stream_frees_the_slot_for_the_one_that_waits(client: httpx.AsyncClient) -> None:
    async with answering(client, endless(stream=True)):
        waiting = asyncio.create_task(post(client, ask("Hi", max_tokens=3)))
        await until(client, running=True, waiting=1)
        assert not waiting.done()
    started = time.perf_counter()
    assert (await waiting)["usage"]["completion_tokens"] == 3
    assert time.perf_counter() - started < 10


@needs_model
@pytest.mark.parametrize("body", [endless(), ask(LONG_PROMPT), ask(LONG_PROMPT, stream=True)])
async def test_hanging_up_before_the_answer_frees_the_slot(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    await until(client, running=False, waiting=0)
    abandoned = asyncio.create_task(post(client, body))
    await until(client, running=True)
    abandoned.cancel()
    started = time.perf_counter()
    assert (await post(client, ask("Hi", max_tokens=3)))["usage"]["completion_tokens"] == 3
    assert time.perf_counter() - started < 10


@needs_model
async def test_hanging_up_while_waiting_gives_up_the_turn(client: httpx.AsyncClient) -> None:
    async with answering(client, endless(stream=True)):
        abandoned = asyncio.create_task(post(client, endless()))
        await until(client, running=True, waiting=1)
        abandoned.cancel()
    await until(client, running=False, waiting=0)


@needs_model
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_in_the_middle_of_an_answer(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "stderr.log"
    with serving(log, "chat") as (process, url):
        async with (
            httpx.AsyncClient(base_url=url, timeout=60) as client,
            answering(client, endless(stream=True)) as incoming,
        ):
            process.send_signal(number)
            rest = [event async for event in incoming]
        assert process.wait(timeout=5) == 0
    assert rest[-1]["error"]["code"] == "shutting_down"
    assert log.read_text() == ""


def test_a_taken_port_gives_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "local.models", "--port", str(port)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert str(port) in ended.stderr


async def test_a_missing_package_is_named() -> None:
    source = Source("ghost", "local.models.ghost", "models-chat", {"no_such_module": "no-such-package"}, preload=True)
    app = ModelServer([Modality("chat", "local.models.chat", (source,))]).app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://models") as client:
        for stream in (False, True):
            answer = await client.post("/v1/chat/completions", json={**ask("x", stream=stream), "model": "ghost"})
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "package_missing"
            assert "no-such-package" in answer.json()["error"]["message"]
        assert (await client.get("/v1/models")).json()["data"] == []
        assert (await client.get("/health")).json()["models"]["ghost"]["state"] == "failed"
