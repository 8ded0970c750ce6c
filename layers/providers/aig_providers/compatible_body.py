"""The client's chat body as vendors of OpenAI's wire take it: they know more or less of it than OpenAI does. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

from aig.modalities.chat import ChatRequest
from aig.modalities.chat_body import STEERING
from aig.modalities.upstream import Upstream
from aig_providers.shapes import function_tools, refuse, text_of, tool_pictures_apart, unsupported

# Extensions of a message, by the quirk of those who take them; others refuse fields that they do not know.
_MESSAGE_EXTENSIONS = {
    "cache_control": "keeps_cache_control",
    "reasoning_content": "keeps_reasoning_content",
    "reasoning_details": "keeps_reasoning_details",
    "images": "keeps_reasoning_details",
    "phase": "keeps_reasoning_details",
    "is_error": "keeps_reasoning_details",
}
# Where every field that is not known is refused: what is known, and what is no more than a hint.
_KNOWN = frozenset(
    {"model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "response_format"}
    | {"tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction", "parallel_tool_calls"}
    | {"metadata", "prompt_mode", "reasoning_effort", "guardrails", "prompt_cache_key", "safe_prompt"}
)
_HINTS = frozenset(
    {"user", "store", "verbosity", "prompt_cache_retention", "prompt_cache_options", "safety_identifier"}
    | {"service_tier", "stream_options", "modalities"}
)
_KNOWN_IN_MESSAGES: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls", "prefix"}),
    "tool": frozenset({"role", "content", "tool_call_id", "name"}),
}
_THREE_EFFORTS = {"none": None, "minimal": "low", "xhigh": "high"}
_TWO_EFFORTS = {"minimal": "high", "low": "high", "medium": "high", "xhigh": "high"}


def compatible_body(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> dict[str, Any]:
    """Under the provider's model id, with the limit that was paid for; usage always asked for. Raises UpstreamError."""
    quirks = upstream.quirks
    body = {name: value for name, value in request.body.items() if name not in STEERING}
    if "keeps_cache_control" not in quirks:
        body.pop("cache_control", None)
    body["model"] = upstream.model_id
    body["messages"] = [_message(message, quirks) for message in tool_pictures_apart(body["messages"])]
    if body.get("tools"):
        body["tools"] = [_tool(tool, quirks) for tool in body["tools"]]
    body[upstream.max_tokens_field] = max_output_tokens
    if request.stream:
        body["stream"] = True
        if "no_stream_options" not in quirks:
            body["stream_options"] = {**(request.body.get("stream_options") or {}), "include_usage": True}
    if "takes_thinking" not in quirks:
        _as_effort(body)
    if "three_efforts" in quirks:
        _change_effort(body, _THREE_EFFORTS)
    return _closed(body) if "closed_fields" in quirks else body


def _without(table: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """The table itself where there is nothing to take out."""
    if not any(name in table for name in names):
        return table
    return {name: value for name, value in table.items() if name not in names}


def _message(message: Mapping[str, Any], quirks: Collection[str]) -> Mapping[str, Any]:
    refused = [name for name, quirk in _MESSAGE_EXTENSIONS.items() if quirk not in quirks]
    message = _without(message, refused)
    if message.get("refusal", "") is None:
        message = _without(message, ("refusal",))
    content = message.get("content")
    if message["role"] in ("system", "developer", "tool") and "developer_role" not in quirks:
        role = "tool" if message["role"] == "tool" else "system"
        return {**message, "role": role, "content": content if "keeps_cache_control" in quirks else text_of(content)}
    if isinstance(content, list) and "cache_control" in refused:
        message = {**message, "content": [_without(part, ("cache_control",)) for part in content]}
    if message.get("tool_calls"):
        message = {
            **message,
            "tool_calls": [_without(call, ("extra_content", "index")) for call in message["tool_calls"]],
        }
    return message


def _tool(tool: Mapping[str, Any], quirks: Collection[str]) -> Mapping[str, Any]:
    if "keeps_cache_control" not in quirks:
        tool = _without(tool, ("cache_control",))
    if "no_strict_tools" in quirks and "function" in tool:
        tool = {**tool, "function": _without(tool["function"], ("strict",))}
    return tool


def _as_effort(body: dict[str, Any]) -> None:
    """`thinking`, which only some know, as the effort that all have; a budget has no counterpart."""
    thinking = body.pop("thinking", None)
    if thinking and thinking["type"] == "disabled" and body.get("reasoning_effort") is None:
        body["reasoning_effort"] = "none"


def _change_effort(body: dict[str, Any], efforts: Mapping[str, str | None]) -> None:
    effort = body.pop("reasoning_effort", None)
    if (changed := efforts.get(effort, effort) if effort else None) is not None:
        body["reasoning_effort"] = changed


def _closed(body: dict[str, Any]) -> dict[str, Any]:
    """Only what is known, and under its name there. Raises UpstreamError for what would change the answer."""
    refuse(body, ("logprobs", "top_logprobs", "logit_bias", "audio"))
    if body.get("service_tier") in ("flex", "priority"):
        raise unsupported("service_tier")
    if body.get("seed") is not None:
        body["random_seed"] = abs(body["seed"])
    body.pop("seed", None)
    tools, choice = function_tools(body)
    if tools:
        body |= {"tools": [_described(tool) for tool in tools], "tool_choice": choice or "auto"}
    _change_effort(body, _TWO_EFFORTS)
    for name in sorted(body.keys() - _KNOWN):
        if name not in _HINTS and body[name] is not None:
            raise unsupported(name)
    body["messages"] = [_closed_message(message, f"messages[{at}]") for at, message in enumerate(body["messages"])]
    return {name: value for name, value in body.items() if name in _KNOWN and value is not None}


def _described(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool whose parameters are said, be there none."""
    function = {"parameters": {"type": "object", "properties": {}}, **tool["function"]}
    return {"type": "function", "function": function}


def _closed_message(message: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    known = _KNOWN_IN_MESSAGES.get(message["role"])
    if known is None:
        raise unsupported(path)
    kept = {name: value for name, value in message.items() if name in known}
    if message["role"] == "assistant" and message.get("refusal") and not kept.get("content"):
        kept["content"] = message["refusal"]
    if isinstance(kept.get("content"), list):
        kept["content"] = [_closed_part(part) for part in kept["content"]]
    return kept


def _closed_part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    match part["type"]:
        case "input_audio":
            return {"type": "input_audio", "input_audio": part["input_audio"]["data"]}
        case "refusal":
            return {"type": "text", "text": part["refusal"]}
        case "file" if isinstance(part["file"].get("file_data"), str):
            name = part["file"].get("filename")
            named = {"document_name": name} if isinstance(name, str) else {}
            return {"type": "document_url", "document_url": part["file"]["file_data"], **named}
    return part
