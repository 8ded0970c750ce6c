"""Chat completions on the wire: parse and check a request, have it answered, render the answer whole or as a stream.

The checks refuse what the local models cannot do (tools, images, several choices) rather than ignore it. Fields that
are not known here are ignored.
"""

import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.models import fields
from local.models.errors import ApiError, BadRequestError, EngineFailedError
from local.models.hangup import StreamedAnswer, unless_gone
from local.models.slots import Slots

PATHS = ("/v1/chat/completions",)

MAX_SCHEMA_CHARS = 20_000
"""A schema becomes a grammar; a bigger one (2000 enum values) would hold the only thread for seconds."""

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_NUMBERS: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0, 2),
    ("top_p", 0, 1),
    ("presence_penalty", -2, 2),
    ("frequency_penalty", -2, 2),
)

FinishReason: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked request. `messages` hold only `role` (system, user, assistant) and `content`, both strings.

    `options` are the sampling parameters the client gave, under OpenAI's names, `max_tokens` the smaller of the two
    limits. `schema` is the JSON schema the answer must fit, `{}` for any JSON object, None for free text.
    """

    model: str
    messages: list[dict[str, str]]
    options: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    stream: bool = False
    include_usage: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A step of an answer. `logprobs` are OpenAI's `logprobs.content` entries for the text of this piece."""

    text: str = ""
    logprobs: list[dict[str, Any]] | None = None
    finish_reason: FinishReason | None = None
    usage: dict[str, Any] | None = None


class ChatEngine(Protocol):
    """A loaded chat model."""

    def generate(self, request: ChatRequest, emit: Callable[[Piece], bool]) -> None:
        """Block until the answer is complete, emitting it piece by piece; stop as soon as `emit` answers True.

        An empty piece says that the prompt was accepted and work goes on. The last two pieces carry the finish
        reason and the usage. Raises `BadRequestError` (also for a prompt that does not fit) and `EngineFailedError`.
        """
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """One answer, whole or as a stream. The HTTP status is decided when the model has accepted the prompt."""
    wanted = parse(await fields.json_object(request))

    def work(engine: ChatEngine, emit: Callable[[Piece], bool]) -> None:
        engine.generate(wanted, emit)

    pieces = slots.find("chat", wanted.model).run(work)
    if not wanted.stream:
        return JSONResponse(await unless_gone(request, complete(wanted, pieces)))
    events = stream(wanted, pieces)
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamedAnswer(await unless_gone(request, anext(events)), events, "text/event-stream", headers)


def parse(body: Mapping[str, Any]) -> ChatRequest:
    """Check a decoded JSON body. Raises `BadRequestError` naming the field."""
    _refuse_unsupported(body)
    model = fields.model(body)
    stream_options = body.get("stream_options")
    return ChatRequest(
        model=model,
        messages=_messages(body.get("messages")),
        options=_options(body),
        schema=_schema(body.get("response_format")),
        stream=fields.flag(body, "stream"),
        include_usage=isinstance(stream_options, dict) and fields.flag(stream_options, "include_usage"),
    )


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    if body.get("n") not in (None, 1) or isinstance(body.get("n"), bool):
        raise BadRequestError("Local models give one choice: leave `n` out or send 1.", param="n")
    for name in ("tools", "functions"):
        if body.get(name):
            raise BadRequestError(f"Local models have no tool calls: leave `{name}` out.", param=name)


def _messages(value: object) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise BadRequestError(
            "`messages` must be a non-empty array.", param="messages", code="missing_required_parameter"
        )
    return [_message(message, f"messages[{index}]") for index, message in enumerate(value)]


