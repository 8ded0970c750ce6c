"""The one conversation that everything here sends, answers and checks: about 200 bytes in, 700 out, or 21 events."""

import json
from typing import Any, Final

MODEL: Final = "local/smollm2-135m-instruct"
PATH: Final = "/v1/chat/completions"
EVENTS: Final = 21
DONE: Final = b"data: [DONE]\n\n"

_WORDS: Final = tuple(f"word {number:02d} of the answer, " for number in range(EVENTS - 3))
_TEXT: Final = "".join(_WORDS)
_USAGE: Final = {"prompt_tokens": 31, "completion_tokens": 90, "total_tokens": 121}


def request_body(*, stream: bool) -> bytes:
    """What the client sends. A stream asks for its usage, so that floor and gateway relay the same events."""
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        "max_tokens": 256,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _json(body)


def completion() -> bytes:
    """The upstream's whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}
    return _json({"id": "chatcmpl-1", "object": "chat.completion", **_COMMON, "choices": [choice], "usage": _USAGE})


def events() -> list[bytes]:
    """The upstream's stream: a role, the words, the end, the usage; `[DONE]` is not among them."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": word} for word in _WORDS), {}]
    bodies: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]} for delta in deltas
    ]
    bodies.append({"choices": [], "usage": _USAGE})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", **_COMMON}
    return [b"data: " + _json({**head, **body}) + b"\n\n" for body in bodies]


def is_whole(body: bytes, *, stream: bool) -> bool:
    """Whether an answer of status 200 has all that the upstream said."""
    if not stream:
        return bool(json.loads(body)["choices"][0]["message"]["content"] == _TEXT)
    if not body.endswith(DONE):
        return False
    payloads = [line[6:] for line in body.split(b"\n\n") if line.startswith(b"data: ")][:-1]
    choices = [choice for payload in payloads for choice in json.loads(payload)["choices"]]
    return len(payloads) == EVENTS and "".join(choice["delta"].get("content", "") for choice in choices) == _TEXT


_COMMON: Final = {"created": 1795305600, "model": "smollm2-135m-instruct"}


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
