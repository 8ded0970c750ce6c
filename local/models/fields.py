"""Reading and checking the fields of a request; every refusal is a `BadRequestError` that names the field."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette.requests import Request

from local.models.errors import BadRequestError


async def json_object(request: Request) -> dict[str, Any]:
    """The body of a request as a JSON object."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        body: object = json.loads(await request.body(), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(body, dict):
        raise BadRequestError("The body must be a JSON object.")
    return body


def model(body: Mapping[str, Any]) -> str:
    """The name of the wanted model."""
    value = body.get("model")
    if not isinstance(value, str) or not value:
        raise BadRequestError("`model` is required.", param="model", code="missing_required_parameter")
    return value


def text(value: object, where: str) -> str:
    """A string that UTF-8, and so a tokenizer, can take: JSON can also spell half a surrogate pair."""
    if not isinstance(value, str):
        raise BadRequestError(f"`{where}` must be a string.", param=where)
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise BadRequestError(f"`{where}` is not valid Unicode text.", param=where)
    return value


def integer(body: Mapping[str, Any], name: str, low: int, high: int = 2**63 - 1) -> int | None:
    """An integer in these bounds, None when absent."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadRequestError(f"`{name}` must be an integer from {low} to {high}.", param=name)
    return value


def number(body: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    """A number in these bounds, None when absent."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadRequestError(f"`{name}` must be a number from {low} to {high}.", param=name)
    return value


def flag(body: Mapping[str, Any], name: str) -> bool:
    """True or false, false when absent."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"`{name}` must be true or false.", param=name)
    return bool(value)


def texts(body: Mapping[str, Any], name: str, most: int) -> list[str]:
    """A non-empty string, or an array of 1 to `most` of them, as a list."""
    value = body.get(name)
    if value is None:
        raise BadRequestError(f"`{name}` is required.", param=name, code="missing_required_parameter")
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not 1 <= len(items) <= most:
        raise BadRequestError(f"`{name}` must be a string or an array of 1 to {most} strings.", param=name)
    wheres = [name] if isinstance(value, str) else [f"{name}[{index}]" for index in range(len(items))]
    for item, where in zip(items, wheres, strict=True):
        if not text(item, where).strip():
            raise BadRequestError(f"`{where}` is empty.", param=where)
    return items
