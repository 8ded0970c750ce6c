"""A JSON object as an answer, as compact as it can be written."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response


class JsonAnswer(Response):
    media_type = "application/json"

    def __init__(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(to_json(body, inf_nan_mode="null"), headers=headers)
