"""OpenAI's wire: what is sent, and how a well-formed answer is read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, usage_json
from aig.modalities.usage import Unit
from aig_providers.openai_compatible import EventParser, build_request, parse_response, parse_usage
from tests.unit.providers.replies import request, upstream

MESSAGE = {"role": "assistant", "content": "hello"}
COMPLETION = {"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": MESSAGE}]}


def sent(upstream_fields: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body that goes to the provider."""
    body: dict[str, Any] = json.loads(build_request(upstream(**upstream_fields), request(**fields), 100).body)
    return body


class TestBuildRequest:
    @pytest.mark.parametrize("base_url", ["https://acme.example/v1", "https://acme.example/v1/"])
    def test_address_and_headers(self, base_url: str) -> None:
        made = build_request(upstream(base_url=base_url, api_key="sk-provider"), request(), 100)
        assert made.url == "https://acme.example/v1/chat/completions"
        assert made.headers == {"Content-Type": "application/json", "Authorization": "Bearer sk-provider"}

    def test_a_server_without_keys_gets_none(self) -> None:
        assert "Authorization" not in build_request(upstream(), request(), 100).headers

    def test_the_models_own_name_and_the_limit_that_was_paid_for(self) -> None:
        body = sent({}, max_tokens=5000, max_completion_tokens=6000)
        assert body == {"model": "one-v1", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
        other = sent({"max_tokens_field": "max_completion_tokens"}, max_tokens=5000)
        assert other["max_completion_tokens"] == 100
        assert "max_tokens" not in other

    @pytest.mark.parametrize("options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}])
    def test_usage_of_a_stream_is_always_asked_for(self, options: dict[str, Any]) -> None:
        body = sent({}, stream=True, **options)
        assert body["stream"] is True
        assert body["stream_options"] == {"include_usage": True}

    def test_other_stream_options_go_along(self) -> None:
        body = sent({}, stream=True, stream_options={"include_obfuscation": False})
        assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}

    @pytest.mark.parametrize("stream", [False, None])
    def test_an_unstreamed_request_says_nothing_of_streams(self, stream: bool | None) -> None:
        assert not {"stream", "stream_options"} & sent({}, stream=stream).keys()

    def test_all_else_is_carried_unchanged(self) -> None:
        fields = {
            "temperature": 0,
            "seed": 7,
            "logit_bias": {"1": -100},
            "reasoning_effort": "low",
            "thoughts": {"a": []},
        }
        body = sent({}, **fields, provider={"only": ["acme"]})
        assert {name: body[name] for name in fields} == fields
        assert "provider" not in body

    def test_text_is_sent_as_utf_8(self) -> None:
        made = build_request(upstream(), request(messages=[{"role": "user", "content": "\u20ac \U0001f600"}]), 100)
        assert "\u20ac \U0001f600".encode() in made.body


def units(**counts: int) -> dict[Unit, int]:
    names: tuple[Unit, ...] = (
        "input_tokens",
        "cached_input_tokens",
        "input_audio_tokens",
        "output_tokens",
        "reasoning_tokens",
        "output_audio_tokens",
    )
    return {name: counts.get(name, 0) for name in names}


class TestParseUsage:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            ({"prompt_tokens": 5, "completion_tokens": 7}, units(input_tokens=5, output_tokens=7)),
            ({"prompt_tokens": 0, "completion_tokens": 0}, units()),
            (
                {
                    "prompt_tokens": 100,
                    "completion_tokens": 50,
                    "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 10},
                    "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 5},
                },
                units(
                    input_tokens=30,
                    cached_input_tokens=60,
                    input_audio_tokens=10,
                    output_tokens=15,
                    reasoning_tokens=30,
                    output_audio_tokens=5,
                ),
            ),
            (
                {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": None},
                units(input_tokens=5, output_tokens=7),
            ),
            (
                {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": None}},
                units(input_tokens=5, output_tokens=7),
            ),
            # Details that do not fit into their total: the total counts.
            (
                {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 9}},
                units(cached_input_tokens=5, output_tokens=7),
            ),
            (
                {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "x": {"y": 1}},
                units(input_tokens=5, output_tokens=7),
            ),
            # xAI counts reasoning beside the completion; only the total tells.
            (
                {
                    "prompt_tokens": 10,
                    "completion_tokens": 2,
                    "total_tokens": 112,
                    "completion_tokens_details": {"reasoning_tokens": 100},
                },
                units(input_tokens=10, output_tokens=2, reasoning_tokens=100),
            ),
            (
                {
                    "prompt_tokens": 10,
                    "completion_tokens": 200,
                    "total_tokens": 310,
                    "completion_tokens_details": {"reasoning_tokens": 100},
                },
                units(input_tokens=10, output_tokens=200, reasoning_tokens=100),
            ),
        ],
    )
    def test_totals_become_disjoint_classes(self, raw: Any, expected: dict[Unit, int]) -> None:
        usage = parse_usage(raw)
        assert usage is not None
        assert {unit: n for unit, n in usage.units.items() if n} == {unit: n for unit, n in expected.items() if n}
        assert not usage.estimated

    @pytest.mark.parametrize(
        "raw",
        [
            None,
            [],
            "12",
            {},
            # Half a usage would make the other half free.
            {"prompt_tokens": 5},
            {"completion_tokens": 7, "prompt_tokens": None},
            {"total_tokens": 12},
            {"prompt_tokens": None, "completion_tokens": None},
            {"prompt_tokens": -1, "completion_tokens": 7},
            {"prompt_tokens": "5", "completion_tokens": 7},
            {"prompt_tokens": 5.0, "completion_tokens": 7},
            {"prompt_tokens": True, "completion_tokens": 7},
            {"prompt_tokens": 5, "completion_tokens": 10**9 + 1},
            {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": -1}},
            {"prompt_tokens": 5, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": "3"}},
        ],
    )
    def test_absent_or_not_to_be_believed(self, raw: Any) -> None:
        assert parse_usage(raw) is None

    @given(st.integers(0, 10**6), st.integers(0, 10**6), *[st.integers(0, 10**6)] * 4)
    def test_the_totals_are_kept_whatever_the_details(
        self, prompt: int, completion: int, cached: int, audio_in: int, reasoning: int, audio_out: int
    ) -> None:
        usage = parse_usage(
            {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": audio_in},
                "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": audio_out},
            }
        )
        assert usage is not None
        assert all(count >= 0 for count in usage.units.values())
        written = usage_json(usage)
        assert (written["prompt_tokens"], written["completion_tokens"]) == (prompt, completion)


class TestParseResponse:
    def test_body_and_usage_are_parted(self) -> None:
        raw = {**COMPLETION, "usage": {"prompt_tokens": 1, "completion_tokens": 2}, "system_fingerprint": "fp"}
        result = parse_response(json.dumps(raw).encode())
        assert result.body == {**COMPLETION, "system_fingerprint": "fp"}
        assert result.usage is not None
        assert result.usage.units["output_tokens"] == 2

    def test_what_is_no_part_of_a_completion_stays_here(self) -> None:
        told = {"organization": "org-1", "warning": "key sk-1 at http://10.0.0.1", "x_vendor": {}, "prompt_filter": []}
        assert parse_response(json.dumps({**COMPLETION, **told}).encode()).body == COMPLETION
        odd = {"id": {"a": 1}, "created": "now", "system_fingerprint": ["org-1"], "model": 5}
        assert parse_response(json.dumps({**COMPLETION, **odd}).encode()).body == {
            "object": "chat.completion", "choices": COMPLETION["choices"]
        }  # fmt: skip

    @pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": "free"}])
    def test_usage_may_be_absent(self, usage: dict[str, Any]) -> None:
        assert parse_response(json.dumps({**COMPLETION, **usage}).encode()).usage is None

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"<html>this is no JSON</html>",
            json.dumps(COMPLETION).encode()[:-1],
            b"\xff\xfe\x00",
            b"[" * 100_000,
            b"null",
            b"[]",
            b"{}",
            b'{"choices": null}',
            b'{"choices": []}',
            b'{"choices": {}}',
            b'{"choices": ["a"]}',
            b'{"choices": [{}]}',
            b'{"choices": [{"message": null}]}',
            b'{"choices": [{"message": "hello"}]}',
            b'{"choices": [{"delta": {"content": "a"}}]}',
        ],
        ids=lambda payload: repr(payload)[:40],
    )
    def test_what_is_no_completion(self, payload: bytes) -> None:
        with pytest.raises(UpstreamError) as raised:
            parse_response(payload)
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize(
        "extra",
        [
            {"error": {"message": "in a 200"}},
            {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "error"}]},
            {"choices": [{"index": 0, "message": {"content": "a"}, "error": {"message": "the provider's words"}}]},
        ],
        ids=["beside the choices", "finish reason", "in a choice"],
    )
    def test_an_error_that_looks_like_an_answer(self, extra: dict[str, Any]) -> None:
        with pytest.raises(UpstreamError) as raised:
            parse_response(json.dumps({**COMPLETION, **extra}).encode())
        assert raised.value.kind == "unavailable"
        assert "words" not in str(raised.value)


