"""POST /v1/chat/completions on sandbox/echo: what a client sees, and what its wallet sees."""

import json
from typing import Any, Final

import pytest

from aig.wiring import Container
from tests.apps import App, events, said
from tests.builders import PROMPT, an_account, debits_of, holds_of, wallet_of

TEN_DOLLARS: Final = 10 * 10**9
# One word in, two out: (1 x 1.00 + 2 x 2.00) USD per million and five per cent on top.
ONE_WORD: Final = 5_250

WEATHER: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 9},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
        },
    },
}
CLOCK: Final[dict[str, Any]] = {"type": "function", "function": {"name": "clock"}}


async def test_an_answer_is_metered(chat: App, container: Container) -> None:
    account = await an_account(container)
    response = await chat.ask(account)
    assert response.status_code == 200
    body = response.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == "sandbox/echo"
    message = {"role": "assistant", "content": f"echo: {PROMPT}", "refusal": None}
    assert body["choices"] == [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (1, 2, 3)
    assert usage["cost"] == response.headers["x-aig-cost"] == "0.00000525"
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS - ONE_WORD, 0)
    (debit,) = await debits_of(container, account)
    (hold,) = await holds_of(container, account)
    assert (debit["amount"], debit["upstream_cost"], debit["estimated"]) == (ONE_WORD, 5_000, False)
    assert (debit["model"], debit["provider"], debit["key_id"]) == ("sandbox/echo", "sandbox", account.key_id)
    assert json.loads(debit["units"])["output_tokens"] == 2
    assert hold["sk"] == f"hold#{debit['request_id']}"
    assert (hold["phase"], hold["charged"]) == ("posted", ONE_WORD)


async def test_every_header_is_there(chat: App, container: Container) -> None:
    account = await an_account(container)
    headers = (await chat.ask(account, headers={"x-request-id": "my-own-id"})).headers
    assert headers["x-request-id"] == headers["request-id"] == "my-own-id"
    assert headers["x-aig-model"] == "sandbox/echo"
    assert headers["x-aig-provider"] == "sandbox"
    assert headers["x-aig-attempts"] == "1"
    assert headers["x-cache"] == "skip"
    assert headers["content-type"] == "application/json"


async def test_a_request_id_is_made_where_none_is_sent(chat: App, container: Container) -> None:
    account = await an_account(container)
    first, second = [(await chat.ask(account)).headers["x-request-id"] for _ in range(2)]
    assert first.startswith("req_")
    assert first != second


async def test_a_tag_reaches_the_ledger(chat: App, container: Container) -> None:
    account = await an_account(container, default_tag="by-default")
    await chat.ask(account, headers={"x-aig-tag": "team/search"})
    await chat.ask(account)
    assert sorted(row["tag"] for row in await debits_of(container, account)) == ["by-default", "team/search"]


async def test_a_stream_is_metered(chat: App, container: Container) -> None:
    account = await an_account(container)
    response = await chat.ask(account, "one two three", stream=True, stream_options={"include_usage": True})
    assert response.headers["cache-control"] == "no-cache"
    assert {"x-request-id", "x-aig-model", "x-aig-provider", "x-aig-attempts", "x-cache"} <= set(response.headers)
    chunks = events(response)
    *pieces, last = chunks
    assert [chunk["choices"][0]["delta"].get("content") for chunk in pieces] == [
        "", "echo:", " one", " two", " three", None
    ]  # fmt: skip
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["finish_reason"] for chunk in pieces] == [None] * 5 + ["stop"]
    assert all(chunk["usage"] is None for chunk in pieces)
    assert {chunk["model"] for chunk in chunks} == {"sandbox/echo"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (3, 4)
    # (3 x 1.00 + 4 x 2.00) / 1,000,000 x 1.05
    assert last["usage"]["cost"] == "0.00001155"
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - 11_550


async def test_a_stream_without_include_usage_has_no_usage_and_costs_the_same(chat: App, container: Container) -> None:
    account = await an_account(container)
    chunks = events(await chat.ask(account, "one two three", stream=True))
    assert said(chunks) == "echo: one two three"
    assert not any("usage" in chunk for chunk in chunks)
    assert all(chunk["choices"] for chunk in chunks)
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - 11_550


@pytest.mark.parametrize("tool_choice", [None, "auto", "required", {"type": "function", "function": {"name": "clock"}}])
async def test_a_tool_is_called_and_its_result_is_read(chat: App, container: Container, tool_choice: Any) -> None:
    account = await an_account(container)
    named = isinstance(tool_choice, dict)
    question = {"role": "user", "content": PROMPT}
    response = await chat.ask(account, messages=[question], tools=[WEATHER, CLOCK], tool_choice=tool_choice)
    (choice,) = response.json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == ("clock" if named else "weather")
    wanted = {} if named else {"city": "Paris", "days": 9, "unit": "celsius"}
    assert json.loads(call["function"]["arguments"]) == wanted
    result = {"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"}
    second = await chat.ask(account, messages=[question, choice["message"], result], tools=[WEATHER, CLOCK])
    assert second.json()["choices"][0]["message"]["content"] == "tool said: 12 degrees"


async def test_a_streamed_tool_call_comes_in_pieces_by_index(chat: App, container: Container) -> None:
    account = await an_account(container)
    chunks = events(await chat.ask(account, tools=[WEATHER], stream=True))
    calls = [call for c in chunks for call in c["choices"][0]["delta"].get("tool_calls", ())]
    assert {call["index"] for call in calls} == {0}
    assert calls[0]["function"]["name"] == "weather"
    assert calls[0]["id"].startswith("call_")
    assert not any("id" in call for call in calls[1:])
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert json.loads(arguments) == {"city": "Paris", "days": 9, "unit": "celsius"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_tool_choice_none_calls_nothing(chat: App, container: Container) -> None:
    account = await an_account(container)
    (choice,) = (await chat.ask(account, tools=[WEATHER], tool_choice="none")).json()["choices"]
    assert choice["message"]["content"] == f"echo: {PROMPT}"


SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "capital": {"type": "string"},
        "kind": {"const": "city"},
        "size": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "old": {"type": "boolean"},
        "rivers": {"type": "array", "items": {"$ref": "#/$defs/river"}},
    },
    "$defs": {"river": {"type": "object", "properties": {"length": {"type": "integer"}}}},
}
FITTING: Final = {"capital": "Paris", "kind": "city", "size": 7.5, "old": True, "rivers": [{"length": 7}]}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_json_schema_is_filled_in(chat: App, container: Container, stream: bool) -> None:
    account = await an_account(container)
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    response = await chat.ask(account, response_format=wanted, stream=stream)
    text = said(events(response)) if stream else response.json()["choices"][0]["message"]["content"]
    assert json.loads(text) == FITTING


