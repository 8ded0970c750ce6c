"""Gemini's answers: arguments in pieces, signatures, shapes that it should not send, and what an embedding consumed."""

import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig_providers.google import Parser, embed_usage, parse_response
from aig_providers.google_contents import FORMAT, generate_body
from tests.unit.providers.replies import request, upstream


def candidate(*parts: dict[str, Any], finish: Any = None, **more: Any) -> dict[str, Any]:
    end = {"finishReason": finish} if finish is not None else {}
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **end}], **more}


def call(name: str | None = None, *pieces: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = {**({"name": name} if name else {}), **({"partialArgs": list(pieces)} if pieces else {}), **more}
    return {"functionCall": made}


def piece(path: str, value: Any, **more: Any) -> dict[str, Any]:
    kind = "stringValue" if isinstance(value, str) else "boolValue" if isinstance(value, bool) else "numberValue"
    return {"jsonPath": path, kind: value, **more}


def fed(*bodies: dict[str, Any]) -> tuple[list[tuple[str, Any]], str | None]:
    """The calls of a stream and why it ended."""
    parser, calls, finish = Parser(5), list[tuple[str, Any]](), None
    for body in bodies:
        for choice in parser.choices(json.dumps(body).encode()):
            for made in choice["delta"].get("tool_calls") or ():
                assert made["index"] == len(calls)
                calls.append((made["function"]["name"], json.loads(made["function"]["arguments"])))
            finish = choice["finish_reason"] or finish
    return calls, finish


def refused(*bodies: dict[str, Any]) -> str:
    with pytest.raises(UpstreamError) as raised:
        fed(*bodies)
    return raised.value.kind


class TestArgumentsInPieces:
    def test_texts_come_in_several(self) -> None:
        begun = candidate(call("f", piece("$.q", "he", willContinue=True), willContinue=True))
        ended = candidate(call(None, piece("$.q", "llo")), finish="STOP")
        assert fed(begun, ended) == ([("f", {"q": "hello"})], "tool_calls")

    def test_an_end_that_was_forgotten(self) -> None:
        """Its arguments are whole: only the empty piece behind them did not come."""
        begun = candidate(call("f", piece("$.q", "hello"), willContinue=True))
        assert fed(begun, candidate(finish="STOP")) == ([("f", {"q": "hello"})], "tool_calls")

    def test_half_an_argument_is_no_answer(self) -> None:
        begun = candidate(call("f", piece("$.q", "rm -rf /tm", willContinue=True), willContinue=True))
        assert refused(begun, candidate(finish="STOP")) == "malformed"
        assert refused(begun, candidate(call("g", args={}), finish="STOP")) == "malformed"

    def test_but_what_is_cut_for_its_length_is_given_as_it_is(self) -> None:
        begun = candidate(call("f", piece("$.q", "he", willContinue=True), willContinue=True))
        assert fed(begun, candidate(finish="MAX_TOKENS")) == ([("f", {"q": "he"})], "length")

    def test_and_what_was_filtered_is_not_given(self) -> None:
        begun = candidate({"text": "a"}, call("f", piece("$.q", "he"), willContinue=True))
        assert fed(begun, candidate(finish="SAFETY")) == ([], "content_filter")
        assert fed(begun, candidate(finish="MALFORMED_FUNCTION_CALL")) == ([], "stop")

    def test_another_call_ends_the_one_before(self) -> None:
        begun = candidate(call("f", piece("$.q", "x"), willContinue=True))
        assert fed(begun, candidate(call("g", args={"a": 1}), finish="STOP")) == (
            [("f", {"q": "x"}), ("g", {"a": 1})],
            "tool_calls",
        )

    @pytest.mark.parametrize(
        ("path", "args"),
        [
            ("$.m.2024", {"m": {"2024": 1}}),
            ("$.m[0]", {"m": [1]}),
            ("$.m[0].n[0]", {"m": [{"n": [1]}]}),
            ("$['a.b']", {"a.b": 1}),
            ("$.m['2024'].x", {"m": {"2024": {"x": 1}}}),
        ],
    )
    def test_paths(self, path: str, args: Any) -> None:
        assert fed(candidate(call("f", piece(path, 1)), finish="STOP")) == ([("f", args)], "tool_calls")

    def test_lists_grow_by_one(self) -> None:
        pieces = [piece("$.q[0]", 1), piece("$.q[1]", 2), piece("$.q[0]", 3)]
        assert fed(candidate(call("f", *pieces), finish="STOP"))[0] == [("f", {"q": [3, 2]})]

    @pytest.mark.parametrize(
        "path",
        ["$.q[1]", "$.q[15000000]", "$.q[99999999999999999999]", "$[0]", "$", "", "q", "$.", "$.q[", 5, None, ["$.q"]],
    )
    def test_what_leads_nowhere_is_no_answer(self, path: Any) -> None:
        assert refused(candidate(call("f", {"jsonPath": path, "numberValue": 1}), finish="STOP")) == "malformed"

    def test_nor_is_what_leads_through_a_text(self) -> None:
        pieces = [piece("$.q", "a"), piece("$.q.r", "b")]
        assert refused(candidate(call("f", *pieces), finish="STOP")) == "malformed"


ODD = {
    "a thought that is a number": candidate({"thought": True, "text": 5}, finish="STOP"),
    "a thought that is a list": candidate({"thought": True, "text": [1]}, finish="STOP"),
    "a text that is a list": candidate({"text": ["a"]}, {"text": "b"}, finish="STOP"),
    "a name that is a list": candidate({"functionCall": {"name": ["a"], "args": {}}}, finish="STOP"),
    "indexes of two kinds": {
        "candidates": [
            {"index": "a", "content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"},
            {"index": 1, "content": {"parts": [{"text": "y"}]}, "finishReason": "STOP"},
        ]
    },
    "an index that is a list": {"candidates": [{"index": [0], "content": {"parts": []}, "finishReason": "STOP"}]},
    "a reason that is a list": candidate({"text": "x"}, finish=["STOP"]),
    "candidates that are a number": {"candidates": 5},
    "candidates that are names": {"candidates": {"a": 1}},
    "a part that is a text": {"candidates": [{"content": {"parts": ["x"]}, "finishReason": "STOP"}]},
    "feedback that is a text": {"promptFeedback": "x"},
    "logprobs that are a number": {
        "candidates": [
            {
                "content": {"parts": [{"text": "x"}]}, "finishReason": "STOP",
                "logprobsResult": {"chosenCandidates": 5},
            }
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_a_shape_that_it_should_not_send(odd: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse_response(json.dumps(ODD[odd]).encode(), 5)
    assert raised.value.kind == "malformed"


class TestSignedThoughts:
    def message(self, *parts: dict[str, Any]) -> dict[str, Any]:
        """The answer's message, as the client sends it back."""
        answer = parse_response(json.dumps(candidate(*parts, finish="STOP")).encode(), 5)
        message: dict[str, Any] = answer.body["choices"][0]["message"]
        return message

    def sent_back(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        user = {"role": "user", "content": "hi"}
        body = generate_body(upstream(), request(messages=[user, message, user]), 100)
        parts: list[dict[str, Any]] = body["contents"][1]["parts"]
        return parts

    def test_they_come_back_with_their_signature(self) -> None:
        signed = {"text": "hm", "thought": True, "thoughtSignature": "SIG"}
        message = self.message({"text": "unsigned", "thought": True}, signed, {"text": "hello"})
        assert message["reasoning_content"] == "unsignedhm"
        assert message["reasoning_details"][1] == {
            "type": "reasoning.text", "text": "hm", "signature": "SIG", "format": FORMAT, "index": 1
        }  # fmt: skip
        assert self.sent_back(message) == [signed, {"text": "hello"}]

    def test_a_signature_without_words(self) -> None:
        message = self.message({"text": "", "thought": True, "thoughtSignature": "SIG"}, {"text": "hello"})
        assert "reasoning_content" not in message
        assert self.sent_back(message)[0] == {"text": "", "thought": True, "thoughtSignature": "SIG"}

    def test_a_thought_without_either_is_none(self) -> None:
        assert "reasoning_details" not in self.message({"text": "", "thought": True}, {"text": "hello"})

    def test_that_of_the_answer_goes_with_the_answer(self) -> None:
        message = self.message({"text": "hello", "thoughtSignature": "SIG"})
        assert self.sent_back(message) == [{"text": "hello", "thoughtSignature": "SIG"}]


@pytest.mark.parametrize(
    ("raw", "units"),
    [
        ({"promptTokenCount": 3, "candidatesTokenCount": 5, "thoughtsTokenCount": 7}, {"input_tokens": 3}),
        ({"promptTokenCount": 0}, {"input_tokens": 0}),
        ({"promptTokenCount": "3"}, None),
        ({"candidatesTokenCount": 5}, None),
        (None, None),
        ([1], None),
    ],
)
def test_an_embedding_consumes_its_input_only(raw: Any, units: Any) -> None:
    usage = embed_usage(raw)
    assert (usage.units if usage else None) == units
