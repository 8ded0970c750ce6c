"""What a model says in a turn, as each provider writes that, whole and streamed: fixtures of our own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.conformance.test_golden_costs import Call, _anthropic, _cohere, _google, _openai, _responses, _sse


@dataclass(frozen=True)
class Turn:
    text: str = ""
    thoughts: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    @property
    def arguments(self) -> list[tuple[str, str, str]]:
        """Id, name and arguments of each call."""
        return [(f"call_{at}", name, json.dumps(given)) for at, (name, given) in enumerate(self.calls)]


def _halves(text: str) -> list[str]:
    return [half for half in (text[: len(text) // 2], text[len(text) // 2 :]) if half]


def chat_completions(turn: Turn, slug: str, counts: Call, *, streamed: bool) -> bytes:
    usage, finish = _openai(slug, counts), "tool_calls" if turn.calls else "stop"
    calls: list[dict[str, Any]] = [
        {"index": at, "id": call_id, "type": "function", "function": {"name": name, "arguments": given}}
        for at, (call_id, name, given) in enumerate(turn.arguments)
    ]
    if not streamed:
        message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
        message |= {"reasoning_content": turn.thoughts} if turn.thoughts else {}
        message |= {"tool_calls": calls} if calls else {}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": half} for half in _halves(turn.thoughts)]
    deltas += [{"content": half} for half in _halves(turn.text)]
    for call in calls:
        function = call["function"]
        deltas.append({"tool_calls": [{**call, "function": {"name": function["name"], "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": call["index"], "function": {"arguments": half}}]}
            for half in _halves(function["arguments"])
        ]
    chunks: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunks.append({"index": 0, "delta": {}, "finish_reason": finish})
    events: list[Any] = [{"id": "c", "object": "chat.completion.chunk", "choices": [choice]} for choice in chunks]
    return _sse(*events, {"id": "c", "choices": [], "usage": usage}, b"[DONE]")


def responses(turn: Turn, slug: str, counts: Call, *, streamed: bool) -> bytes:
    items: list[dict[str, Any]] = []
    if turn.thoughts:
        summary = [{"type": "summary_text", "text": turn.thoughts}]
        items.append({"type": "reasoning", "id": "rs", "summary": summary, "encrypted_content": "sealed"})
    if turn.text:
        content = [{"type": "output_text", "text": turn.text, "annotations": []}]
        items.append({"type": "message", "id": "m", "role": "assistant", "content": content})
    items += [
        {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name, "arguments": given}
        for call_id, name, given in turn.arguments
    ]
    whole = {"id": "r", "status": "completed", "output": items, "usage": _responses(slug, counts)}
    if not streamed:
        return json.dumps(whole).encode()
    events: list[dict[str, Any]] = [{"type": "response.created", "response": {"id": "r"}}]
    deltas = {
        "reasoning": "reasoning_summary_text",
        "message": "output_text",
        "function_call": "function_call_arguments",
    }
    said = {"reasoning": turn.thoughts, "message": turn.text}
    for index, item in enumerate(items):
        kind, place = item["type"], {"output_index": index}
        events.append({"type": "response.output_item.added", "item": {**item, "arguments": ""}, **place})
        events += [
            {"type": f"response.{deltas[kind]}.delta", "delta": half, "summary_index": 0, **place}
            for half in _halves(said.get(kind) or item["arguments"])
        ]
        events.append({"type": "response.output_item.done", "item": item, **place})
    return _sse(*events, {"type": "response.completed", "response": whole})


_EMPTY: Mapping[str, Mapping[str, Any]] = {
    "thinking": {"thinking": "", "signature": ""},
    "text": {"text": ""},
    "tool_use": {"input": {}},
}


def anthropic(turn: Turn, slug: str, counts: Call, *, streamed: bool) -> bytes:
    usage, stop = _anthropic(slug, counts), "tool_use" if turn.calls else "end_turn"
    blocks: list[dict[str, Any]] = []
    if turn.thoughts:
        blocks.append({"type": "thinking", "thinking": turn.thoughts, "signature": "signed"})
    if turn.text:
        blocks.append({"type": "text", "text": turn.text})
    blocks += [
        {"type": "tool_use", "id": f"call_{at}", "name": name, "input": dict(given)}
        for at, (name, given) in enumerate(turn.calls)
    ]
    if not streamed:
        return json.dumps({"id": "m", "content": blocks, "stop_reason": stop, "usage": usage}).encode()
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "usage": {**usage, "output_tokens": 1}}}
    ]
    for index, block in enumerate(blocks):
        kind = block["type"]
        empty = _EMPTY[kind]
        events.append({"type": "content_block_start", "index": index, "content_block": {**block, **empty}})
        name, field, whole = {
            "thinking": ("thinking_delta", "thinking", turn.thoughts),
            "text": ("text_delta", "text", turn.text),
            "tool_use": ("input_json_delta", "partial_json", json.dumps(block.get("input"))),
        }[kind]
        deltas = [{"type": name, field: half} for half in _halves(whole)]
        deltas += [{"type": "signature_delta", "signature": "signed"}] if kind == "thinking" else []
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    told = {name: usage[name] for name in ("output_tokens", "output_tokens_details")}
    end = {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": told}
    return _sse(*events, {"type": "ping"}, end, {"type": "message_stop"})


def google(turn: Turn, slug: str, counts: Call, *, streamed: bool) -> bytes:
    parts: list[dict[str, Any]] = []
    halves = _halves if streamed else (lambda text: [text] if text else [])
    parts += [{"text": half, "thought": True} for half in halves(turn.thoughts)]
    parts += [{"text": half} for half in halves(turn.text)]
    for at, (name, given) in enumerate(turn.calls):
        call = {"functionCall": {"id": f"call_{at}", "name": name, "args": dict(given)}}
        parts.append({**call, "thoughtSignature": "c2lnbmVk"} if at == 0 else call)
    usage = _google(slug, counts)
    if not streamed:
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
        return json.dumps({"candidates": [candidate], "usageMetadata": usage, "responseId": "g"}).encode()
    events: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], "responseId": "g"}
        for part in parts
    ]
    events[-1]["candidates"][0]["finishReason"] = "STOP"
    events[-1]["usageMetadata"] = usage
    return _sse(*events)


def cohere(turn: Turn, slug: str, counts: Call, *, streamed: bool) -> bytes:
    usage, finish = _cohere(slug, counts), "TOOL_CALL" if turn.calls else "COMPLETE"
    calls: list[dict[str, Any]] = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": given}}
        for call_id, name, given in turn.arguments
    ]
    if not streamed:
        content = [{"type": "thinking", "thinking": turn.thoughts}] if turn.thoughts else []
        content += [{"type": "text", "text": turn.text}] if turn.text else []
        message = {"role": "assistant", "content": content, "tool_calls": calls}
        return json.dumps({"id": "c", "message": message, "finish_reason": finish, "usage": usage}).encode()
    events: list[dict[str, Any]] = [{"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}}]
    for name, said in (("thinking", turn.thoughts), ("text", turn.text)):
        events += [
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {name: half}}}}
            for half in _halves(said)
        ]
    for at, call in enumerate(calls):
        function = call["function"]
        start = {**call, "function": {"name": function["name"], "arguments": ""}}
        events.append({"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": start}}})
        events += [
            {
                "type": "tool-call-delta",
                "index": at,
                "delta": {"message": {"tool_calls": {"function": {"arguments": half}}}},
            }
            for half in _halves(function["arguments"])
        ]
        events.append({"type": "tool-call-end", "index": at})
    return _sse(*events, {"type": "message-end", "delta": {"finish_reason": finish, "usage": usage}})
