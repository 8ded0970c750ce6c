"""The `openai` package for Python, as it comes, against the whole gateway."""

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.builders import PROMPT
from tests.e2e.stack import Stack

ASK: Final[list[ChatCompletionMessageParam]] = [{"role": "user", "content": PROMPT}]
WEATHER: Final[ChatCompletionToolParam] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class River(BaseModel):
    """Part of a City."""

    name: str
    length: int


class City(BaseModel):
    """What the model is asked to fill in."""

    name: str
    capital: bool
    rivers: list[River]


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.base_url, api_key=stack.key) as client:
        yield client


@pytest.fixture
def impatient(client: OpenAI) -> OpenAI:
    """A client that does not retry."""
    return client.with_options(max_retries=0)


def test_chat(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="sandbox/echo", messages=ASK, user="u-1", seed=1)
    assert completion.choices[0].message.content == f"echo: {PROMPT}"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "sandbox/echo"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (1, 2)
    assert completion.usage.to_dict()["cost"] == "0.00000525"
    assert completion._request_id is not None


def test_our_headers_can_be_read(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="sandbox/echo", messages=ASK, extra_headers={"x-request-id": "mine"}
    )
    assert raw.headers["x-request-id"] == raw.request_id == raw.parse()._request_id == "mine"
    assert Decimal(raw.headers["x-aig-cost"]) == Decimal("0.00000525")
    assert raw.headers["x-aig-provider"] == "sandbox"


def test_a_stream(client: OpenAI) -> None:
    with client.chat.completions.create(model="sandbox/echo", messages=ASK, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == f"echo: {PROMPT}"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_with_usage(client: OpenAI) -> None:
    with client.chat.completions.create(
        model="sandbox/echo", messages=ASK, stream=True, stream_options={"include_usage": True}
    ) as stream:
        *chunks, last = stream
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == f"echo: {PROMPT}"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 3
    assert last.usage.to_dict()["cost"] == "0.00000525"


def test_the_stream_helper(client: OpenAI) -> None:
    with client.chat.completions.stream(model="sandbox/echo", messages=ASK, tools=[WEATHER]) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    calls = completion.choices[0].message.tool_calls
    assert calls
    (call,) = calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}


def test_tools_with_a_second_turn(client: OpenAI) -> None:
    first = client.chat.completions.create(model="sandbox/echo", messages=ASK, tools=[WEATHER])
    message = first.choices[0].message
    assert message.tool_calls
    (call,) = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})
    turns: list[Any] = [*ASK, message, {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}]
    second = client.chat.completions.create(model="sandbox/echo", messages=turns, tools=[WEATHER])
    assert second.choices[0].message.content == "tool said: 12 degrees"
    assert second.choices[0].finish_reason == "stop"


def test_a_schema_is_parsed(client: OpenAI) -> None:
    completion = client.chat.completions.parse(model="sandbox/echo", messages=ASK, response_format=City)
    expected = City(name="Paris", capital=True, rivers=[River(name="Paris", length=7)])
    assert completion.choices[0].message.parsed == expected


def test_models(client: OpenAI) -> None:
    assert {"sandbox/echo", "openai/gpt-5.4-mini"} <= {model.id for model in client.models.list()}
    model = client.models.retrieve("sandbox/echo")
    assert (model.id, model.object, model.owned_by) == ("sandbox/echo", "model", "sandbox")


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as retrieved:
        client.models.retrieve("sandbox/eco")
    with pytest.raises(openai.NotFoundError) as asked:
        client.chat.completions.create(model="sandbox/eco", messages=ASK)
    for error in (retrieved.value, asked.value):
        assert (error.code, error.param, error.type) == ("model_not_found", "model", "model_not_found")
        assert "sandbox/echo" in error.message
        assert error.request_id
        assert error.request_id == error.response.json()["error"]["request_id"]


@pytest.mark.parametrize("model", ["sandbox/fail-once-429", "sandbox/fail-once-500"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_failure_that_passes_is_mended_by_the_gateway_or_else_by_its_own_retries(
    stack: Stack, model: str, stream: bool
) -> None:
    """The gateway's budget for second attempts may be used up by the tests before this one."""
    headers = {"x-sandbox-id": uuid.uuid4().hex}
    with OpenAI(base_url=stack.base_url, api_key=stack.key, default_headers=headers) as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=ASK, stream=stream)
        assert (raw.retries_taken, raw.headers["x-aig-attempts"]) in ((0, "2"), (1, "1"))
        raw.http_response.close()


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("sandbox/fail-429", openai.RateLimitError, "upstream_rate_limited"),
        ("sandbox/fail-500", openai.InternalServerError, "provider_unavailable"),
        ("sandbox/fail-401", openai.InternalServerError, "provider_unavailable"),
    ],
)
def test_errors_are_of_its_own_classes(
    impatient: OpenAI, model: str, kind: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(kind) as raised:
        impatient.chat.completions.create(model=model, messages=ASK)
    assert raised.value.code == code
    assert raised.value.request_id


def test_a_wrong_request_names_the_field(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="sandbox/echo", messages=ASK, temperature=3)
    assert (raised.value.code, raised.value.param) == ("invalid_value", "temperature")


def test_a_wrong_key_is_refused(stack: Stack) -> None:
    with (
        OpenAI(base_url=stack.base_url, api_key="sk-aig-wrong") as client,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        client.chat.completions.create(model="sandbox/echo", messages=ASK)
    assert (raised.value.code, raised.value.type) == ("invalid_api_key", "authentication_error")


def test_a_stream_that_breaks_raises(impatient: OpenAI) -> None:
    chunks: list[ChatCompletionChunk] = []
    with (
        impatient.chat.completions.create(model="sandbox/cut", messages=ASK, stream=True) as stream,
        pytest.raises(openai.APIError) as raised,
    ):
        chunks.extend(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == f"echo: {PROMPT}"
    assert raised.value.code == "provider_unavailable"


async def test_the_async_client(stack: Stack) -> None:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=stack.key) as client:
        text = ""
        async with await client.chat.completions.create(model="sandbox/echo", messages=ASK, stream=True) as stream:
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
    assert text == f"echo: {PROMPT}"