class TestParseEvent:
    def test_a_chunk(self) -> None:
        raw = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}], "usage": None}
        chunk = EventParser().feed(json.dumps(raw).encode())
        assert chunk == ChatChunk({"id": "c", "choices": raw["choices"]}, None)

    def test_usage_beside_the_last_delta(self) -> None:
        raw = {
            "choices": [{"delta": {}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        }
        chunk = EventParser().feed(json.dumps(raw).encode())
        assert chunk.body == {"choices": raw["choices"]}
        assert chunk.usage is not None

    def test_usage_alone(self) -> None:
        chunk = EventParser().feed(b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}')
        assert chunk.body is None
        assert chunk.usage is not None

    def test_what_is_no_part_of_a_chunk_stays_here(self) -> None:
        choices = [{"index": 0, "delta": {"content": "a"}}]
        raw = {"id": "c", "choices": choices, "obfuscation": "x", "provider": "org-1", "x_groq": {"id": "req"}}
        chunk = EventParser().feed(json.dumps(raw).encode())
        assert chunk.body == {"id": "c", "choices": choices, "obfuscation": "x"}

    @pytest.mark.parametrize(
        ("told", "counts"),
        [
            ([(5, None), (None, 3)], (5, 3)),  # one in each
            ([(5, 0), (0, 3)], (5, 3)),
            ([(5, 9), (5, 2)], (5, 2)),  # told again: the last is right
            ([(5, 2), (6, 9)], (6, 9)),
            ([(10, 5), (0, 0)], (10, 5)),
            ([(0, 0)], (0, 0)),
        ],
    )
    def test_usage_in_pieces(self, told: list[tuple[int | None, int | None]], counts: tuple[int, int]) -> None:
        parser, usage = EventParser(), None
        for prompt, completion in told:
            raw = {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}
            usage = parser.feed(json.dumps(raw).encode()).usage
        assert usage is not None
        assert (usage.units["input_tokens"], usage.units["output_tokens"]) == counts

    def test_half_of_a_usage_is_none(self) -> None:
        raw = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": None}}
        assert EventParser().feed(json.dumps(raw).encode()).usage is None

    def test_nothing_to_hand_on(self) -> None:
        assert EventParser().feed(b'{"choices": [], "prompt_filter_results": []}') == ChatChunk(None, None)

    def test_an_error_in_the_stream(self) -> None:
        with pytest.raises(UpstreamError) as raised:
            EventParser().feed(b'{"error": {"message": "overloaded"}}')
        assert raised.value.kind == "unavailable"

    @pytest.mark.parametrize("payload", [b"", b"x", b"[1]", b"{}", b'{"choices": [{"message": {}}]}', b"[" * 100_000])
    def test_what_is_no_chunk(self, payload: bytes) -> None:
        with pytest.raises(UpstreamError) as raised:
            EventParser().feed(payload)
        assert raised.value.kind == "malformed"
