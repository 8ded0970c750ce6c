"""The chat route's part of the OpenAPI document."""

from aig.http.reference import METERED_HEADERS, operation
from aig.modalities.chat_body import body_schema

COMPLETIONS = operation(
    "createChatCompletion",
    "Chat with a model, streamed or not",
    "chat",
    request={
        "schema": body_schema(),
        "example": {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]},
    },
    answer={
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1795305600,
        "model": "sandbox/echo",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "echo: hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": "0.00000525"},
    },
    errors=(400, 401, 402, 403, 404, 413, 415, 429, 502, 503, 504),
    parameters=METERED_HEADERS,
    also=("text/event-stream",),
)
