"""The body of a chat request: strict where OpenAI's API is strict, open where clients run ahead of it."""

import base64
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from aig.errors import InvalidRequest
from aig.modalities import image_header, json_schema
from aig.modalities.chat import ChatRequest, Media, reasoning_field
from aig.modalities.chat_types import ChatBody
from aig.modalities.public_url import public_host
from aig.modalities.steering import check, named_models, schema

# Where a request goes and whose key it carries is the operator's to say.
FORBIDDEN = ("base_url", "api_base", "api_key", "extra_headers", "extra_body", "extra_query")

MAX_MEDIA_PARTS = 100
# Read by the gateway, or written by it for the provider: no part of a prompt.
STEERING = frozenset({"model", "models", "max_tokens", "max_completion_tokens", "provider", "stream", "stream_options"})

# They would override the limit that was paid for, at servers that have limits of other names, or are billed beside the
# tokens.
UNSUPPORTED = (
    "n_predict", "max_new_tokens", "best_of", "web_search_options", "web_search", "search_parameters", "plugins",
    "preset", "deferred", "background",
)  # fmt: skip

_ADAPTER: TypeAdapter[ChatBody] = TypeAdapter(ChatBody)


def body_schema() -> dict[str, Any]:
    """The JSON schema of the body, for the OpenAPI document."""
    return schema(_ADAPTER)


def parse(body: dict[str, Any]) -> ChatRequest:
    """A checked request. Raises InvalidRequest, naming the field, for anything a provider would refuse anyway."""
    for name in FORBIDDEN:
        if name in body:
            raise InvalidRequest(
                f"{name} cannot be set by a request. Remove it; the operator configures providers.", param=name
            )
    for name in UNSUPPORTED:
        if body.get(name) is not None:
            raise InvalidRequest(f"{name} is not supported. Remove it.", code="unsupported_parameter", param=name)
    checked: Any = check(_ADAPTER, body)
    if checked.get("stream_options") and not checked.get("stream"):
        raise InvalidRequest("stream_options is only allowed with stream: true.", param="stream_options")
    capabilities = {"chat"} | _check_tools(checked) | _check_format(checked)
    if reasoning_field(checked):
        capabilities.add("reasoning")
    if "audio" in (checked.get("modalities") or ()):
        capabilities.add("audio")
    media = _check_messages(checked["messages"], capabilities)
    return ChatRequest(
        models=named_models(checked),
        body=checked,
        # Unknown fields count: which of them a provider puts into its prompt, nobody here can say.
        input_bytes=len(to_json({name: checked[name] for name in checked if name not in STEERING}))
        - media.inline_bytes,
        media=media,
        capabilities=frozenset(capabilities),
        cache_marks=_cache_marks(checked),
        image_hosts=_image_hosts(checked) if "vision" in capabilities else frozenset(),
    )


def _cache_marks(body: Mapping[str, Any]) -> frozenset[str]:
    """The times to live of all cache_control marks: on messages, their parts, and tools."""
    messages = body["messages"]
    marked: list[Mapping[str, Any]] = [*messages, *(body.get("tools") or ())]
    for message in messages:
        content = message.get("content")
        marked += content if isinstance(content, list) else ()
    marks = [place["cache_control"] for place in [body, *marked] if place.get("cache_control")]
    return frozenset(mark.get("ttl") or "5m" for mark in marks)


def _check_schema(schema: Any, path: str) -> None:
    try:
        if len(to_json(schema)) > json_schema.MAX_SCHEMA_BYTES:
            raise ValueError(f"it is larger than {json_schema.MAX_SCHEMA_BYTES // 1024} kB")
        json_schema.check(schema)
    except ValueError as error:
        raise InvalidRequest(f"{path} is not a usable JSON schema: {error}.", param=path) from None


def _check_tools(body: dict[str, Any]) -> set[str]:
    tools = body.get("tools") or []
    for index, tool in enumerate(tools):
        parameters = tool["function"].get("parameters") if tool["type"] == "function" else None
        if parameters is not None:
            _check_schema(parameters, f"tools[{index}].function.parameters")
    choice = body.get("tool_choice")
    if choice == "required" and not tools:
        raise InvalidRequest("tool_choice is required but there are no tools. Send tools too.", param="tool_choice")
    if isinstance(choice, dict) and choice["type"] != "allowed_tools":
        name = choice[choice["type"]]["name"]
        if name not in {tool[tool["type"]]["name"] for tool in tools}:
            raise InvalidRequest(f"tool_choice names {name[:64]!r}, which is not among tools.", param="tool_choice")
    return {"tools"} if tools or body.get("functions") else set()


