"""The one conversation that everything here sends, answers and checks: about 200 bytes in, 700 out, or 21 events."""

import json
from typing import Any, Final

# A model of each wire that streams are measured on; the upstream speaks all three.
MODELS: Final = {
    "openai": "local/smollm2-135m-instruct",
    "anthropic": "anthropic/claude-haiku-4.5",
    "google": "google/gemini-3.1-flash-lite",
}
PATH: Final = "/v1/chat/completions"
EVENTS: Final = 21
DONE: Final = b"data: [DONE]\n\n"

_WORDS: Final = tuple(f"word {number:02d} of the answer, " for number in range(EVENTS - 3))
_TEXT: Final = "".join(_WORDS)
_USAGE: Final = {"prompt_tokens": 31, "completion_tokens": 90, "total_tokens": 121}


def request_body(*, stream: bool, wire: str = "openai") -> bytes:
    """What the client sends. A stream asks for its usage, so that floor and gateway relay the same events."""
    body: dict[str, Any] = {
        "model": MODELS[wire],
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


def anthropic_events() -> list[bytes]:
    """The same stream on Anthropic's wire, a ping in it."""
    usage = {"input_tokens": _USAGE["prompt_tokens"], "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude", "usage": usage}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    bodies: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in _WORDS
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": _USAGE["completion_tokens"]}},
        {"type": "message_stop"},
    ]
    return [b"event: %b\ndata: %b\n\n" % (str(body["type"]).encode(), _json(body)) for body in bodies]


def responses_events() -> list[bytes]:
    """The same stream on the wire of OpenAI's Responses, which tells all of it once more at its end."""
    text = "".join(_WORDS)
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    usage = {"input_tokens": _USAGE["prompt_tokens"], "output_tokens": _USAGE["completion_tokens"]}
    whole = {"id": "resp_1", "status": "completed", "output": [item], "usage": usage}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    bodies: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        {"type": "response.output_item.added", "item": {**item, "content": []}, "output_index": 0},
        *({"type": "response.output_text.delta", "delta": word, "logprobs": [], **place} for word in _WORDS),
        {"type": "response.output_text.done", "text": text, **place},
        {"type": "response.output_item.done", "item": item, "output_index": 0},
        {"type": "response.completed", "response": whole},
    ]
    return [b"event: %b\ndata: %b\n\n" % (str(body["type"]).encode(), _json(body)) for body in bodies]


def google_events() -> list[bytes]:
    """The same stream on Gemini's wire, which counts in every event and has no last one."""
    counts = {"promptTokenCount": _USAGE["prompt_tokens"], "candidatesTokenCount": _USAGE["completion_tokens"]}
    usage = {**counts, "totalTokenCount": _USAGE["total_tokens"]}
    candidates: list[dict[str, Any]] = [
        {"content": {"parts": [{"text": word}], "role": "model"}, "index": 0} for word in _WORDS
    ]
    candidates[-1]["finishReason"] = "STOP"
    bodies = [
        {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini", "responseId": "r1"}
        for candidate in candidates
    ]
    return [b"data: %b\r\n\r\n" % _json(body) for body in bodies]


def is_whole(body: bytes, *, stream: bool) -> bool:
    """Whether an answer of status 200 has all that the upstream said."""
    if not stream:
        return bool(json.loads(body)["choices"][0]["message"]["content"] == _TEXT)
    if not body.endswith(DONE):
        return False
    payloads = [line[6:] for line in body.split(b"\n\n") if line.startswith(b"data: ")][:-1]
    choices = [choice for payload in payloads for choice in json.loads(payload)["choices"]]
    said = "".join(choice["delta"].get("content") or "" for choice in choices)
    return len(payloads) >= len(_WORDS) and said == _TEXT and "usage" in json.loads(payloads[-1])


_COMMON: Final = {"created": 1795305600, "model": "smollm2-135m-instruct"}


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
