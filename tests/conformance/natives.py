"""What a provider's own answers say, read from its wire without our adapters: what these are compared with."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aig.modalities.chat import ChatChunk, usage_json
from aig.modalities.usage import Usage


@dataclass
class Said:
    """An answer, whole or put together from a stream. `calls` are names and arguments."""

    text: str = ""
    thoughts: str = ""
    signatures: list[str] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str | None = None
    prompt: int | None = None
    cached: int = 0
    completion: int | None = None
    reasoning: int = 0

    def count(self, usage: Usage | None) -> None:
        if usage is None:
            return
        ours = usage_json(usage)
        self.prompt, self.completion = ours["prompt_tokens"], ours["completion_tokens"]
        self.cached = ours["prompt_tokens_details"]["cached_tokens"]
        self.reasoning = ours["completion_tokens_details"]["reasoning_tokens"]


def of_message(body: Mapping[str, Any], usage: Usage | None) -> Said:
    """Our own completion."""
    (choice,) = body["choices"]
    message = choice["message"]
    said = Said(message.get("content") or "", message.get("reasoning_content") or "", finish=choice["finish_reason"])
    for detail in message.get("reasoning_details") or ():
        if signature := detail.get("signature") or detail.get("data"):
            said.signatures.append(signature)
    for call in message.get("tool_calls") or ():
        extra = (call.get("extra_content") or {}).values()
        said.signatures += [entry["thought_signature"] for entry in extra]
        assert call["id"]
        if call["type"] == "custom":
            said.calls.append((call["custom"]["name"], call["custom"]["input"]))
        else:
            assert call["type"] == "function"
            said.calls.append((call["function"]["name"], json.loads(call["function"]["arguments"])))
    said.count(usage)
    return said


def assembled(chunks: Iterable[ChatChunk]) -> tuple[dict[str, Any], Usage | None]:
    """A stream of ours, put together as clients do: texts joined, lists merged by their index."""
    message: dict[str, Any] = {}
    finish, usage = None, None
    for chunk in chunks:
        usage = chunk.usage.after(usage) if chunk.usage is not None else usage
        for choice in chunk.body["choices"] if chunk.body is not None else ():
            _merge(message, choice["delta"])
            finish = choice["finish_reason"] or finish
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}, usage


def _merge(into: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        there = into.get(name)
        if isinstance(value, list):
            entries = into.setdefault(name, [])
            for entry in value:
                same = next((known for known in entries if known.get("index") == entry.get("index")), None)
                if same is None:
                    entries.append({**entry})
                else:
                    _merge(same, {key: value for key, value in entry.items() if key != "index"})
        elif isinstance(value, dict) and isinstance(there, dict):
            _merge(there, value)
        elif isinstance(value, str) and isinstance(there, str) and name not in ("type", "role", "id"):
            into[name] = there + value
        else:
            into[name] = value


def anthropic_message(body: Mapping[str, Any]) -> Said:
    said, usage = Said(), body["usage"]
    for block in body["content"]:
        match block["type"]:
            case "text":
                said.text += block["text"]
            case "thinking":
                said.thoughts += block["thinking"]
                said.signatures.append(block["signature"])
            case "redacted_thinking":
                said.signatures.append(block["data"])
            case "tool_use":
                said.calls.append((block["name"], block["input"]))
    said.finish = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length"}.get(
        body["stop_reason"], "content_filter"
    )
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    said.prompt, said.cached = usage["input_tokens"] + read + written, read
    said.completion = usage["output_tokens"]
    said.reasoning = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return said


def anthropic_whole(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The blocks put together as the API's own description says."""
    message: dict[str, Any] = {"content": [], "usage": {}, "stop_reason": None}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message["usage"] |= event["message"]["usage"]
            case "content_block_start":
                blocks[event["index"]] = {"signature": "", **event["content_block"], "json": ""}
            case "content_block_delta":
                delta, block = event["delta"], blocks[event["index"]]
                for name, source in (("text", "text"), ("thinking", "thinking"), ("signature", "signature")):
                    block[name] = block.get(name, "") + delta.get(source, "")
                block["json"] += delta.get("partial_json", "")
            case "message_delta":
                message["stop_reason"] = event["delta"]["stop_reason"]
                message["usage"] |= {name: n for name, n in (event.get("usage") or {}).items() if n is not None}
    for block in blocks.values():
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["json"] or "{}")
        message["content"].append(block)
    return message


def anthropic_stream(events: Iterable[Mapping[str, Any]]) -> Said:
    return anthropic_message(anthropic_whole(events))


