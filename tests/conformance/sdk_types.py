"""SDKs' own types as judges of what we send: anything they do not know, or know otherwise, is an error."""

import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from anthropic.types import message_create_params
from google.genai import types as genai
from pydantic import BaseModel, ConfigDict, TypeAdapter
from typing_extensions import is_typeddict

# Models since Opus 4.7 refuse them, and the SDK of today does not list them any more.
_OLDER_MODELS_ONLY = ("temperature", "top_p", "top_k")


@cache
def _anthropic() -> TypeAdapter[Any]:
    """Kept alive: what it validates lazily is validated with it. Its types let unknown fields pass unless told."""
    for module in [module for name, module in sys.modules.items() if name.startswith("anthropic.types")]:
        for kind in vars(module).values():
            if is_typeddict(kind):
                kind.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return TypeAdapter(message_create_params.MessageCreateParamsNonStreaming)


def _walk(value: Any) -> Any:
    """Iterables are validated when they are read, so all are read to their end."""
    if isinstance(value, Mapping):
        return {key: _walk(entry) for key, entry in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | BaseModel):
        return [_walk(entry) for entry in value]
    return value


def check_anthropic(body: Mapping[str, Any]) -> None:
    """Raises pydantic's ValidationError."""
    sent = {name: value for name, value in body.items() if name not in {"stream", *_OLDER_MODELS_ONLY}}
    assert _walk(_anthropic().validate_python(sent)) == sent


_CONFIG_ELSEWHERE = {"tools", "toolConfig", "systemInstruction", "safetySettings", "serviceTier"}


def check_google(body: Mapping[str, Any]) -> None:
    """genai's models forbid what they do not know. Raises pydantic's ValidationError."""
    for content in body["contents"]:
        genai.Content.model_validate(content)
    config = {name: value for name, value in body.items() if name in _CONFIG_ELSEWHERE} | dict(body["generationConfig"])
    genai.GenerateContentConfig.model_validate(config)
    unknown = body.keys() - _CONFIG_ELSEWHERE - {"contents", "generationConfig"}
    assert not unknown, unknown