def _check_format(body: dict[str, Any]) -> set[str]:
    wanted = body.get("response_format")
    if not wanted or wanted["type"] == "text":
        return set()
    if wanted["type"] == "json_schema":
        if "json_schema" not in wanted:
            raise InvalidRequest(
                "response_format.json_schema is missing.",
                code="missing_required_parameter",
                param="response_format.json_schema",
            )
        if "schema" in wanted["json_schema"]:
            _check_schema(wanted["json_schema"]["schema"], "response_format.json_schema.schema")
    return {"json_schema"}


def _check_messages(messages: list[dict[str, Any]], capabilities: set[str]) -> Media:
    """Checks what types cannot, adds to `capabilities`, and says what there is beside text."""
    calls: set[str] = set()
    media = Media()
    for index, message in enumerate(messages):
        calls.update(call["id"] for call in message.get("tool_calls") or ())
        if message["role"] == "tool" and message["tool_call_id"] not in calls:
            raise InvalidRequest(
                f"messages[{index}] answers a tool call that no assistant message before it has made.",
                param=f"messages[{index}].tool_call_id",
            )
        if message["role"] == "assistant" and message.get("audio"):
            capabilities.add("audio")
            media.spoken += 1
        content = message.get("content")
        for position, part in enumerate(content if isinstance(content, list) else ()):
            path = f"messages[{index}].content[{position}]"
            if media.pieces >= MAX_MEDIA_PARTS:
                raise InvalidRequest(
                    f"A request takes at most {MAX_MEDIA_PARTS} pictures, clips and files.", param=path
                )
            if part["type"] == "image_url":
                capabilities.add("vision")
                media.inline_bytes += _check_image(part["image_url"]["url"], f"{path}.image_url.url")
                media.images += 1
            elif part["type"] == "input_audio":
                capabilities.add("audio")
                clip = _decode(part["input_audio"]["data"], f"{path}.input_audio.data")
                seconds = _longest_seconds(clip)
                media.inline_bytes += len(clip) * 4 // 3
                media.clips += 1
                media.clip_seconds += seconds or 0
                media.endless = media.endless or seconds is None
            elif part["type"] == "file":
                capabilities.add("files")
                media.files += 1
    return media


def _longest_seconds(clip: bytes) -> int | None:
    """None for a clip that tells nobody how long it is, or is in a form that nobody here knows."""
    from aig.modalities.media import audio as clips  # 20 ms of a cold start, for what few chats bring with them

    try:
        seconds = clips.read(clip).seconds
    except ValueError:
        return None
    return None if seconds is None else math.ceil(seconds)


def _decode(text: str, path: str) -> bytes:
    try:
        if len(text) % 4:  # Python's decoder lets one padding sign too many pass
            raise ValueError
        return base64.b64decode(text, validate=True)
    except ValueError:  # of base64, or of what is not even ASCII
        raise InvalidRequest(f"{path} is not valid base64.", param=path) from None


def _check_image(url: str, path: str) -> int:
    """The number of bytes the URL takes in the request if the image is inline, else 0."""
    if not url.startswith("data:"):
        try:
            public_host(url)
        except ValueError as error:
            raise InvalidRequest(f"{path} cannot be used: {error}.", param=path) from None
        return 0
    header, _, encoded = url.partition(",")
    if not re.fullmatch(r"data:image/(png|jpeg|jpg|gif|webp);base64", header):
        raise InvalidRequest(f"{path} must be data:image/(png|jpeg|gif|webp);base64,… or an https URL.", param=path)
    if len(encoded) > image_header.MAX_BYTES * 4 // 3:
        raise InvalidRequest(f"{path} is larger than {image_header.MAX_BYTES >> 20} MB.", param=path)
    try:
        image_header.read(_decode(encoded, path))
    except ValueError as error:
        raise InvalidRequest(f"{path} cannot be used: {error}.", param=path) from None
    return len(encoded)


def _image_hosts(body: Mapping[str, Any]) -> frozenset[str]:
    """The hosts of all images given by URL."""
    return frozenset(
        public_host(part["image_url"]["url"])
        for message in body["messages"]
        if isinstance(message.get("content"), list)
        for part in message["content"]
        if part["type"] == "image_url" and not part["image_url"]["url"].startswith("data:")
    )