def google_answer(responses: Iterable[Mapping[str, Any]]) -> Said:
    """One response, or all of a stream."""
    said = Said(finish="stop")
    arguments: dict[str, Any] | None = None
    for response in responses:
        for candidate in response.get("candidates") or ():
            for part in (candidate.get("content") or {}).get("parts") or ():
                if signature := part.get("thoughtSignature"):
                    said.signatures.append(signature)
                if part.get("thought"):
                    said.thoughts += part.get("text") or ""
                else:
                    said.text += part.get("text") or ""
                if (call := part.get("functionCall")) is not None:
                    if "name" in call:
                        arguments = {**(call.get("args") or {})}
                        said.calls.append((call["name"], arguments))
                    for piece in call.get("partialArgs") or ():
                        assert arguments is not None
                        name = piece["jsonPath"].removeprefix("$.")
                        arguments[name] = arguments.get(name, "") + piece["stringValue"]
            if reason := candidate.get("finishReason"):
                said.finish = {"STOP": "stop", "MAX_TOKENS": "length"}.get(reason, "content_filter")
        counts = response.get("usageMetadata") or {}
        if "promptTokenCount" in counts:
            said.prompt = counts["promptTokenCount"] + counts.get("toolUsePromptTokenCount", 0)
            said.cached = counts.get("cachedContentTokenCount", 0)
            said.reasoning = counts.get("thoughtsTokenCount", 0)
            said.completion = counts.get("candidatesTokenCount", 0) + said.reasoning
    if said.calls and said.finish == "stop":
        said.finish = "tool_calls"
    return said


def responses_message(body: Mapping[str, Any]) -> Said:
    said, texts, thoughts = Said(finish="stop"), [], []
    for item in body["output"]:
        match item["type"]:
            case "message":
                texts.append("".join(part.get("text", "") for part in item["content"]))
            case "reasoning":
                thoughts += [part["text"] for part in item["summary"]]
                said.signatures += [item["encrypted_content"]] if item.get("encrypted_content") else []
            case "function_call":
                said.calls.append((item["name"], json.loads(item["arguments"])))
            case "custom_tool_call":
                said.calls.append((item["name"], item["input"]))
    said.text, said.thoughts = "\n\n".join(texts), "\n\n".join(thoughts)
    said.finish = "tool_calls" if said.calls else "stop" if body["status"] == "completed" else "length"
    usage = body["usage"]
    said.prompt, said.completion = usage["input_tokens"], usage["output_tokens"]
    said.cached = usage["input_tokens_details"]["cached_tokens"]
    said.reasoning = usage["output_tokens_details"]["reasoning_tokens"]
    return said


def responses_stream(events: Iterable[Mapping[str, Any]]) -> Said:
    return responses_message(responses_whole(events))


_COHERE = {"COMPLETE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls", "STOP_SEQUENCE": "stop"}


def cohere_message(body: Mapping[str, Any]) -> Said:
    message, billed = body["message"], body["usage"]["billed_units"]
    said = Said(message.get("tool_plan") or "", finish=_COHERE[body["finish_reason"]])
    for part in message.get("content") or ():
        said.text += part.get("text", "")
        said.thoughts += part.get("thinking", "")
    for call in message.get("tool_calls") or ():
        said.calls.append((call["function"]["name"], json.loads(call["function"]["arguments"] or "{}") or {}))
    said.prompt, said.completion = billed["input_tokens"], billed["output_tokens"]
    return said


