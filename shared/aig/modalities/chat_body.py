"""The body of a chat request: strict where OpenAI's API is strict, open where clients run ahead of it."""

import base64
import re
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, with_config
from pydantic_core import to_json
from typing_extensions import TypedDict

from aig.errors import InvalidRequest
from aig.modalities import image_header, json_schema
from aig.modalities.chat import ChatRequest
from aig.modalities.public_url import public_host

_OPEN = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
# Where a request goes and whose key it carries is the operator's to say.
FORBIDDEN = ("base_url", "api_base", "api_key", "extra_headers", "extra_body", "extra_query")

MAX_MEDIA_PARTS = 100
# Read by the gateway, or written by it for the provider: no part of a prompt.
STEERING = frozenset({"model", "max_tokens", "max_completion_tokens", "provider", "stream", "stream_options"})

# `models` comes with failover. The others would override the limit that was paid for, at servers that have limits of
# other names, or are billed beside the tokens.
UNSUPPORTED = ("models", "n_predict", "max_new_tokens", "best_of", "web_search_options")

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


@with_config(_OPEN)
class TextPart(TypedDict):
    type: Literal["text"]
    text: str


@with_config(_OPEN)
class ImageUrl(TypedDict):
    url: str
    detail: NotRequired[Literal["auto", "low", "high", "original"] | None]


@with_config(_OPEN)
class ImagePart(TypedDict):
    type: Literal["image_url"]
    image_url: ImageUrl


@with_config(_OPEN)
class InputAudio(TypedDict):
    data: str
    format: str


@with_config(_OPEN)
class AudioPart(TypedDict):
    type: Literal["input_audio"]
    input_audio: InputAudio


@with_config(_OPEN)
class FilePart(TypedDict):
    type: Literal["file"]
    file: dict[str, Any]


@with_config(_OPEN)
class RefusalPart(TypedDict):
    type: Literal["refusal"]
    refusal: str


Part = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


@with_config(_OPEN)
class FunctionCall(TypedDict):
    name: str
    arguments: str


@with_config(_OPEN)
class ToolCall(TypedDict):
    id: str
    type: NotRequired[Literal["function", "custom"]]
    function: NotRequired[FunctionCall]


@with_config(_OPEN)
class InstructionMessage(TypedDict):
    role: Literal["system", "developer"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True)]


@with_config(_OPEN)
class UserMessage(TypedDict):
    role: Literal["user"]
    content: str | Annotated[list[Part], Field(min_length=1, fail_fast=True)]


@with_config(_OPEN)
class AssistantMessage(TypedDict):
    role: Literal["assistant"]
    content: NotRequired[str | Annotated[list[AssistantPart], Field(fail_fast=True)] | None]
    tool_calls: NotRequired[Annotated[list[ToolCall], Field(fail_fast=True)] | None]


@with_config(_OPEN)
class ToolMessage(TypedDict):
    role: Literal["tool"]
    content: str | Annotated[list[Part], Field(fail_fast=True)]
    tool_call_id: str


@with_config(_OPEN)
class FunctionMessage(TypedDict):
    """The result of a call of `functions`, which tools have replaced."""

    role: Literal["function"]
    name: str
    content: str | None


Message = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]


@with_config(_OPEN)
class Function(TypedDict):
    name: Name
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


@with_config(_OPEN)
class FunctionTool(TypedDict):
    type: Literal["function"]
    function: Function


@with_config(_OPEN)
class Custom(TypedDict):
    name: Name


@with_config(_OPEN)
class CustomTool(TypedDict):
    type: Literal["custom"]
    custom: Custom


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


@with_config(_OPEN)
class NamedFunction(TypedDict):
    name: str


@with_config(_OPEN)
class NamedTool(TypedDict):
    type: Literal["function"]
    function: NamedFunction


@with_config(_OPEN)
class NamedCustomTool(TypedDict):
    type: Literal["custom"]
    custom: NamedFunction


@with_config(_OPEN)
class AllowedTools(TypedDict):
    type: Literal["allowed_tools"]
    allowed_tools: dict[str, Any]


ToolChoice = Annotated[NamedTool | NamedCustomTool | AllowedTools, Field(discriminator="type")]


@with_config(_OPEN)
class JsonSchemaFormat(TypedDict):
    name: Name
    schema: NotRequired[dict[str, Any]]
    strict: NotRequired[bool | None]