async def test_a_json_object_is_one(chat: App, container: Container) -> None:
    account = await an_account(container)
    response = await chat.ask(account, response_format={"type": "json_object"})
    assert isinstance(json.loads(response.json()["choices"][0]["message"]["content"]), dict)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("stream", [False, True])
async def test_max_tokens_cuts_the_answer(chat: App, container: Container, field: str, stream: bool) -> None:
    account = await an_account(container)
    limit: dict[str, Any] = {field: 2}
    response = await chat.ask(account, "one two three", stream=stream, **limit)
    if stream:
        chunks = events(response)
        text, finish = said(chunks), chunks[-1]["choices"][0]["finish_reason"]
    else:
        (choice,) = response.json()["choices"]
        text, finish = choice["message"]["content"], choice["finish_reason"]
    assert (text, finish) == ("echo: one", "length")
    # Three words in, two out.
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - 7_350


async def test_stop_ends_the_answer_before_the_word(chat: App, container: Container) -> None:
    account = await an_account(container)
    (choice,) = (await chat.ask(account, "one two three", stop=["never", " three"])).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("echo: one two", "stop")


@pytest.mark.parametrize("stream", [False, True])
async def test_n_answers_are_given_and_paid_for(chat: App, container: Container, stream: bool) -> None:
    account = await an_account(container)
    response = await chat.ask(account, n=3, stream=stream)
    choices = [c for e in events(response) for c in e["choices"]] if stream else response.json()["choices"]
    assert {choice["index"] for choice in choices} == {0, 1, 2}
    # One word in, three times two words out.
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - 13_650


async def test_content_parts_are_read_and_pictures_are_taken(chat: App, container: Container) -> None:
    account = await an_account(container)
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    parts = [
        {"type": "text", "text": "what is"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}", "detail": "low"}},
        {"type": "text", "text": "this"},
    ]
    response = await chat.ask(account, messages=[{"role": "user", "content": parts}])
    assert response.json()["choices"][0]["message"]["content"] == "echo: what is this"


async def test_fields_that_we_have_never_heard_of_are_taken(chat: App, container: Container) -> None:
    account = await an_account(container)
    response = await chat.ask(account, verbosity="low", prediction={"type": "content"}, store=False, user="u-1")
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"reasoning_effort": "low"}, "reasoning_effort"), ({"thinking": {"type": "adaptive"}}, "thinking")],
)
async def test_a_model_that_does_not_reason_says_so(
    chat: App, container: Container, asked: dict[str, Any], param: str
) -> None:
    account = await an_account(container)
    error = (await chat.ask(account, **asked)).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", param)
    assert "sandbox/echo does not support reasoning" in error["message"]
    for nothing in ({"reasoning_effort": "none"}, {"reasoning_effort": None}, {"thinking": {"type": "disabled"}}):
        assert (await chat.ask(account, **nothing)).status_code == 200


async def test_the_same_request_has_the_same_answer(chat: App, container: Container) -> None:
    account = await an_account(container)
    first, second = [(await chat.ask(account, seed=1, headers={"x-cache": "skip"})).json() for _ in range(2)]
    assert first == second
