"""Chat: the OpenAI request and answer as the one shape that every adapter maps to and from.

A `ChatRequest` keeps the client's whole body, checked, so that nothing a client sends is lost on its way to a provider
that knows it. Unknown fields are forwarded, because clients send fields that are younger than this code.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import to_json

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import TEXT_IN, TEXT_OUT, UNBOUNDED_TOKENS, Demand
from aig.modalities.upstream import Upstream
from aig.modalities.usage import INPUT_UNITS, OUTPUT_UNITS, Unit, Usage

MESSAGE_OVERHEAD_TOKENS = 16  # role markers and separators of a chat template, per message
PROMPT_OVERHEAD_TOKENS = 512  # what a provider may put in front: a default system prompt, tool instructions
CLIP_TOKENS = 512  # for a clip, and these for every second: Gemini counts 32, others less
CLIP_TOKENS_PER_S = 40
SPOKEN_TOKENS = 16_384  # what a model said aloud in an earlier turn: as much as it may say in one
# The settings of sampling, and what they are where nobody sets them.
SAMPLING: Mapping[str, float | None] = {"temperature": 1, "top_p": 1, "top_k": None}
# What changes nothing of the answer, or stands in its cache form beside the parameters.
_BESIDE = frozenset({"model", "models", "stream", "stream_options", "user"})


def reasoning_field(body: Mapping[str, Any]) -> str | None:
    """The field that asks for reasoning, if one does: `none`, and thinking that is disabled, ask for nothing."""
    if (body.get("thinking") or {}).get("type", "disabled") != "disabled":
        return "thinking"
    return "reasoning_effort" if body.get("reasoning_effort") not in (None, "none") else None


@dataclass(slots=True)
class Media:
    """What is in a prompt beside its text. `inline_bytes` is what it takes in the body, as base64."""

    inline_bytes: int = 0
    images: int = 0
    files: int = 0
    clips: int = 0
    clip_seconds: int = 0
    endless: bool = False  # whether there is a clip whose length cannot be told
    spoken: int = 0  # answers of earlier turns that are named by their id

    @property
    def pieces(self) -> int:
        return self.images + self.files + self.clips + self.spoken

    @property
    def audio_tokens(self) -> int:
        """An upper bound."""
        heard = CLIP_TOKENS * self.clips + CLIP_TOKENS_PER_S * self.clip_seconds
        return heard + SPOKEN_TOKENS * self.spoken


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`body` is the client's JSON object, valid by `chat_body.parse`.

    `input_bytes` is the size of what a provider may put into its prompt, without the bytes of inline media.
    `models` are the slugs to try in order; none stands for any that can do it.
    """

    models: tuple[str, ...]
    body: Mapping[str, Any]
    input_bytes: int
    media: Media
    capabilities: frozenset[str]  # what a model must have: tools, vision, json_schema, audio, files, reasoning
    cache_marks: frozenset[str] = frozenset()  # the times to live of its cache_control marks
    image_hosts: frozenset[str] = frozenset()

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def include_usage(self) -> bool:
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    @property
    def demand(self) -> Demand:
        body, input_units, output_units = self.body, TEXT_IN, TEXT_OUT
        if {"audio", "files"} & self.capabilities:
            input_units |= {"input_audio_tokens", "cached_input_audio_tokens"}
        if "vision" in self.capabilities:
            input_units |= {"input_image_tokens"}
        if "1h" in self.cache_marks:
            input_units |= {"cache_write_1h_tokens"}
        if set(body.get("modalities") or ()) - {"text"}:
            output_units |= {"output_audio_tokens", "output_image_tokens"}
        return Demand(
            models=self.models,
            capabilities=self.capabilities,
            input_tokens=self._max_input_tokens(),
            output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            samples=body.get("n") or 1,
            images=self.media.images,
            input_units=input_units,
            output_units=output_units,
            preferences=body.get("provider") or {},
            service_tier=body.get("service_tier"),
            may_be_short=True,
            fields={"reasoning": asks} if (asks := reasoning_field(body)) else {},
            sampling=tuple(name for name, usual in SAMPLING.items() if body.get(name) not in (None, usual)),
            image_hosts=self.image_hosts,
        )

    @property
    def cache_form(self) -> CacheForm:
        """With a temperature of zero, or a seed, a client asks for the same answer each time; tool calls are one."""
        body = self.body
        return CacheForm(
            modality="chat",
            parameters={name: body[name] for name in body if name not in _BESIDE},
            deterministic=body.get("temperature") == 0 or body.get("seed") is not None,
            streamed=self.stream,
        )

    def _max_input_tokens(self) -> int:
        """An upper bound without pictures: no tokenizer in use makes more tokens than there are UTF-8 bytes.

        A file may stand for any number of pages, so that only the model's context bounds it; so may some clips.
        """
        if "files" in self.capabilities or self.media.endless:
            return UNBOUNDED_TOKENS
        return (
            self.input_bytes
            + MESSAGE_OVERHEAD_TOKENS * len(self.body["messages"])
            + self.media.audio_tokens
            + PROMPT_OVERHEAD_TOKENS
        )