def cohere_whole(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    said_so_far = {"thinking": "", "text": ""}
    message: dict[str, Any] = {"tool_plan": "", "tool_calls": []}
    end: Mapping[str, Any] = {}
    for event in events:
        said = (event.get("delta") or {}).get("message") or {}
        match event["type"]:
            case "content-delta":
                for name in said_so_far:
                    said_so_far[name] += said["content"].get(name) or ""
            case "tool-plan-delta":
                message["tool_plan"] += said["tool_plan"]
            case "tool-call-start":
                message["tool_calls"].append(json.loads(json.dumps(said["tool_calls"])))
            case "tool-call-delta":
                message["tool_calls"][-1]["function"]["arguments"] += said["tool_calls"]["function"]["arguments"]
            case "message-end":
                end = event["delta"]
    message["content"] = [{"type": name, name: text} for name, text in said_so_far.items() if text]
    return {"message": message, **end}


def cohere_stream(events: Iterable[Mapping[str, Any]]) -> Said:
    return cohere_message(cohere_whole(events))


_BEDROCK = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length"}


def bedrock_message(body: Mapping[str, Any]) -> Said:
    said, usage = Said(finish=_BEDROCK[body["stopReason"]]), body["usage"]
    for block in body["output"]["message"]["content"]:
        said.text += block.get("text", "")
        if use := block.get("toolUse"):
            said.calls.append((use["name"], use["input"]))
        if reasoning := block.get("reasoningContent"):
            said.thoughts += reasoning["reasoningText"]["text"]
            if signature := reasoning["reasoningText"].get("signature"):
                said.signatures.append(signature)
    if usage:
        said.cached = usage.get("cacheReadInputTokens") or 0
        said.prompt = usage["inputTokens"] + said.cached + (usage.get("cacheWriteInputTokens") or 0)
        said.completion = usage["outputTokens"]
    return said


def _bedrock_delta(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    if "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    if "reasoningContent" in delta:
        text = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        text["text"] += delta["reasoningContent"].get("text", "")
        if "signature" in delta["reasoningContent"]:
            text["signature"] = text.get("signature", "") + delta["reasoningContent"]["signature"]


def bedrock_whole(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    blocks: dict[int, dict[str, Any]] = {}
    body: dict[str, Any] = {"usage": {}}
    for event in events:
        for name, value in event.items():
            if name == "contentBlockStart" and "toolUse" in value["start"]:
                blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
            elif name == "contentBlockDelta":
                _bedrock_delta(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
            elif name == "messageStop":
                body["stopReason"] = value["stopReason"]
            elif name == "metadata":
                body["usage"] = value["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return {**body, "output": {"message": {"role": "assistant", "content": [*blocks.values()]}}}


def bedrock_stream(events: Iterable[Mapping[str, Any]]) -> Said:
    return bedrock_message(bedrock_whole(events))


_COMPATIBLE = {"model_length": "length", "end_turn": "stop", "max_tokens": "length"}


def _compatible_text(said: Mapping[str, Any], kind: str) -> str:
    """Text or thoughts, which some vendors have as parts of the content."""
    content = said.get("content")
    if kind == "thinking" and not isinstance(content, list):
        return said.get("reasoning_content") or said.get("reasoning") or ""
    if isinstance(content, list):
        told = [part[kind] for part in content if part["type"] == kind]
        return "".join(piece if isinstance(piece, str) else "".join(part["text"] for part in piece) for piece in told)
    return content or ""


def compatible_message(body: Mapping[str, Any]) -> Said:
    """A completion of OpenAI's wire, in any vendor's form of it."""
    (choice,) = body["choices"]
    message, finish = choice["message"], choice["finish_reason"]
    said = Said(_compatible_text(message, "text"), _compatible_text(message, "thinking"))
    said.finish = _COMPATIBLE.get(finish, finish)
    for call in message.get("tool_calls") or ():
        arguments = call["function"]["arguments"]
        read = json.loads(arguments) if isinstance(arguments, str) else arguments
        said.calls.append((call["function"]["name"], read))
    if usage := body.get("usage"):
        said.prompt = usage["prompt_tokens"]
        said.completion = usage["total_tokens"] - usage["prompt_tokens"]  # xAI's reasoning is in the total alone
    return said


def compatible_whole(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The deltas joined. A name begins a call: nobody who was recorded says one twice, or the pieces of two in turn."""
    texts = {"content": "", "reasoning_content": ""}
    calls: list[dict[str, Any]] = []
    finish, usage, head = None, None, dict[str, Any]()
    for event in events:
        head = {name: event[name] for name in ("id", "created", "model") if name in event} or head
        usage = event.get("usage") or (event.get("x_groq") or {}).get("usage") or usage
        for choice in event["choices"]:
            usage = choice.get("usage") or usage
            finish = choice.get("finish_reason") or finish
            texts["content"] += _compatible_text(choice["delta"], "text")
            texts["reasoning_content"] += _compatible_text(choice["delta"], "thinking")
            for piece in choice["delta"].get("tool_calls") or ():
                function = piece["function"]
                if function.get("name"):
                    calls.append({"id": piece["id"], "function": {"name": function["name"], "arguments": ""}})
                calls[-1]["function"]["arguments"] += function.get("arguments") or ""
    message = {"role": "assistant", **texts, **({"tool_calls": calls} if calls else {})}
    finish = finish or ("tool_calls" if calls else "stop")
    body = {**head, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    return {**body, "usage": usage} if usage else body


def compatible_stream(events: Iterable[Mapping[str, Any]]) -> Said:
    return compatible_message(compatible_whole(events))


def google_whole(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All parts in one answer. Of calls whose arguments come in pieces the API has no whole form."""
    parts: list[Any] = []
    body: dict[str, Any] = {}
    for event in events:
        candidate: dict[str, Any] = next(iter(event.get("candidates") or ()), {})
        parts += (candidate.get("content") or {}).get("parts") or ()
        told = {**body.get("candidates", [{}])[0], **candidate, "content": {"role": "model", "parts": parts}}
        body = {**body, **event, "candidates": [told]}
    return body


def responses_whole(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The end of the stream, with the texts that were streamed: those that it repeats are others."""
    told = list(events)
    body: dict[str, Any] = next(event["response"] for event in told if event["type"] == "response.completed")
    texts: dict[int, str] = {}
    for event in told:
        if event["type"] == "response.output_text.delta":
            texts[event["output_index"]] = texts.get(event["output_index"], "") + event["delta"]
    messages = [
        {"type": "message", "id": f"msg_{at}", "content": [{"type": "output_text", "text": text}]}
        for at, text in texts.items()
    ]
    output = [*(item for item in body["output"] if item["type"] != "message"), *messages]
    return {**body, "output": output}


Whole = Callable[[Mapping[str, Any]], Said]
Streamed = Callable[[Iterable[Mapping[str, Any]]], Said]
