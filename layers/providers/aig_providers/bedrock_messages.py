"""From OpenAI's chat body to the arguments of Bedrock's Converse. Pure."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from aig.modalities.chat import ChatRequest
from aig.modalities.upstream import Upstream
from aig_providers.claude_thinking import FORMAT, thinking_switches
from aig_providers.shapes import (
    JSON_ONLY,
    NOT_IN_BLOCKS,
    arguments_object,
    data_url,
    function_tools,
    own_details,
    plain_id,
    refuse,
    sampling,
    text_of,
    unsupported,
)

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_FOREIGN_NAME = re.compile(r"[^a-zA-Z0-9 ()\[\]-]+")
_SAMPLING = {"temperature": "temperature", "top_p": "topP"}

Block = dict[str, Any]


def converse_arguments(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> dict[str, Any]:
    """Raises UpstreamError for what this API cannot do."""
    source = request.body
    refuse(source, NOT_IN_BLOCKS)
    if (source.get("n") or 1) > 1:
        raise unsupported("n")
    system, messages = _conversation(source["messages"])
    arguments: dict[str, Any] = {"modelId": upstream.model_id, "messages": messages}
    wanted = source.get("response_format") or {}
    schema = (wanted.get("json_schema") or {}).get("schema")
    if schema is not None:
        definition = {"schema": to_json(schema).decode(), "name": wanted["json_schema"]["name"]}
        structure = {"type": "json_schema", "structure": {"jsonSchema": definition}}
        arguments["outputConfig"] = {"textFormat": structure}
    elif wanted.get("type") in ("json_object", "json_schema"):
        system.append({"text": JSON_ONLY})
    if system:
        arguments["system"] = system
    inference: dict[str, Any] = {"maxTokens": max_output_tokens}
    settings = sampling(source, usual=not _is_claude(upstream))
    inference |= {native: settings[name] for name, native in _SAMPLING.items() if name in settings}
    if stop := source.get("stop"):
        inference["stopSequences"] = [stop] if isinstance(stop, str) else stop
    arguments["inferenceConfig"] = inference
    tools, choice = function_tools(source)
    if tools and choice != "none":
        arguments["toolConfig"] = _tool_config(tools, choice)
    if more := _model_fields(upstream, source, max_output_tokens, choice, arguments):
        arguments["additionalModelRequestFields"] = more
    if source.get("service_tier") in ("flex", "priority"):
        arguments["serviceTier"] = {"type": source["service_tier"]}
    return arguments


def _tool_config(tools: Sequence[Mapping[str, Any]], choice: Any) -> dict[str, Any]:
    made: list[Block] = []
    for tool in tools:
        function = tool["function"]
        specification: Block = {
            "name": function["name"],
            "inputSchema": {"json": {"type": "object", **(function.get("parameters") or {})}},
        }
        if function.get("description"):
            specification["description"] = function["description"]
        if function.get("strict"):
            specification["strict"] = True
        made += [{"toolSpec": specification}, *_cache_point(tool)]
    config: dict[str, Any] = {"tools": made}
    if isinstance(choice, Mapping):
        config["toolChoice"] = {"tool": {"name": choice["function"]["name"]}}
    elif choice is not None:
        config["toolChoice"] = {"any": {}} if choice == "required" else {"auto": {}}
    return config


def _is_claude(upstream: Upstream) -> bool:
    return "claude" in upstream.model_id


def _model_fields(
    upstream: Upstream, source: Mapping[str, Any], max_output_tokens: int, choice: Any, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Claude's own switches for thinking, which Converse passes on; other models have none here."""
    fields = {"top_k": source["top_k"]} if source.get("top_k") is not None else {}
    if not _is_claude(upstream):
        return fields
    thinking, effort = thinking_switches(upstream, source, max_output_tokens, choice)
    if thinking:
        fields["thinking"] = thinking
    if effort and "outputConfig" not in arguments:  # of which Converse itself makes Claude's output_config
        fields["output_config"] = {"effort": effort}
    return fields


def _conversation(messages: Sequence[Mapping[str, Any]]) -> tuple[list[Block], list[Block]]:
    system: list[Block] = []
    turns: list[Block] = []
    for at, message in enumerate(messages):
        role = message["role"]
        path = f"messages[{at}]"
        if role in ("system", "developer"):
            text = text_of(message["content"])
            system += [{"text": text}, *_cache_point(_last_marked(message))] if text else []
            continue
        if role == "function":
            raise unsupported(path)
        blocks = _assistant(message) if role == "assistant" else _user(message, path)
        if not blocks:
            continue
        blocks += _cache_point(message)
        native = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == native:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": native, "content": blocks})
    return system, turns


def _last_marked(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content = message["content"]
    parts: Sequence[Mapping[str, Any]] = content if isinstance(content, list) else ()
    return next((part for part in reversed(parts) if part.get("cache_control")), message)


def _cache_point(source: Mapping[str, Any]) -> list[Block]:
    mark = source.get("cache_control")
    if not isinstance(mark, Mapping):
        return []
    return [{"cachePoint": {"type": "default", **({"ttl": "1h"} if mark.get("ttl") == "1h" else {})}}]


def _user(message: Mapping[str, Any], path: str) -> list[Block]:
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    blocks: list[Block] = []
    for at, part in enumerate(parts):
        if part["type"] != "text" or part["text"]:
            blocks += [_part(part, f"{path}.content[{at}]"), *_cache_point(part)]
    if message["role"] == "user":
        return blocks
    result = [block for block in blocks if "cachePoint" not in block] or [{"text": " "}]
    failed = {"status": "error"} if message.get("is_error") else {}
    return [{"toolResult": {"toolUseId": plain_id(message["tool_call_id"]), "content": result, **failed}}]


def _part(part: Mapping[str, Any], path: str) -> Block:
    match part["type"]:
        case "text":
            return {"text": part["text"]}
        case "image_url":
            inline = data_url(part["image_url"]["url"])  # there is no other way in
            if inline is not None and inline[0] in _IMAGES:
                return {"image": {"format": _IMAGES[inline[0]], "source": {"bytes": base64.b64decode(inline[1])}}}
        case "file":
            data, name = part["file"].get("file_data"), part["file"].get("filename")
            inline = data_url(data) if isinstance(data, str) else None
            if inline is not None and inline[0] in _DOCUMENTS:
                try:
                    raw = base64.b64decode(inline[1], validate=True)
                except ValueError:
                    raise unsupported(path) from None
                title = _FOREIGN_NAME.sub(" ", name.rpartition(".")[0] or name).strip() if isinstance(name, str) else ""
                document = {"format": _DOCUMENTS[inline[0]], "name": title or "document"}
                return {"document": {**document, "source": {"bytes": raw}}}
    raise unsupported(path)


def _assistant(message: Mapping[str, Any]) -> list[Block]:
    blocks = [_reasoning(detail) for detail in own_details(message, FORMAT)]
    if text := text_of(message.get("content")) or message.get("refusal"):
        blocks.append({"text": text})
    for call in message.get("tool_calls") or ():
        if "function" in call:
            function = call["function"]
            use = {"toolUseId": plain_id(call["id"]), "name": function["name"]}
            blocks.append({"toolUse": {**use, "input": arguments_object(function["arguments"])}})
    return blocks


def _reasoning(detail: Mapping[str, Any]) -> Block:
    if detail["type"] == "reasoning.encrypted":
        return {"reasoningContent": {"redactedContent": base64.b64decode(detail.get("data") or "")}}
    text = {"text": detail.get("text") or ""}
    if detail.get("signature"):
        text["signature"] = detail["signature"]
    return {"reasoningContent": {"reasoningText": text}}
