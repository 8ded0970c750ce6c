"""From OpenAI's chat body to the body of Anthropic's Messages API. Pure."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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

Block = dict[str, Any]


def messages_body(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> dict[str, Any]:
    """Raises UpstreamError for what this API cannot do."""
    source = request.body
    refuse(source, NOT_IN_BLOCKS)
    if (source.get("n") or 1) > 1:
        raise unsupported("n")
    system, messages = conversation(source["messages"])
    output = _output_config(source, system)
    body: dict[str, Any] = {"model": upstream.model_id, "max_tokens": max_output_tokens, "messages": messages}
    if system:
        body["system"] = system
    tools, choice = function_tools(source)
    if tools:
        body["tools"] = [_tool(tool) for tool in tools]
        if wanted := _tool_choice(choice, source.get("parallel_tool_calls")):
            body["tool_choice"] = wanted
    thinking, effort = thinking_switches(upstream, source, max_output_tokens, choice)
    if thinking:
        body["thinking"] = thinking
    if effort:
        output["effort"] = effort
    if output:
        body["output_config"] = output
    return body | _settings(source)


def _settings(source: Mapping[str, Any]) -> dict[str, Any]:
    """What is no part of the prompt."""
    settings = sampling(source, usual=False)  # Claude 4.5 refuses temperature beside top_p
    if source.get("cache_control"):
        settings["cache_control"] = source["cache_control"]
    if stop := source.get("stop"):
        settings["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if source.get("user"):
        settings["metadata"] = {"user_id": source["user"]}
    if source.get("service_tier") == "default":
        settings["service_tier"] = "standard_only"
    if source.get("stream"):
        settings["stream"] = True
    return settings


def _output_config(source: Mapping[str, Any], system: list[Block]) -> dict[str, Any]:
    """A schema is a field of its own; for any JSON object there is none, so the system prompt asks for it."""
    wanted = source.get("response_format") or {}
    if wanted.get("type") == "json_schema" and "schema" in wanted["json_schema"]:
        return {"format": {"type": "json_schema", "schema": _closed(wanted["json_schema"]["schema"])}}
    if wanted.get("type") in ("json_object", "json_schema"):
        system.append({"type": "text", "text": JSON_ONLY})
    return {}


def _closed(schema: Any) -> Any:
    """The schema with every object closed, without which Anthropic refuses it."""
    if isinstance(schema, list):
        return [_closed(entry) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed


def _tool(tool: Mapping[str, Any]) -> Block:
    function = tool["function"]
    made: Block = {"name": function["name"], "input_schema": {"type": "object", **(function.get("parameters") or {})}}
    if function.get("description"):
        made["description"] = function["description"]
    if function.get("strict"):
        made |= {"strict": True, "input_schema": _closed(made["input_schema"])}
    return _marked(made, tool)


def _tool_choice(choice: Any, parallel: Any) -> Block | None:
    if isinstance(choice, Mapping):
        wanted: Block = {"type": "tool", "name": choice["function"]["name"]}
    elif choice == "required":
        wanted = {"type": "any"}
    elif choice == "none":
        return {"type": "none"}
    elif choice == "auto" or parallel is False:
        wanted = {"type": "auto"}
    else:
        return None
    return {**wanted, "disable_parallel_tool_use": True} if parallel is False else wanted


def conversation(messages: Sequence[Mapping[str, Any]]) -> tuple[list[Block], list[Block]]:
    """The system prompt, and turns that alternate: neighbours of one role become one, as tool results must be."""
    system: list[Block] = []
    turns: list[Block] = []
    for at, message in enumerate(messages):
        role = message["role"]
        if role in ("system", "developer"):
            system += _text_blocks(message)
            continue
        if role == "function":
            raise unsupported(f"messages[{at}]")
        blocks = _BLOCKS[role](message, at)
        if not blocks:
            continue
        blocks[-1] = _marked(blocks[-1], message)
        native = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == native:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": native, "content": blocks})
    return system, turns


def _marked(block: Block, source: Mapping[str, Any]) -> Block:
    return {**block, "cache_control": source["cache_control"]} if source.get("cache_control") else block


def _text_blocks(message: Mapping[str, Any]) -> list[Block]:
    """Blocks of text; empty ones, which are refused, are left out."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    blocks = [_marked({"type": "text", "text": text_of([part])}, part) for part in parts if text_of([part])]
    if blocks:
        blocks[-1] = _marked(blocks[-1], message)
    return blocks