@dataclass(frozen=True, slots=True)
class ChatResult:
    """A whole answer: an OpenAI `chat.completion` object without `usage`, which stands beside it (None: not told)."""

    body: dict[str, Any]
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A piece of a stream: a `chat.completion.chunk` object (None if the piece held nothing but usage)."""

    body: dict[str, Any] | None
    usage: Usage | None = None


class ChatAdapter(Protocol):
    """One provider's chat wire. Both raise UpstreamError; `stream` raises it also half-way, and for a cut stream.

    `max_output_tokens` is what was paid for: the adapter sends it, whatever the client asked for.
    """

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult: ...

    def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]: ...


def usage_json(usage: Usage) -> dict[str, Any]:
    """Usage as OpenAI writes it: totals that include their details."""
    prompt, completion = usage.total(INPUT_UNITS), usage.total(OUTPUT_UNITS)

    def count(unit: Unit) -> int:
        return usage.units.get(unit, 0)

    body: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": count("cached_input_tokens") + count("cached_input_audio_tokens"),
            "cache_write_tokens": count("cache_write_tokens") + count("cache_write_1h_tokens"),
            "audio_tokens": count("input_audio_tokens") + count("cached_input_audio_tokens"),
            "image_tokens": count("input_image_tokens"),
        },
        "completion_tokens_details": {
            "reasoning_tokens": count("reasoning_tokens"),
            "audio_tokens": count("output_audio_tokens"),
            "image_tokens": count("output_image_tokens"),
        },
    }
    if usage.estimated:
        body["estimated"] = True
    return body


def output_text(body: Mapping[str, Any]) -> str:
    """All that a completion, or a chunk of one, says: what its tokens are counted from when nobody else counted."""
    pieces: list[Any] = []
    for choice in body.get("choices") or ():
        message, delta = choice.get("message"), choice.get("delta")
        said = message if isinstance(message, dict) else delta if isinstance(delta, dict) else {}
        content, calls = said.get("content"), said.get("tool_calls")
        pieces += (said.get("reasoning_content") or said.get("reasoning"), content, said.get("refusal"))
        if isinstance(content, list):
            pieces += [part.get("text") for part in content if isinstance(part, dict)]
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                pieces += (function.get("name"), function.get("arguments"))
    return "".join([piece for piece in pieces if isinstance(piece, str)])


def estimate(request: ChatRequest, output_bytes: int) -> Usage:
    """Four bytes a token, the usual figure for English, for both sides."""
    parts = [request.body.get(name) for name in ("messages", "tools", "functions", "response_format")]
    prompt_bytes = sum(len(to_json(part)) for part in parts if part) - request.media.inline_bytes
    return Usage({"input_tokens": -(-prompt_bytes // 4), "output_tokens": -(-output_bytes // 4)}, estimated=True)
