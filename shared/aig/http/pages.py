"""Lists as every endpoint answers them: newest first, in pages of `limit`, the next one behind `after`."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aig.errors import InvalidRequest
from aig.http.json_answer import JsonAnswer
from aig.http.reference import query

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
_LIMIT = re.compile(r"[0-9]{1,4}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)

PARAMETERS = (
    query("limit", f"How many at most: 1 to {MAX_LIMIT}, {DEFAULT_LIMIT} if left out."),
    query("after", "The `last_id` of the page before."),
)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    limit: int
    after: str | None


def is_id(text: str) -> bool:
    """Whether a path's last part can be the id of anything."""
    return _ID.fullmatch(text) is not None


def requested(request: Request) -> Page:
    """Raises InvalidRequest."""
    limit, after = request.query_params.get("limit", str(DEFAULT_LIMIT)), request.query_params.get("after")
    if not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= MAX_LIMIT:
        raise InvalidRequest(f"limit is a whole number from 1 to {MAX_LIMIT}.", param="limit")
    if after is not None and not is_id(after):
        raise InvalidRequest("after is the last_id of the page before.", param="after")
    return Page(int(limit), after)


def check_known(request: Request, known: Collection[str]) -> None:
    """Raises InvalidRequest for a query parameter that is none here: what it was to narrow would come in full."""
    for name in request.query_params:
        if name not in known:
            raise InvalidRequest(
                f"There is no query parameter {name[:50]!r} here: {', '.join(known)}.", param=name[:50]
            )


def list_body(
    data: Sequence[dict[str, Any]], *, has_more: bool = False, name: str = "id", last_id: str | None = None
) -> dict[str, Any]:
    """`name` is the field that identifies an entry; `last_id` where the next page begins, if not behind the last."""
    first, last = (data[0][name], data[-1][name]) if data else (None, None)
    return {"object": "list", "data": data, "has_more": has_more, "first_id": first, "last_id": last_id or last}


def list_answer(
    data: Sequence[dict[str, Any]], *, has_more: bool = False, name: str = "id", last_id: str | None = None
) -> Response:
    return JsonAnswer(list_body(data, has_more=has_more, name=name, last_id=last_id))
