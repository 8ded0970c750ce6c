"""Chat bodies as hypothesis makes them: valid, and with every part that counts towards a prompt."""

import base64
from typing import Any

from hypothesis import strategies as st

PIXEL = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
).decode()

_texts = st.text(max_size=60)
_text_part = _texts.map(lambda text: {"type": "text", "text": text})
_media_part = st.one_of(
    st.just({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}),
    st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}),
    st.binary(max_size=200).map(
        lambda data: {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"},
        }
    ),
    st.just({"type": "file", "file": {"file_id": "file_1"}}),
)
_parts = st.lists(_text_part | _media_part, min_size=1, max_size=4)
_user = st.builds(lambda content: {"role": "user", "content": content}, _texts | _parts)
_instruction = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["system", "developer"]),
    _texts | st.lists(_text_part, max_size=3),
)
_assistant = st.builds(lambda content: {"role": "assistant", "content": content}, _texts | st.none())


@st.composite
def _tool_turn(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A call of a tool, and its result."""
    name = draw(st.from_regex(r"\A[a-z]{1,8}\Z"))
    call = {"id": name, "type": "function", "function": {"name": name, "arguments": draw(_texts)}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": name, "content": draw(_texts)},
    ]


_turns = st.lists(
    st.one_of(st.lists(_user | _instruction | _assistant, min_size=1, max_size=2), _tool_turn()), max_size=4
)
_tools = st.lists(
    st.builds(
        lambda name, description: {
            "type": "function",
            "function": {"name": name, "description": description, "parameters": {"type": "object"}},
        },
        st.from_regex(r"\A[a-zA-Z0-9_-]{1,12}\Z"),
        _texts,
    ),
    max_size=3,
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """The body of a chat request as a client sends it; the last message is the user's."""
    turns = draw(_turns)
    body: dict[str, Any] = {
        "model": "sandbox/echo",
        "messages": [message for turn in turns for message in turn] + [draw(_user)],
    }
    if draw(st.booleans()):
        body["tools"] = draw(_tools)
    if draw(st.booleans()):
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    return body