def _user(message: Mapping[str, Any], at: int) -> list[Block]:
    content = message["content"]
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks = [_part(part, f"messages[{at}].content[{position}]") for position, part in enumerate(content)]
    return [block for block in blocks if block.get("text") != ""]


def _part(part: Mapping[str, Any], path: str) -> Block:
    kind = part["type"]
    if kind == "text":
        block: Block = {"type": "text", "text": part["text"]}
    elif kind == "image_url":
        block = {"type": "image", "source": _image_source(part["image_url"]["url"])}
    elif kind == "file":
        block = _document(part["file"], path)
    else:
        raise unsupported(path)
    return _marked(block, part)


def _image_source(url: str) -> Block:
    inline = data_url(url)
    if inline is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": inline[0], "data": inline[1]}


def _document(file: Mapping[str, Any], path: str) -> Block:
    """A PDF or a text. Files by id live at another provider."""
    inline = data_url(file["file_data"]) if isinstance(file.get("file_data"), str) else None
    if inline is None:
        raise unsupported(f"{path}.file")
    media_type, data = inline
    if media_type == "application/pdf":
        source: Block = {"type": "base64", "media_type": media_type, "data": data}
    elif media_type.startswith("text/"):
        try:
            source = {"type": "text", "media_type": "text/plain", "data": base64.b64decode(data).decode()}
        except ValueError:
            raise unsupported(f"{path}.file") from None
    else:
        raise unsupported(f"{path}.file")
    title = file.get("filename")
    return {"type": "document", "source": source, **({"title": title} if isinstance(title, str) and title else {})}


def _assistant(message: Mapping[str, Any], _: int) -> list[Block]:
    """Thinking at the places that it had, which its signatures depend on; text and calls in what is left."""
    thinking: dict[int, Block] = {}
    for at, detail in enumerate(own_details(message, FORMAT)):
        index = detail.get("index")
        thinking[at if index is None else index] = _thinking_block(detail)
    rest = _text_blocks({"content": message.get("content")})
    if message.get("refusal") and not rest:
        rest = [{"type": "text", "text": message["refusal"]}]
    rest += [
        {
            "type": "tool_use",
            "id": plain_id(call["id"]),
            "name": call["function"]["name"],
            "input": arguments_object(call["function"]["arguments"]),
        }
        for call in message.get("tool_calls") or ()
        if "function" in call
    ]
    blocks: list[Block] = []
    for index in sorted(thinking):
        while rest and len(blocks) < index:
            blocks.append(rest.pop(0))
        blocks.append(thinking[index])
    return blocks + rest


def _thinking_block(detail: Mapping[str, Any]) -> Block:
    if detail["type"] == "reasoning.encrypted":
        return {"type": "redacted_thinking", "data": detail.get("data") or ""}
    return {"type": "thinking", "thinking": detail.get("text") or "", "signature": detail.get("signature") or ""}


def _tool_result(message: Mapping[str, Any], at: int) -> list[Block]:
    content = message["content"]
    result: Block = {"type": "tool_result", "tool_use_id": plain_id(message["tool_call_id"])}
    if message.get("is_error"):
        result["is_error"] = True
    if isinstance(content, str):
        if content:
            result["content"] = content
    else:
        parts = [_part(part, f"messages[{at}].content[{position}]") for position, part in enumerate(content)]
        result["content"] = [part for part in parts if part.get("text") != ""]
    return [result]


_BLOCKS: Mapping[str, Callable[[Mapping[str, Any], int], list[Block]]] = {
    "user": _user,
    "assistant": _assistant,
    "tool": _tool_result,
}
