"""What a chat body is made of, as types: strict where OpenAI's API is strict, open where clients run ahead of it."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, StringConstraints, with_config
from typing_extensions import TypedDict

_OPEN = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


@with_config(_OPEN)
class CacheControl(TypedDict):
    """A mark that the prompt up to here is worth keeping, as Anthropic has it."""

    type: Literal["ephemeral"]
    ttl: NotRequired[Literal["5m", "1h"] | None]


@with_config(_OPEN)
class TextPart(TypedDict):
    type: Literal["text"]
    text: str
    cache_control: NotRequired[CacheControl | None]


@with_config(_OPEN)
class ImageUrl(TypedDict):
    url: str
    detail: NotRequired[Literal["auto", "low", "high", "original"] | None]


@with_config(_OPEN)
class ImagePart(TypedDict):
    type: Literal["image_url"]
    image_url: ImageUrl
    cache_control: NotRequired[CacheControl | None]


@with_config(_OPEN)
class InputAudio(TypedDict):
    data: str
    format: str


@with_config(_OPEN)
class AudioPart(TypedDict):
    type: Literal["input_audio"]
    input_audio: InputAudio
    cache_control: NotRequired[CacheControl | None]


@with_config(_OPEN)
class FilePart(TypedDict):
    type: Literal["file"]
    file: dict[str, Any]
    cache_control: NotRequired[CacheControl | None]


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
class CustomCall(TypedDict):
    name: str
    input: str


@with_config(_OPEN)
class ToolCall(TypedDict):
    id: str
    type: NotRequired[Literal["function", "custom"]]
    function: NotRequired[FunctionCall]
    custom: NotRequired[CustomCall]


@with_config(_OPEN)
class InstructionMessage(TypedDict):
    role: Literal["system", "developer"]
    cache_control: NotRequired[CacheControl | None]
    content: str | Annotated[list[TextPart], Field(fail_fast=True)]


@with_config(_OPEN)
class UserMessage(TypedDict):
    role: Literal["user"]
    cache_control: NotRequired[CacheControl | None]
    content: str | Annotated[list[Part], Field(min_length=1, fail_fast=True)]


@with_config(_OPEN)
class ReasoningDetail(TypedDict):
    """A piece of a model's reasoning, in OpenRouter's form: to be sent back as it came."""

    type: Literal["reasoning.text", "reasoning.summary", "reasoning.encrypted"]
    text: NotRequired[str | None]
    summary: NotRequired[str | None]
    data: NotRequired[str | None]
    signature: NotRequired[str | None]
    format: NotRequired[str | None]
    index: NotRequired[Annotated[int, Field(ge=0, le=10_000)] | None]


@with_config(_OPEN)
class AssistantMessage(TypedDict):
    role: Literal["assistant"]
    cache_control: NotRequired[CacheControl | None]
    reasoning_content: NotRequired[str | None]
    reasoning_details: NotRequired[Annotated[list[ReasoningDetail], Field(fail_fast=True)] | None]
    content: NotRequired[str | Annotated[list[AssistantPart], Field(fail_fast=True)] | None]
    tool_calls: NotRequired[Annotated[list[ToolCall], Field(fail_fast=True)] | None]


@with_config(_OPEN)
class ToolMessage(TypedDict):
    role: Literal["tool"]
    cache_control: NotRequired[CacheControl | None]
    content: str | Annotated[list[Part], Field(fail_fast=True)]
    tool_call_id: str
    is_error: NotRequired[bool | None]


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
    cache_control: NotRequired[CacheControl | None]


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


@with_config(_OPEN)
class Thinking(TypedDict):
    """Reasoning, as Anthropic and Moonshot have it switched. `budget_tokens` bounds it within the answer's limit."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: NotRequired[Annotated[int, Field(ge=1, le=10_000_000)] | None]


Slug = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Models = Annotated[list[Slug], Field(min_length=1, max_length=8)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Stop = Annotated[str, StringConstraints(max_length=1024)]
LogitKey = Annotated[str, StringConstraints(pattern=r"^\d{1,9}$")]
MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


@with_config(_OPEN)
class ChatBody(TypedDict):
    """Body of POST /v1/chat/completions. Every OpenAI parameter is accepted; fields not listed here are forwarded."""

    model: NotRequired[Annotated[str, StringConstraints(min_length=1)] | None]
    models: NotRequired[Models | None]
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
    modalities: NotRequired[Annotated[list[str], Field(max_length=8)] | None]
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
    cache_control: NotRequired[CacheControl | None]
    provider: NotRequired[ProviderPreferences | None]
    service_tier: NotRequired[Literal["auto", "default", "flex", "priority"] | None]
    reasoning_effort: NotRequired[Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None]
    thinking: NotRequired[Thinking | None]