def _message(message: object, where: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise BadRequestError(f"`{where}` must be an object.", param=where)
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise BadRequestError(f"`{where}.role` must be one of {', '.join(_ROLES)}.", param=f"{where}.role")
    if message.get("tool_calls") or message.get("function_call"):
        raise BadRequestError("Local models have no tool calls.", param=f"{where}.tool_calls")
    return {"role": role, "content": _content(message.get("content"), f"{where}.content")}


def _content(content: object, where: str) -> str:
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts: list[str] = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "text":
            raise BadRequestError("Local models read text parts only.", param=where, code="unsupported_value")
        texts.append(fields.text(part.get("text"), where))
    return "\n".join(texts)


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, low, high in _NUMBERS:
        if (value := fields.number(body, name, low, high)) is not None:
            options[name] = value
    limits = [fields.integer(body, name, 1) for name in ("max_tokens", "max_completion_tokens")]
    if given := [limit for limit in limits if limit is not None]:
        options["max_tokens"] = min(given)
    if (seed := fields.integer(body, "seed", -(2**63))) is not None:
        options["seed"] = seed
    if stop := _stop(body.get("stop")):
        options["stop"] = stop
    if fields.flag(body, "logprobs"):
        options["logprobs"] = True
        options["top_logprobs"] = fields.integer(body, "top_logprobs", 0, 20) or 0
    return options


def _stop(value: object) -> list[str]:
    sequences = [value] if isinstance(value, str) else value or []
    if (
        not isinstance(sequences, list)
        or len(sequences) > 4  # OpenAI's limit
        or not all(isinstance(stop, str) and stop for stop in sequences)
    ):
        raise BadRequestError("`stop` must be a non-empty string or an array of up to 4 of them.", param="stop")
    return sequences


def _schema(response_format: object) -> dict[str, Any] | None:
    where = "response_format"
    if response_format is None:
        return None
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if not isinstance(response_format, dict) or kind not in ("text", "json_object", "json_schema"):
        raise BadRequestError("`response_format.type` must be text, json_object or json_schema.", param=where)
    if kind != "json_schema":
        return None if kind == "text" else {}
    wrapper = response_format.get("json_schema")
    schema = wrapper.get("schema") if isinstance(wrapper, dict) else None
    if not isinstance(schema, dict) or not schema:
        raise BadRequestError("`response_format.json_schema.schema` must be a non-empty object.", param=where)
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARS:
        raise BadRequestError(f"The JSON schema is longer than {MAX_SCHEMA_CHARS} characters.", param=where)
    return schema


def _head(request: ChatRequest, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": request.model}


async def complete(request: ChatRequest, pieces: AsyncGenerator[Piece, None]) -> dict[str, Any]:
    """The whole answer as a `chat.completion`. Raises what the pieces raise."""
    text: list[str] = []
    logprobs: list[dict[str, Any]] = []
    finish_reason: FinishReason | None = None
    usage: dict[str, Any] | None = None
    async with aclosing(pieces):
        async for piece in pieces:
            text.append(piece.text)
            logprobs += piece.logprobs or []
            finish_reason = piece.finish_reason or finish_reason
            usage = piece.usage or usage
    if finish_reason is None:
        raise EngineFailedError("The model ended its answer without finishing it.")
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(text), "refusal": None},
        "logprobs": {"content": logprobs, "refusal": None} if logprobs else None,
        "finish_reason": finish_reason,
    }
    return {**_head(request, "chat.completion"), "choices": [choice], "usage": usage}


async def stream(request: ChatRequest, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[bytes, None]:
    """The answer as server-sent events, each piece at once, ended by `[DONE]`.

    An error before the first event is raised, so that it can still become an HTTP status; a later one is an event.
    """
    head = _head(request, "chat.completion.chunk")
    opened = finished = False
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if not opened:
                    yield _chunk(request, head, {"role": "assistant", "content": ""})
                    opened = True
                if piece.text or piece.logprobs:
                    yield _chunk(request, head, {"content": piece.text}, logprobs=piece.logprobs)
                if piece.finish_reason:
                    yield _chunk(request, head, {}, finish_reason=piece.finish_reason)
                    finished = True
                if piece.usage and request.include_usage:
                    yield _event({**head, "choices": [], "usage": piece.usage})
        if not finished:
            raise EngineFailedError("The model ended its answer without finishing it.")
    except ApiError as error:
        if not opened:
            raise
        yield _event(error.body())
    yield b"data: [DONE]\n\n"


def _chunk(
    request: ChatRequest,
    head: Mapping[str, Any],
    delta: Mapping[str, str],
    *,
    logprobs: list[dict[str, Any]] | None = None,
    finish_reason: FinishReason | None = None,
) -> bytes:
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": {"content": logprobs, "refusal": None} if logprobs else None,
        "finish_reason": finish_reason,
    }
    usage = {"usage": None} if request.include_usage else {}
    return _event({**head, "choices": [choice], **usage})


def _event(payload: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
