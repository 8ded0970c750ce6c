"""From OpenAI's chat body to the body of its Responses API. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from aig.modalities.chat import ChatRequest
from aig.modalities.chat_body import STEERING
from aig.modalities.upstream import Upstream
from aig_providers.shapes import own_details, refuse, text_of, unsupported

FORMAT = "openai-responses-v1"  # whose encrypted reasoning it is, in reasoning_details
LEAST_OUTPUT = 16  # fewer tokens are refused
_MAPPED = STEERING | {
    "messages", "tools", "tool_choice", "response_format", "reasoning_effort", "thinking", "verbosity", "logprobs",
    "store", "cache_control", "n", "modalities",
}  # fmt: skip
# What only chat completions have. A request that asks for one of them has to go there.
_CHAT_ONLY = (
    "stop", "seed", "logit_bias", "presence_penalty", "frequency_penalty", "prediction", "audio", "functions",
    "function_call",
)  # fmt: skip

Item = dict[str, Any]


def is_chat_only(request: ChatRequest, max_output_tokens: int) -> bool:
    """Whether the request can be made as a chat completion only."""
    body = request.body
    return (
        max_output_tokens < LEAST_OUTPUT
        or (body.get("n") or 1) > 1
        or any(body.get(name) for name in _CHAT_ONLY)
        or bool(set(body.get("modalities") or ()) - {"text"})
        or any(message["role"] == "function" for message in body["messages"])
    )


def responses_body(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> dict[str, Any]:
    """Nothing is kept at the provider: reasoning comes and goes encrypted. Raises UpstreamError."""
    source = request.body
    refuse(source, _CHAT_ONLY)
    body = {name: value for name, value in source.items() if name not in _MAPPED and value is not None}
    body |= {
        "model": upstream.model_id,
        "input": _items(source["messages"]),
        "max_output_tokens": max_output_tokens,
        "store": bool(source.get("store")),
        "include": ["reasoning.encrypted_content"],
    }
    if source.get("logprobs"):
        body["include"].append("message.output_text.logprobs")
    if source.get("tools"):
        body["tools"] = [_tool(tool) for tool in source["tools"]]
        if source.get("tool_choice"):
            body["tool_choice"] = _tool_choice(source["tool_choice"])
    if reasoning := _reasoning(upstream, source):
        body["reasoning"] = reasoning
    if text := _text(source):
        body["text"] = text
    if request.stream:
        body["stream"] = True
    return body


def _reasoning(upstream: Upstream, source: Mapping[str, Any]) -> Item:
    """A summary only for who asks for the thinking itself: OpenAI refuses it to organisations that it has not verified.

    `thinking` is how others have it switched: it is translated, and an effort that is named comes before it.
    """
    effort, thinking = source.get("reasoning_effort"), source.get("thinking") or {}
    if effort is None and thinking.get("type") == "disabled":
        effort = "none"
    if "always_thinks" in upstream.quirks and effort in ("none", "minimal"):
        effort = "low"
    reasoning: Item = {} if effort is None else {"effort": effort}
    if thinking and thinking["type"] != "disabled":
        reasoning["summary"] = "auto"
    return reasoning


def _text(source: Mapping[str, Any]) -> Item:
    wanted = source.get("response_format") or {}
    text: Item = {"verbosity": source["verbosity"]} if source.get("verbosity") else {}
    if wanted.get("type") == "json_schema":
        named = wanted["json_schema"]
        kept = {name: named[name] for name in ("name", "description", "schema", "strict") if name in named}
        text["format"] = {"type": "json_schema", "schema": {}, **kept}
    elif wanted.get("type") == "json_object":
        text["format"] = {"type": "json_object"}
    return text


def _tool(tool: Mapping[str, Any]) -> Item:
    """Strict is the rule here and the exception in chat completions, so that it is always said."""
    if tool["type"] == "custom":
        made = {"type": "custom", **tool["custom"]}
        grammar = (made.get("format") or {}).get("grammar")
        return {**made, "format": {"type": "grammar", **grammar}} if grammar else made
    function = tool["function"]
    return {
        "type": "function",
        "name": function["name"],
        **({"description": function["description"]} if function.get("description") else {}),
        "parameters": function.get("parameters") or {"type": "object", "properties": {}},
        "strict": bool(function.get("strict")),
    }


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, Mapping):
        return choice
    kind = choice["type"]
    if kind != "allowed_tools":
        return {"type": kind, "name": choice[kind]["name"]}
    allowed = choice["allowed_tools"]
    tools = [{"type": tool["type"], "name": tool[tool["type"]]["name"]} for tool in allowed.get("tools") or ()]
    return {"type": "allowed_tools", "mode": allowed.get("mode") or "auto", "tools": tools}


def _items(messages: Sequence[Mapping[str, Any]]) -> list[Item]:
    items: list[Item] = []
    custom: set[str] = set()  # the ids of calls of custom tools: their results are of a kind of their own
    for at, message in enumerate(messages):
        path = f"messages[{at}]"
        match message["role"]:
            case "assistant":
                custom |= {call["id"] for call in message.get("tool_calls") or () if call.get("custom")}
                items += _assistant(message)
            case "tool":
                items.append(_tool_result(message, custom, path))
            case "function":
                raise unsupported(path)
            case role:
                items.append({"role": role, "content": _content(message["content"], path)})
    return items


def _content(content: Any, path: str) -> Any:
    if isinstance(content, str):
        return content
    return [_part(part, f"{path}.content[{at}]") for at, part in enumerate(content)]


def _part(part: Mapping[str, Any], path: str) -> Item:
    match part["type"]:
        case "text":
            return {"type": "input_text", "text": part["text"]}
        case "image_url":
            image = part["image_url"]
            return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}
        case "file":
            kept = {name: part["file"][name] for name in ("file_id", "filename", "file_data") if part["file"].get(name)}
            return {"type": "input_file", **kept}
    raise unsupported(path)


def _assistant(message: Mapping[str, Any]) -> list[Item]:
    """Reasoning at the places that it had, before what came of it; text and calls in what is left."""
    reasoning: dict[int, Item] = {}
    for at, detail in enumerate(own_details(message, FORMAT)):
        place = at if detail.get("index") is None else detail["index"]
        item = reasoning.setdefault(place, {"type": "reasoning", "summary": []})
        if isinstance(detail.get("id"), str):
            item["id"] = detail["id"]
        if detail.get("data"):
            item["encrypted_content"] = detail["data"]
        if detail.get("summary"):
            item["summary"].append({"type": "summary_text", "text": detail["summary"]})
    rest: list[Item] = []
    if said := text_of(message.get("content")) or message.get("refusal"):
        phase = {"phase": message["phase"]} if isinstance(message.get("phase"), str) else {}
        rest.append({"role": "assistant", "content": said, **phase})
    rest += [_call(call) for call in message.get("tool_calls") or () if call.get("function") or call.get("custom")]
    items: list[Item] = []
    for place in sorted(reasoning):
        while rest and len(items) < place:
            items.append(rest.pop(0))
        # Without its content it was kept at the provider, or is nobody's here: it cannot be sent back.
        if "encrypted_content" in reasoning[place] and "id" in reasoning[place]:
            items.append(reasoning[place])
    return items + rest


def _call(call: Mapping[str, Any]) -> Item:
    if custom := call.get("custom"):
        return {"type": "custom_tool_call", "call_id": call["id"], "name": custom["name"], "input": custom["input"]}
    function = call["function"]
    return {
        "type": "function_call",
        "call_id": call["id"],
        "name": function["name"],
        "arguments": function["arguments"],
    }


def _tool_result(message: Mapping[str, Any], custom: set[str], path: str) -> Item:
    call_id = message["tool_call_id"]
    kind = "custom_tool_call_output" if call_id in custom else "function_call_output"
    return {"type": kind, "call_id": call_id, "output": _content(message["content"], path)}
