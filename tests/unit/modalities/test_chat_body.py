"""Which chat bodies are let through, and what a client is told of the others."""

import base64
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given

from aig.errors import InvalidRequest
from aig.modalities import chat_body
from aig.modalities.chat import CLIP_TOKENS, CLIP_TOKENS_PER_S, SPOKEN_TOKENS
from aig.modalities.chat_body import parse
from aig.modalities.demand import UNBOUNDED_TOKENS
from tests.unit.modalities.strategies import PIXEL, bodies

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
CUSTOM = {"type": "custom", "custom": {"name": "grep", "format": {"type": "text"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "sandbox/echo", "messages": [USER], **fields}


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    return body(messages=[{"role": "user", "content": list(parts)}])


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def wanted(schema: Any) -> dict[str, Any]:
    return body(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


HUGE_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 50_000, 50_000) + bytes(9)


@given(bodies())
def test_a_valid_body_passes_whole(sent: dict[str, Any]) -> None:
    assert parse(sent).body == sent


SPOKEN = {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}


@pytest.mark.parametrize(
    "sent",
    [
        body(),
        body(max_tokens=None, temperature=None, n=None, stop=None, stream=None, tools=None, response_format=None),
        body(max_tokens=1, temperature=0, top_p=1, n=128, seed=-(2**63), presence_penalty=-2, frequency_penalty=2.0),
        body(temperature=1, logprobs=True, top_logprobs=20, parallel_tool_calls=False, user="u" * 1024),
        body(stop="x" * 1024),
        body(stop=["a", "b", "c", "d"]),
        body(logit_bias={"50256": -100, "1": 0.5}),
        body(metadata={"k" * 64: "v" * 512}),
        body(provider={"order": ["openai"], "only": ["my-own_1"], "ignore": []}),
        body(tools=[TOOL], tool_choice="required"),
        body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "get_weather"}}),
        body(tools=[{"type": "function", "function": {"name": "f", "strict": None, "parameters": None}}]),
        body(tools=[CUSTOM, TOOL], tool_choice={"type": "custom", "custom": {"name": "grep"}}),
        body(tools=[TOOL], tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}),
        body(functions=[{"name": "f"}], messages=[USER, {"role": "function", "name": "f", "content": "x"}]),
        body(models=None),
        body(models=["a/b", "c/d"]),
        body(model=None),
        body(model="auto"),
        {"messages": [USER]},
        body(thinking={"type": "enabled", "budget_tokens": 2000}),
        body(
            messages=[
                USER,
                {
                    "role": "assistant",
                    "content": "a",
                    "reasoning_content": "r",
                    "reasoning_details": [{"type": "reasoning.text", "text": "r", "signature": "s", "index": 0}],
                },
            ]
        ),
        body(response_format={"type": "text"}),
        body(response_format={"type": "json_object"}),
        body(response_format={"type": "json_schema", "json_schema": {"name": "n"}}),
        body(messages=[{"role": "system", "content": "s"}, {"role": "developer", "content": [], "name": "d"}, USER]),
        body(messages=[USER, {"role": "assistant"}, {"role": "assistant", "content": None, "tool_calls": None}]),
        body(
            messages=[
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [CALL, {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "x"}}],
                },
                {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "t"}]},
                {"role": "tool", "tool_call_id": "call_1", "content": ""},
            ]
        ),
        # Younger than this code, and passed on.
        body(reasoning_effort="high", verbosity={"level": 3}, service_tier="flex", store=False, thoughts={"x": [1.5]}),
        said({"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}),
    ],
)
def test_accepted_and_carried_unchanged(sent: dict[str, Any]) -> None:
    assert parse(sent).body == sent


REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({}, "messages", "missing_required_parameter"),
    ({"model": "m"}, "messages", "missing_required_parameter"),
    (body(model=""), "model", "invalid_value"),
    (body(model=1), "model", "invalid_value"),
    (body(models=[]), "models", "invalid_value"),
    (body(models=["a/b"] * 9), "models", "invalid_value"),
    (body(models=[""]), "models[0]", "invalid_value"),
    (body(models=5), "models", "invalid_value"),
    (body(reasoning_effort="extreme"), "reasoning_effort", "invalid_value"),
    (body(thinking={"type": "enabled", "budget_tokens": 0}), "thinking.budget_tokens", "invalid_value"),
    (body(thinking={"budget_tokens": 5}), "thinking.type", "missing_required_parameter"),
    (
        body(messages=[USER, {"role": "assistant", "reasoning_details": [{"type": "guess"}]}]),
        "messages[1].reasoning_details[0].type",
        "invalid_value",
    ),
    (
        said({"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "2h"}}),
        "messages[0].content[0].cache_control.ttl",
        "invalid_value",
    ),
    (body(model=[]), "model", "invalid_value"),
    *(
        (body(**{name: 5}), name, "unsupported_parameter")
        for name in ("n_predict", "max_new_tokens", "best_of", "web_search_options")
    ),
    (body(messages=[]), "messages", "invalid_value"),
    (body(messages=None), "messages", "invalid_value"),
    (body(messages="hi"), "messages", "invalid_value"),
    (body(messages=["hi"]), "messages[0]", "invalid_value"),
    (body(messages=[USER] * 10_001), "messages", "invalid_value"),
    (body(messages=[{"content": "hi"}]), "messages[0]", "missing_required_parameter"),
    (body(messages=[{"role": "root", "content": "hi"}]), "messages[0]", "invalid_value"),
    (body(messages=[USER, {"role": "user"}]), "messages[1].content", "missing_required_parameter"),
    (body(messages=[{"role": "user", "content": None}]), "messages[0].content", "invalid_value"),
    (body(messages=[{"role": "user", "content": 5}]), "messages[0].content", "invalid_value"),
    (body(messages=[{"role": "user", "content": []}]), "messages[0].content", "invalid_value"),
    (body(messages=[{"role": "system", "content": None}]), "messages[0].content", "invalid_value"),
    (said({"type": "hologram"}), "messages[0].content[0]", "invalid_value"),
    (said({"text": "no type"}), "messages[0].content[0]", "missing_required_parameter"),
    (said({"type": "text"}), "messages[0].content[0].text", "missing_required_parameter"),
    (said({"type": "text", "text": None}), "messages[0].content[0].text", "invalid_value"),
    (said({"type": "refusal", "refusal": "no"}), "messages[0].content[0]", "invalid_value"),
    (
        said({"type": "image_url", "image_url": "https://a.example"}),
        "messages[0].content[0].image_url",
        "invalid_value",
    ),
    (
        said({"type": "image_url", "image_url": {}}),
        "messages[0].content[0].image_url.url",
        "missing_required_parameter",
    ),
    (body(messages=[{"role": "tool", "content": "x", "tool_call_id": "call_1"}]), "messages[0].tool_call_id", ""),
    (
        body(
            messages=[
                {"role": "tool", "content": "x", "tool_call_id": "call_1"},
                {"role": "assistant", "tool_calls": [CALL]},
            ]
        ),
        "messages[0].tool_call_id",
        "invalid_value",
    ),
    (
        body(messages=[{"role": "assistant", "tool_calls": [{"function": {}}]}]),
        "messages[0].tool_calls[0].function.arguments",
        "missing_required_parameter",
    ),
    (body(max_tokens=0), "max_tokens", "invalid_value"),
    (body(max_tokens=-1), "max_tokens", "invalid_value"),
    (body(max_tokens=2**63), "max_tokens", "invalid_value"),
    (body(max_tokens="5"), "max_tokens", "invalid_value"),
    (body(max_tokens=True), "max_tokens", "invalid_value"),
    (body(max_tokens=1.0), "max_tokens", "invalid_value"),
    (body(max_completion_tokens=0), "max_completion_tokens", "invalid_value"),
    *((body(n=n), "n", "invalid_value") for n in (0, -1, 10**9, 1.5, "2", True)),
    *((body(temperature=t), "temperature", "invalid_value") for t in (-0.1, 2.1, "hot", True, float("nan"))),
    *((body(top_p=p), "top_p", "invalid_value") for p in (0, 1.1, -1, "1")),
    (body(stop=["a"] * 5), "stop", "invalid_value"),
    (body(stop="x" * 10_000), "stop", "invalid_value"),
    (body(stop=["x" * 10_000]), "stop[0]", "invalid_value"),
    (body(stop=5), "stop", "invalid_value"),
    (body(stream="yes"), "stream", "invalid_value"),
    (body(stream=1), "stream", "invalid_value"),
    (body(stream_options={"include_usage": True}), "stream_options", "invalid_value"),
    (body(stream=True, stream_options={"include_usage": "yes"}), "stream_options.include_usage", "invalid_value"),
    (body(tools=[TOOL] * 129), "tools", "invalid_value"),
    (body(tools=[{"type": "function"}]), "tools[0].function", "missing_required_parameter"),
    (body(tools=[{"type": "function", "function": {}}]), "tools[0].function.name", "missing_required_parameter"),
    (body(tools=[{"type": "function", "function": {"name": "get weather"}}]), "tools[0].function.name", ""),
    (body(tools=[{"type": "function", "function": {"name": "a" * 65}}]), "tools[0].function.name", "invalid_value"),
    (body(tools=[{"type": "function", "function": {"name": "a\n"}}]), "tools[0].function.name", "invalid_value"),
    (body(tools=[{"type": "web_search"}]), "tools[0]", "invalid_value"),
    (body(tools=[{**TOOL, "type": "web_search"}]), "tools[0]", "invalid_value"),
    (
        body(tools=[{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#"}}}]),
        "tools[0].function.parameters",
        "invalid_value",
    ),
    (
        body(
            tools=[TOOL, {"type": "function", "function": {"name": "f", "parameters": {"description": "d" * 300_000}}}]
        ),
        "tools[1].function.parameters",
        "invalid_value",
    ),
    (body(tool_choice="required"), "tool_choice", "invalid_value"),
    (body(tools=[], tool_choice="required"), "tool_choice", "invalid_value"),
    (body(tools=[TOOL], tool_choice="always"), "tool_choice", "invalid_value"),
    (body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "g"}}), "tool_choice", "invalid_value"),
    (body(tools=[CUSTOM], tool_choice={"type": "custom", "custom": {"name": "g"}}), "tool_choice", "invalid_value"),
    (body(tools=[TOOL], tool_choice={"type": "function"}), "tool_choice.function", "missing_required_parameter"),
    (body(response_format={"type": "xml"}), "response_format.type", "invalid_value"),
    (body(response_format={"type": "json_schema"}), "response_format.json_schema", "missing_required_parameter"),
    (
        body(response_format={"type": "json_schema", "json_schema": {"schema": {}}}),
        "response_format.json_schema.name",
        "missing_required_parameter",
    ),
    (wanted({"type": "text"}), "response_format.json_schema.schema", "invalid_value"),
    (wanted({"description": "d" * 300_000}), "response_format.json_schema.schema", "invalid_value"),
    (wanted([]), "response_format.json_schema.schema", "invalid_value"),
    (body(logit_bias={"x": 1}), "logit_bias.x", "invalid_value"),
    (body(logit_bias={"1": 101}), "logit_bias.1", "invalid_value"),
    (body(logit_bias={str(token): 1 for token in range(100_000)}), "logit_bias", "invalid_value"),
    (body(seed=10**30), "seed", "invalid_value"),
    (body(seed=2**63), "seed", "invalid_value"),
    (body(seed=1e30), "seed", "invalid_value"),
    (body(top_logprobs=21), "top_logprobs", "invalid_value"),
    (body(presence_penalty=2.1), "presence_penalty", "invalid_value"),
    (body(frequency_penalty=-2.1), "frequency_penalty", "invalid_value"),
    (body(user="u" * 10_000), "user", "invalid_value"),
    (body(metadata={str(key): "v" for key in range(1_000)}), "metadata", "invalid_value"),
    (body(metadata={"k": 1}), "metadata.k", "invalid_value"),
    (body(metadata={"k": "v" * 513}), "metadata.k", "invalid_value"),
    *(
        (body(**{name: "x"}), name, "invalid_value")
        for name in ("base_url", "api_base", "api_key", "extra_headers", "extra_body", "extra_query")
    ),
    (body(provider={"order": ["../x"]}), "provider.order[0]", "invalid_value"),
    (body(provider={"only": "openai"}), "provider.only", "invalid_value"),
    (body(service_tier="batch"), "service_tier", "invalid_value"),
    (body(provider={"sort": "price"}), "provider.sort", "invalid_value"),
]


@pytest.mark.parametrize(("sent", "param", "code"), REFUSED, ids=lambda value: repr(value)[:50])
def test_refused_by_name(sent: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(sent)
    assert raised.value.param == param
    assert raised.value.code == (code or "invalid_value")
    assert raised.value.status == 400
    assert len(raised.value.message) < 400


IMAGE = "messages[0].content[0].image_url.url"
AUDIO = "messages[0].content[0].input_audio.data"


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (image("http://169.254.169.254/latest/meta-data/"), IMAGE),
        (image("https://169.254.169.254/latest/meta-data/"), IMAGE),
        (image("https://[::ffff:169.254.169.254]/"), IMAGE),
        (image("https://u:p@example.com/"), IMAGE),
        (image("file:///etc/passwd"), IMAGE),
        (image(""), IMAGE),
        (image("data:text/html;base64,PGI+"), IMAGE),
        (image("data:image/svg+xml;base64,PHN2Zy8+"), IMAGE),
        (image(f"data:image/png,{PIXEL}"), IMAGE),
        (image("data:image/png;base64"), IMAGE),
        (image("data:image/png;base64,"), IMAGE),
        (image(f"data:image/png;base64,{PIXEL}="), IMAGE),
        (image(f"data:image/png;base64,{PIXEL[:20]}\n{PIXEL[20:]}"), IMAGE),
        (image("data:image/png;base64,\u00e9\u00e9\u00e9\u00e9"), IMAGE),
        (image(data_url(b"GIF89a")), IMAGE),
        (image(data_url(b"not an image at all, but long enough to be one")), IMAGE),
        (image(data_url(HUGE_PNG)), IMAGE),
        (image("data:image/png;base64," + "A" * (28 << 20)), IMAGE),
        ({"type": "input_audio", "input_audio": {"data": "????", "format": "wav"}}, AUDIO),
        ({"type": "input_audio", "input_audio": {"data": "AAA", "format": "wav"}}, AUDIO),
        ({"type": "input_audio", "input_audio": {"data": "\u00e9\u00e9\u00e9\u00e9", "format": "wav"}}, AUDIO),
    ],
    ids=lambda value: repr(value)[:70],
)
def test_media_that_are_refused(part: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(said(part))
    assert raised.value.param == param
    assert len(raised.value.message) < 300


@pytest.mark.parametrize(
    ("sent", "capabilities"),
    [
        (body(), {"chat"}),
        (body(tools=[TOOL]), {"chat", "tools"}),
        (body(tools=[CUSTOM]), {"chat", "tools"}),
        (body(functions=[{"name": "f"}]), {"chat", "tools"}),
        (body(tools=[]), {"chat"}),
        (wanted({"type": "object"}), {"chat", "json_schema"}),
        (body(response_format={"type": "text"}), {"chat"}),
        (said(image(data_url(base64.b64decode(PIXEL)))), {"chat", "vision"}),
        (said(image("https://example.com/a.png")), {"chat", "vision"}),
        (said({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}), {"chat", "audio"}),
        (said({"type": "file", "file": {"file_id": "file_1"}}), {"chat", "files"}),
        (body(modalities=["text"]), {"chat"}),
        (body(modalities=["text", "audio"]), {"chat", "audio"}),
        (body(messages=[SPOKEN, {"role": "user", "content": "go on"}]), {"chat", "audio"}),
    ],
)
def test_what_a_model_must_have_to_serve_it(sent: dict[str, Any], capabilities: set[str]) -> None:
    assert parse(sent).capabilities == capabilities


def test_the_bytes_of_inline_media_are_not_text() -> None:
    small = parse(said(image(data_url(base64.b64decode(PIXEL)))))
    large = parse(said(image(data_url(base64.b64decode(PIXEL) + bytes(30_000)))))
    assert small.input_bytes == large.input_bytes
    assert (small.media.images, large.media.images) == (1, 1)
    clip = {"type": "input_audio", "input_audio": {"data": base64.b64encode(bytes(30_000)).decode(), "format": "wav"}}
    assert parse(said(clip)).input_bytes < 200


def test_what_is_heard_counts_by_the_second_and_what_was_said_aloud_by_the_turn() -> None:
    def clip(data: bytes) -> dict[str, Any]:
        audio = {"data": base64.b64encode(data).decode(), "format": "mp3"}
        return {"type": "input_audio", "input_audio": audio}

    frame = b"\xff\xfb\x90\x00" + bytes(413)  # 26 ms of MP3, at 128 kbit/s and 44.1 kHz
    assert parse(said(clip(40 * frame))).media.audio_tokens == CLIP_TOKENS + 2 * CLIP_TOKENS_PER_S
    assert parse(said(clip(bytes(30_000)))).demand.input_tokens == UNBOUNDED_TOKENS
    assert parse(body(messages=[SPOKEN, SPOKEN])).media.audio_tokens == 2 * SPOKEN_TOKENS
    silent = parse(body()).demand
    spoken = parse(body(messages=[*body()["messages"], SPOKEN])).demand
    assert spoken.input_tokens >= silent.input_tokens + SPOKEN_TOKENS
    assert spoken.input_units - silent.input_units == {"input_audio_tokens", "cached_input_audio_tokens"}


@pytest.mark.parametrize(
    ("fields", "sampling"),
    [
        ({}, ()),
        ({"temperature": None, "top_p": 1.0}, ()),
        ({"temperature": 1}, ()),
        ({"temperature": 0}, ("temperature",)),
        ({"top_p": 0.5, "top_k": 1}, ("top_p", "top_k")),
    ],
)
def test_the_settings_of_sampling_that_are_not_as_usual(fields: dict[str, Any], sampling: tuple[str, ...]) -> None:
    assert parse(body(**fields)).demand.sampling == sampling


@pytest.mark.parametrize("modalities", [5, "audio", [5], ["text"] * 9])
def test_modalities_are_a_short_list_of_names(modalities: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(body(modalities=modalities))
    assert (raised.value.param or "").startswith("modalities")


def test_the_hosts_that_have_to_be_looked_up() -> None:
    sent = body(
        messages=[
            {"role": "user", "content": [image("https://a.example/1"), image("https://B.example:443/2")]},
            {"role": "assistant", "content": "https://c.example/"},
            {"role": "user", "content": [{"type": "text", "text": "https://d.example/"}, image("https://a.example/3")]},
            {"role": "user", "content": [image(data_url(base64.b64decode(PIXEL)))]},
        ]
    )
    assert parse(sent).image_hosts == {"a.example", "b.example"}
    assert parse(body()).image_hosts == frozenset()


def test_media_are_counted_over_all_messages() -> None:
    """Each costs a look at its header or its host, so there are not too many."""
    pictures = [image("https://example.com/a.png")] * 50
    assert parse(body(messages=[{"role": "user", "content": pictures}] * 2)).media.pieces == 100
    with pytest.raises(InvalidRequest, match="at most 100") as raised:
        parse(body(messages=[{"role": "user", "content": pictures}] * 3))
    assert raised.value.param == "messages[2].content[0]"


def test_a_schema_is_weighed_before_it_is_walked() -> None:
    heavy = {"description": "d" * 300_000, "type": "no such type"}
    with pytest.raises(InvalidRequest, match="larger than 256 kB"):
        parse(wanted(heavy))


@pytest.mark.parametrize(
    "message",
    [{"role": "user", "content": [1] * 50_000}, {"role": "assistant", "tool_calls": [1] * 50_000}],
    ids=["parts", "tool calls"],
)
def test_a_refusal_takes_no_more_memory_than_the_body_is_worth(message: dict[str, Any]) -> None:
    sent = body(messages=[message])
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            parse(sent)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000  # the body itself is 150 kB


def test_the_schema_for_the_documentation_names_every_parameter() -> None:
    schema = chat_body.body_schema()
    assert {"model", "messages", "stream", "tools", "response_format"} <= schema["properties"].keys()
    assert schema["required"] == ["messages"]


@pytest.mark.parametrize(
    ("fields", "models"),
    [
        ({"model": "a/b"}, ("a/b",)),
        ({"model": "auto"}, ()),
        ({"model": None}, ()),
        ({}, ()),
        ({"models": ["a/b", "c/d"]}, ("a/b", "c/d")),
        ({"model": "x/y", "models": ["a/b", "x/y"]}, ("x/y", "a/b")),
        ({"model": "auto", "models": ["a/b", "auto"]}, ("a/b",)),
    ],
)
def test_which_models_are_to_be_tried(fields: dict[str, Any], models: tuple[str, ...]) -> None:
    assert parse({"messages": [USER], **fields}).models == models


MARK = {"type": "ephemeral"}


@pytest.mark.parametrize("mark", ["odd", {"ttl": ["1h"]}, {"type": "ephemeral", "ttl": "1d"}, 5])
def test_a_mark_for_the_cache_is_checked_wherever_it_is(mark: Any) -> None:
    places = [
        body(cache_control=mark),
        body(messages=[{**USER, "cache_control": mark}]),
        body(messages=[{"role": "system", "content": "s", "cache_control": mark}, USER]),
        body(tools=[{**TOOL, "cache_control": mark}]),
        said({"type": "text", "text": "t", "cache_control": mark}),
    ]
    for sent in places:
        with pytest.raises(InvalidRequest) as raised:
            parse(sent)
        assert "cache_control" in (raised.value.param or "")


@pytest.mark.parametrize(
    ("sent", "marks"),
    [
        (body(), set()),
        (said({"type": "text", "text": "t", "cache_control": MARK}), {"5m"}),
        (said({"type": "text", "text": "t", "cache_control": {**MARK, "ttl": "1h"}}), {"1h"}),
        (body(messages=[{**USER, "cache_control": MARK}]), {"5m"}),
        (body(tools=[{**TOOL, "cache_control": {**MARK, "ttl": "5m"}}]), {"5m"}),
        (body(cache_control=MARK), {"5m"}),
    ],
)
def test_marks_for_the_cache_make_the_hold_reckon_with_writes(sent: dict[str, Any], marks: set[str]) -> None:
    made = parse(sent)
    assert made.cache_marks == marks
    assert "cache_write_tokens" in made.demand.input_units  # some providers keep prompts without any mark
    assert ("cache_write_1h_tokens" in made.demand.input_units) == ("1h" in marks)


@pytest.mark.parametrize(
    ("sent", "side", "unit"),
    [
        (said({"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}), "input", "input_image_tokens"),
        (
            said({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
            "input",
            "cached_input_audio_tokens",
        ),
        (said({"type": "file", "file": {"file_data": "x"}}), "input", "input_audio_tokens"),
        (body(modalities=["text", "audio"]), "output", "output_audio_tokens"),
        (body(modalities=["image"]), "output", "output_image_tokens"),
    ],
)
def test_media_make_the_hold_reckon_with_their_price(sent: dict[str, Any], side: str, unit: str) -> None:
    units = {"input": parse(sent).demand.input_units, "output": parse(sent).demand.output_units}
    plain = parse(body(modalities=["text"])).demand
    assert unit in units[side]
    assert unit not in plain.input_units | plain.output_units