@with_config(_OPEN)
class ResponseFormat(TypedDict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NotRequired[JsonSchemaFormat]


@with_config(_OPEN)
class StreamOptions(TypedDict):
    include_usage: NotRequired[bool | None]


ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
ProviderNames = Annotated[list[ProviderName], Field(max_length=64, fail_fast=True)]


@with_config(ConfigDict(strict=True, extra="forbid"))
class ProviderPreferences(TypedDict):
    order: NotRequired[ProviderNames]
    only: NotRequired[ProviderNames]
    ignore: NotRequired[ProviderNames]


Count = Annotated[int, Field(ge=1, le=10_000_000)]
Stop = Annotated[str, StringConstraints(max_length=1024)]
LogitKey = Annotated[str, StringConstraints(pattern=r"^\d{1,9}$")]
MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


@with_config(_OPEN)
class ChatBody(TypedDict):
    """Body of POST /v1/chat/completions. Every OpenAI parameter is accepted; fields not listed here are forwarded."""

    model: Annotated[str, StringConstraints(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000, fail_fast=True)]
    max_tokens: NotRequired[Count | None]
    max_completion_tokens: NotRequired[Count | None]
    temperature: NotRequired[Annotated[float, Field(ge=0, le=2)] | None]
    top_p: NotRequired[Annotated[float, Field(gt=0, le=1)] | None]
    n: NotRequired[Annotated[int, Field(ge=1, le=128)] | None]
    stop: NotRequired[Stop | Annotated[list[Stop], Field(max_length=4)] | None]
    stream: NotRequired[bool | None]
    stream_options: NotRequired[StreamOptions | None]
    tools: NotRequired[Annotated[list[Tool], Field(max_length=128)] | None]
    tool_choice: NotRequired[Literal["none", "auto", "required"] | ToolChoice | None]
    parallel_tool_calls: NotRequired[bool | None]
    response_format: NotRequired[ResponseFormat | None]
    seed: NotRequired[Annotated[int, Field(ge=-(2**63), lt=2**63)] | None]
    logprobs: NotRequired[bool | None]
    top_logprobs: NotRequired[Annotated[int, Field(ge=0, le=20)] | None]
    logit_bias: NotRequired[
        Annotated[dict[LogitKey, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)] | None
    ]
    presence_penalty: NotRequired[Penalty | None]
    frequency_penalty: NotRequired[Penalty | None]
    user: NotRequired[Annotated[str, StringConstraints(max_length=1024)] | None]
    metadata: NotRequired[Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None]
    provider: NotRequired[ProviderPreferences | None]
    # The other tiers have prices of their own, which the catalog does not hold.
    service_tier: NotRequired[Literal["auto", "default"] | None]


_ADAPTER: TypeAdapter[ChatBody] = TypeAdapter(ChatBody)


def body_schema() -> dict[str, Any]:
    """The JSON schema of the body, for the OpenAPI document."""
    return _ADAPTER.json_schema(ref_template="#/components/schemas/{model}")


def _path(location: tuple[Any, ...], body: Any) -> list[Any]:
    """A pydantic location without the union tags in it, which a client has never heard of."""
    path: list[Any] = []
    node = body
    for position, part in enumerate(location):
        if (isinstance(node, dict) and part in node) or (isinstance(node, list) and isinstance(part, int)):
            path.append(part)
            node = node[part]
        elif isinstance(node, dict) and position == len(location) - 1:
            path.append(part)  # a field that is missing
    return path


def _invalid(error: ValidationError, body: dict[str, Any]) -> InvalidRequest:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    # Of a union's complaints the deepest, and of those the last, is about what the client most likely meant.
    path, problem = max(((_path(p["loc"], body), p) for p in reversed(problems)), key=lambda pair: len(pair[0]))
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    missing = problem["type"] in ("missing", "union_tag_not_found")
    return InvalidRequest(
        f"{param or 'body'}: {problem['msg']}. Correct this field and send the request again.",
        code="missing_required_parameter" if missing else "invalid_value",
        param=param or None,
    )


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
    try:
        checked: Any = _ADAPTER.validate_python(body)
    except ValidationError as error:
        raise _invalid(error, body) from None
    if checked.get("stream_options") and not checked.get("stream"):
        raise InvalidRequest("stream_options is only allowed with stream: true.", param="stream_options")
    capabilities = {"chat"} | _check_tools(checked) | _check_format(checked)
    media_bytes, media_parts = _check_messages(checked["messages"], capabilities)
    return ChatRequest(
        model=checked["model"],
        body=checked,
        # Unknown fields count: which of them a provider puts into its prompt, nobody here can say.
        input_bytes=len(to_json({name: checked[name] for name in checked if name not in STEERING})) - media_bytes,
        media_bytes=media_bytes,
        media_parts=media_parts,
        capabilities=frozenset(capabilities),
    )


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


def _check_messages(messages: list[dict[str, Any]], capabilities: set[str]) -> tuple[int, int]:
    """Checks what types cannot; adds to `capabilities`; returns the bytes of inline media and the media's number."""
    calls: set[str] = set()
    media_bytes = media_parts = 0
    for index, message in enumerate(messages):
        calls.update(call["id"] for call in message.get("tool_calls") or ())
        if message["role"] == "tool" and message["tool_call_id"] not in calls:
            raise InvalidRequest(
                f"messages[{index}] answers a tool call that no assistant message before it has made.",
                param=f"messages[{index}].tool_call_id",
            )
        content = message.get("content")
        for position, part in enumerate(content if isinstance(content, list) else ()):
            path = f"messages[{index}].content[{position}]"
            if media_parts >= MAX_MEDIA_PARTS:
                raise InvalidRequest(
                    f"A request takes at most {MAX_MEDIA_PARTS} pictures, clips and files.", param=path
                )
            if part["type"] == "image_url":
                capabilities.add("vision")
                media_bytes += _check_image(part["image_url"]["url"], f"{path}.image_url.url")
                media_parts += 1
            elif part["type"] == "input_audio":
                capabilities.add("audio")
                media_bytes += len(_decode(part["input_audio"]["data"], f"{path}.input_audio.data")) * 4 // 3
                media_parts += 1
            elif part["type"] == "file":
                capabilities.add("files")
                media_parts += 1
    return media_bytes, media_parts


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


def image_hosts(request: ChatRequest) -> set[str]:
    """The hosts of all images given by URL."""
    return {
        public_host(part["image_url"]["url"])
        for message in request.body["messages"]
        if isinstance(message.get("content"), list)
        for part in message["content"]
        if part["type"] == "image_url" and not part["image_url"]["url"].startswith("data:")
    }
