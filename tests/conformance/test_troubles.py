"""Every trouble that a provider can make, on every wire, whole and streamed: told by the wire's own words for it."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from aig.errors import UpstreamError
from aig.modalities import chat_body
from aig.modalities.chat import ChatAdapter
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers import anthropic, cohere, google, openai, openai_compatible
from aig_providers.wire import Client, Post
from tests.conformance import turns
from tests.conformance.loopback import Answer, Loopback
from tests.conformance.test_golden_costs import Call
from tests.conformance.turns import Turn

KEY = "sk-provider-42"
PATIENT, HASTY = Timeouts(5, 20, 20, 20), Timeouts(5, 0.2, 0.2, 0.2)
TURN = Turn("Paris \u2014 \U0001f5fc.", "So.", (("weather", {"city": "Paris"}), ("time", {})))
COUNTS = Call("troubles", fresh=90, said=20)


@dataclass(frozen=True)
class Wire:
    """An adapter, its answers, and its errors: by status a body, what it means beside that, and a wait in the body."""

    adapter: Callable[[Post], ChatAdapter]
    encode: Callable[..., bytes]
    error: Callable[[str, str], Any]  # type and message -> body
    slugs: Mapping[int, str] = field(default_factory=dict)
    special: tuple[tuple[int, Any, str, str | None, float | None], ...] = ()  # status, body, kind, code, retry_after
    in_stream: tuple[tuple[Any, str], ...] = ()  # an event, and the kind of error that it is
    quirks: frozenset[str] = frozenset()
    slug: str = "openai/x"


def _openai_error(kind: str, message: str) -> Any:
    return {"error": {"type": kind, "message": message, "code": None, "param": "messages"}}


OPENAI_SPECIAL = (
    (429, {"error": {"code": "insufficient_quota", "type": "insufficient_quota"}}, "auth", "insufficient_quota", None),
    (400, {"error": {"code": "context_length_exceeded"}}, "rejected", "context_length_exceeded", None),
    (403, {"error": {"code": "unsupported_country_region_territory"}}, "auth", "unsupported_country_region_territory", None),  # noqa: E501
    (401, {"error": {"code": "invalid_api_key", "message": f"Incorrect API key: {KEY}"}}, "auth", None, None),
)  # fmt: skip
WIRES = {
    "chat completions": Wire(
        openai_compatible.OpenAICompatibleChat, turns.chat_completions, _openai_error, special=OPENAI_SPECIAL,
        in_stream=(
            ({"error": {"code": 503, "message": "overloaded"}}, "unavailable"),
            ({"error": {"type": "rate_limit_error"}}, "rate_limited"),
            ({"error": {"type": "invalid_request_error", "code": "context_length_exceeded"}}, "rejected"),
            ({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}, "unavailable"),
        ),
    ),
    "responses": Wire(
        openai.OpenAIChat, turns.responses, _openai_error, special=OPENAI_SPECIAL,
        in_stream=(
            ({"type": "error", "code": "server_error", "message": "m", "param": None}, "unavailable"),
            ({"type": "error", "error": {"code": "insufficient_quota"}}, "auth"),
            ({"type": "response.failed", "response": {"status": "failed", "error": {"code": "rate_limit_exceeded"}}}, "rate_limited"),  # noqa: E501
            ({"type": "response.failed", "response": {"status": "failed", "error": {"code": "invalid_prompt"}}}, "rejected"),  # noqa: E501
        ),
        quirks=frozenset({"responses"}),
    ),
    "anthropic": Wire(
        anthropic.AnthropicChat, turns.anthropic,
        lambda kind, message: {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_x"},
        {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
         404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
         529: "overloaded_error"},
        (
            (429, {"error": {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}}, "auth", None, None),  # noqa: E501
            (403, {"error": {"type": "permission_error", "message": f"org-1 {KEY}"}}, "auth", None, None),
        ),
        (
            ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "unavailable"),
            ({"type": "error", "error": {"type": "rate_limit_error"}}, "rate_limited"),
            ({"type": "error", "error": {"type": "authentication_error"}}, "auth"),
            ({"type": "error", "error": {"type": "invalid_request_error"}}, "rejected"),
            ({"type": "error", "error": {"type": "from_the_future"}}, "unavailable"),
            ({"type": "error", "error": 5}, "malformed"),
        ),
    ),
    "google": Wire(
        google.GoogleChat, turns.google,
        lambda kind, message: {"error": {"code": 0, "message": message, "status": kind}},
        {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
         429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"},
        (
            (400, {"error": {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}, "auth", "invalid_request_error", None),  # noqa: E501
            (429, {"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "34.5s"}]}}, "rate_limited", None, 34.5),  # noqa: E501
            (403, {"error": {"status": "PERMISSION_DENIED"}}, "auth", None, None),
            (404, [{"error": {"status": "NOT_FOUND"}}], "rejected", "model_not_found", None),
        ),
        (
            ({"error": {"code": 503, "status": "UNAVAILABLE"}}, "unavailable"),
            ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, "rate_limited"),
            ({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, "rejected"),
            ({"error": 5}, "unavailable"),
        ),
    ),
    "cohere": Wire(
        cohere.CohereChat, turns.cohere, lambda _, message: {"id": "x", "message": message},
        in_stream=(
            ({"type": "message-end", "delta": {"finish_reason": "ERROR"}}, "unavailable"),
            ({"type": "message-end", "delta": {"error": "boom"}}, "unavailable"),
            ({"type": "message-end", "delta": {"finish_reason": "TIMEOUT"}}, "unavailable"),
        ),
    ),
}  # fmt: skip
Mode = Literal["whole", "stream"]
MODES: tuple[Mode, ...] = ("whole", "stream")


class Caller:
    def __init__(self, wire: Wire, provider: Loopback, client: Client) -> None:
        self._wire, self._provider, self._adapter = wire, provider, wire.adapter(client.post)

    async def messages(self, mode: Mode, timeouts: Timeouts = PATIENT) -> tuple[list[dict[str, Any]], Usage | None]:
        """The message, or the deltas of a stream, and the usage."""
        upstream = Upstream("p", "m", self._provider.base_url, KEY, timeouts, quirks=self._wire.quirks)
        request = chat_body.parse({"messages": [{"role": "user", "content": "hi"}], "stream": mode == "stream"})
        if mode == "whole":
            result = await self._adapter.complete(upstream, request, 100)
            return [result.body["choices"][0]["message"]], result.usage
        chunks = [chunk async for chunk in self._adapter.stream(upstream, request, 100)]
        deltas = [choice["delta"] for chunk in chunks if chunk.body for choice in chunk.body["choices"]]
        return deltas, next((chunk.usage for chunk in reversed(chunks) if chunk.usage is not None), None)

    async def ask(self, mode: Mode) -> tuple[str, str, list[Any], Usage]:
        """Text, thoughts, calls and the usage of an answer; of a stream, put together."""
        messages, usage = await self.messages(mode)
        assert usage is not None
        calls: dict[int, list[str]] = {}
        for message in messages:
            for at, call in enumerate(message.get("tool_calls") or ()):
                entry = calls.setdefault(call.get("index", at), ["", ""])
                entry[0] += call["function"].get("name") or ""
                entry[1] += call["function"].get("arguments") or ""
        text, thoughts = (
            "".join(message.get(name) or "" for message in messages) for name in ("content", "reasoning_content")
        )
        return text, thoughts, [(name, json.loads(given)) for name, given in calls.values()], usage

    async def failure(self, mode: Mode, timeouts: Timeouts = PATIENT) -> UpstreamError:
        with pytest.raises(UpstreamError) as raised:
            await self.messages(mode, timeouts)
        return raised.value

    def encoded(self, mode: Mode) -> bytes:
        return self._wire.encode(TURN, self._wire.slug, COUNTS, streamed=mode == "stream")


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> Wire:
    return WIRES[request.param]


@pytest.fixture
def caller(wire: Wire, provider: Loopback, client: Client) -> Caller:
    return Caller(wire, provider, client)


@pytest.mark.parametrize("mode", MODES)
async def test_all_is_well(caller: Caller, provider: Loopback, mode: Mode) -> None:
    provider.answer = Answer([caller.encoded(mode)])
    text, thoughts, calls, usage = await caller.ask(mode)
    assert (text, thoughts, calls) == (TURN.text, TURN.thoughts, [(name, dict(given)) for name, given in TURN.calls])
    assert (usage.units["input_tokens"], usage.units["output_tokens"]) == (90, 20)
    assert KEY in str(provider.received[0].headers)
    assert KEY not in str(provider.received[0].body)


STATUSES = {
    400: "rejected", 401: "auth", 402: "auth", 404: "rejected", 408: "unavailable", 413: "rejected", 422: "rejected",
    424: "unavailable", 429: "rate_limited", 500: "unavailable", 502: "unavailable", 503: "unavailable",
    504: "unavailable", 529: "unavailable",
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", STATUSES)
async def test_a_status(caller: Caller, wire: Wire, provider: Loopback, status: int, mode: Mode) -> None:
    """Its prose says where we are and who we are; none of that may go on."""
    prose = f"see https://internal.example/org-1?key={KEY}"
    body = json.dumps(wire.error(wire.slugs.get(status, "some_error"), prose)).encode()
    provider.answer = Answer([body], status)
    error = await caller.failure(mode)
    assert (error.kind, error.status, error.retry_after) == (STATUSES[status], status, None)
    for secret in (KEY, "org-1", "internal.example"):
        assert secret not in f"{error} {error.code} {error.param}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_time_to_wait(caller: Caller, wire: Wire, provider: Loopback, status: int, mode: Mode) -> None:
    provider.answer = Answer([json.dumps(wire.error("e", "m")).encode()], status, {"retry-after": "7"})
    assert (await caller.failure(mode)).retry_after == 7.0


SPECIAL = [(name, row) for name, wire in WIRES.items() for row in wire.special]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "row"), SPECIAL, ids=[f"{name}-{row[0]}-{row[2]}" for name, row in SPECIAL])
async def test_what_the_body_adds(name: str, row: Any, provider: Loopback, client: Client, mode: Mode) -> None:
    status, body, kind, code, wait = row
    provider.answer = Answer([json.dumps(body).encode()], status)
    error = await Caller(WIRES[name], provider, client).failure(mode)
    assert (error.kind, error.code, error.retry_after) == (kind, code, wait)
    assert KEY not in str(error)


IN_STREAM = [(name, *row) for name, wire in WIRES.items() for row in wire.in_stream]


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(("name", "event", "kind"), IN_STREAM, ids=[f"{row[0]}-{row[2]}" for row in IN_STREAM])
async def test_an_error_in_a_stream(
    name: str, event: Any, kind: str, provider: Loopback, client: Client, begun: bool
) -> None:
    caller = Caller(WIRES[name], provider, client)
    events = caller.encoded("stream").split(b"\n\n")
    pieces = [piece + b"\n\n" for piece in events[: 2 if begun else 0]]
    provider.answer = Answer([*pieces, b"data: " + json.dumps(event).encode() + b"\n\n"])
    assert (await caller.failure("stream")).kind == kind


ODD = {
    "nothing": b"",
    "HTML": b"<html>hello</html>",
    "cut JSON": b'{"choices": [{"mess',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "an empty object": b"{}",
    "not UTF-8": b'{"a": "\xff\xfe"}',
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("odd", ODD)
async def test_a_200_that_is_none(caller: Caller, provider: Loopback, odd: str, mode: Mode) -> None:
    body = ODD[odd] if mode == "whole" else b"data: " + ODD[odd] + b"\n\n"
    provider.answer = Answer([body])
    assert (await caller.failure(mode)).kind == "malformed"


@pytest.mark.parametrize("mode", MODES)
async def test_silence(caller: Caller, provider: Loopback, mode: Mode) -> None:
    for pieces in ([], [caller.encoded(mode)[:40]]):
        provider.answer = Answer(pieces, ending="silence")
        assert (await caller.failure(mode, HASTY)).kind == "timeout"
    await provider.all_closed()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ending", ["eof", "reset", "end"])
async def test_an_answer_that_is_cut(caller: Caller, provider: Loopback, ending: Any, mode: Mode) -> None:
    body = caller.encoded(mode)
    for share in (0.1, 0.5, 0.9):
        provider.answer = Answer([body[: int(len(body) * share)]], ending=ending)
        assert (await caller.failure(mode)).kind in ("connect", "malformed")


async def test_what_is_told_twice_or_is_not_known_is_passed_over(caller: Caller, provider: Loopback) -> None:
    """Comments, pings, events and fields that are younger than this code, CRLF, pieces of any size."""
    events = [event for event in caller.encoded("stream").split(b"\n\n") if event]
    noise = [b": ping", b'event: ping\ndata: {"type": "ping"}'] if caller._wire is WIRES["anthropic"] else [b": ping"]
    if caller._wire is not WIRES["chat completions"] and caller._wire is not WIRES["google"]:
        noise.append(b'data: {"type": "from_the_future", "a": 1}')
    stream = b"\r\n\r\n".join(piece for event in events for piece in (event, *noise)) + b"\r\n\r\n"
    chance = random.Random(7)
    cuts = sorted(chance.sample(range(1, len(stream)), 40))
    provider.answer = Answer([stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)])
    text, thoughts, calls, usage = await caller.ask("stream")
    assert (text, thoughts, len(calls)) == (TURN.text, TURN.thoughts, 2)
    assert usage.units["input_tokens"] == 90


def _mutated(node: Any, chance: random.Random) -> Any:
    """The same with one value that is another, or is not there."""
    if not isinstance(node, dict | list) or not node:
        return chance.choice([None, 5, -1, 10**30, "x", [], {}, [None], {"a": 1}, True, 1.5])
    made = dict(node) if isinstance(node, dict) else list(node)
    key = chance.choice(list(made)) if isinstance(made, dict) else chance.randrange(len(made))
    if chance.random() < 0.25:
        del made[key]
    else:
        made[key] = _mutated(made[key], chance)
    return made


@pytest.mark.parametrize("mode", MODES)
async def test_whatever_comes_is_an_answer_or_an_error_of_ours(caller: Caller, provider: Loopback, mode: Mode) -> None:
    chance = random.Random(f"{mode}")
    body = caller.encoded(mode)
    for _ in range(150):
        if mode == "whole":
            provider.answer = Answer([json.dumps(_mutated(json.loads(body), chance)).encode()])
        else:
            events = [event.removeprefix(b"data: ") for event in body.split(b"\n\n") if event]
            at = chance.randrange(len(events))
            if events[at] == b"[DONE]" or chance.random() < 0.2:
                del events[at]
            elif chance.random() < 0.2:
                events.insert(chance.randrange(len(events)), events[at])
            else:
                events[at] = json.dumps(_mutated(json.loads(events[at]), chance)).encode()
            provider.answer = Answer([b"".join(b"data: %b\n\n" % event for event in events)])
        try:
            _, usage = await caller.messages(mode)
        except UpstreamError:
            continue
        assert usage is None or all(type(count) is int and count >= 0 for count in usage.units.values())
