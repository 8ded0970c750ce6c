"""Cohere tells how likely its words were, a piece of text at a time: in OpenAI's form."""

import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig_providers.cohere import CohereChat, StreamParser, build_request
from tests.unit.providers.replies import event, posting, request, upstream

PARIS = {"text": "Par\u00eds", "token_ids": [1, 2], "logprobs": [-0.25, -0.5]}
DOT = {"text": ".", "token_ids": [3], "logprobs": [-1.0]}
OURS = [
    {"token": "Par\u00eds", "logprob": -0.75, "bytes": list("Par\u00eds".encode()), "top_logprobs": []},
    {"token": ".", "logprob": -1.0, "bytes": [46], "top_logprobs": []},
]


def whole(logprobs: Any) -> bytes:
    message = {"role": "assistant", "content": [{"type": "text", "text": "Par\u00eds."}]}
    return json.dumps({"id": "c", "message": message, "finish_reason": "COMPLETE", "logprobs": logprobs}).encode()


@pytest.mark.parametrize("wanted", [True, False, None])
def test_they_are_asked_for(wanted: bool | None) -> None:
    sent = json.loads(build_request(upstream(), request(logprobs=wanted), 100).body)
    assert sent.get("logprobs") == (wanted or None)


def test_the_likely_others_are_not_to_be_had() -> None:
    with pytest.raises(UpstreamError) as raised:
        build_request(upstream(), request(logprobs=True, top_logprobs=2), 100)
    assert raised.value.param == "top_logprobs"


def test_a_schema_beside_tools_is_refused_by_name() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    with pytest.raises(UpstreamError) as raised:
        build_request(upstream(), request(tools=[tool], response_format={"type": "json_object"}), 100)
    assert raised.value.param == "response_format"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ([PARIS, DOT], {"content": OURS, "refusal": None}),
        ([{"token_ids": [9]}, DOT], {"content": OURS[1:], "refusal": None}),  # a token without a text
        ([], None),
        (None, None),
    ],
)
async def test_in_a_whole_answer(theirs: Any, ours: Any) -> None:
    result = await CohereChat(posting(whole(theirs))).complete(upstream(), request(logprobs=True), 100)
    assert result.body["choices"][0]["logprobs"] == ours


@pytest.mark.parametrize("bad", ["likely", [5], [{"text": 5}], [{"text": "a", "logprobs": ["b"]}]])
async def test_what_are_none_is_malformed(bad: Any) -> None:
    with pytest.raises(UpstreamError) as raised:
        await CohereChat(posting(whole(bad))).complete(upstream(), request(), 100)
    assert raised.value.kind == "malformed"


def test_in_a_stream() -> None:
    parser, told = StreamParser(5), []
    for text, likely in (("Par\u00eds", PARIS), (".", DOT), ("!", None)):
        delta = {"message": {"content": {"text": text}}}
        piece = {"type": "content-delta", "index": 0, "delta": delta, **({"logprobs": likely} if likely else {})}
        (chunk,) = parser.feed(event(piece).removeprefix(b"data: "))
        assert chunk.body is not None
        told.append(chunk.body["choices"][0].get("logprobs"))
    assert told == [{"content": [OURS[0]], "refusal": None}, {"content": [OURS[1]], "refusal": None}, None]
