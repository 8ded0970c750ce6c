"""Request headers that steer a call, and answer headers that tell of it."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from aig.call import Options, Receipt
from aig.errors import InvalidRequest
from aig.http.errors import rate_headers
from aig.ids import Ids
from aig.keys import Caller
from aig.money.units import usd
from aig.records import Operation, Recording

TRACE_KEY = "aig.trace_id"  # in the ASGI scope
_TRACE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TAG = re.compile(r"(?!.*\.\.)[A-Za-z0-9._:/@-]{1,128}")
_SESSION = re.compile(r"[\x21-\x7e]{1,128}")
TAG_FORM = "1 to 128 letters, digits and . _ : / @ - without two dots in a row"


def is_tag(text: str) -> bool:
    """Whether costs may be attributed to it: `TAG_FORM`."""
    return _TAG.fullmatch(text) is not None


def trace_id(sent: str | None, ids: Ids) -> str:
    """The client's x-request-id if it may be echoed, else one of ours."""
    return sent if sent and _TRACE_ID.fullmatch(sent) else ids.new("req")


def _choice(request: Request, name: str, allowed: tuple[str, ...]) -> str:
    value = request.headers.get(name, "auto").strip().lower()
    if value not in allowed:
        raise InvalidRequest(f"{name} must be one of {', '.join(allowed)}.", param=name)
    return value


def call_options(
    request: Request, caller: Caller, operation: Operation, body: Mapping[str, Any], *, streamed: bool = False
) -> Options:
    """Raises InvalidRequest for a header that cannot mean anything.

    Of the body the request's record holds nothing where the request, or the account, keeps it out.
    """
    tag = request.headers.get("x-aig-tag", "")
    if tag and not is_tag(tag):
        raise InvalidRequest(f"x-aig-tag takes {TAG_FORM}.", param="x-aig-tag")
    session = request.headers.get("x-sandbox-id", "")
    if session and not _SESSION.fullmatch(session):
        raise InvalidRequest("x-sandbox-id takes 1 to 128 printable ASCII characters.", param="x-sandbox-id")
    retain = request.headers.get("x-aig-retain", "full").strip().lower()
    if retain not in ("full", "none"):
        raise InvalidRequest("x-aig-retain must be full or none.", param="x-aig-retain")
    kept = body if retain == "full" and caller.retain else None
    trace = request.scope[TRACE_KEY]
    return Options(
        trace_id=trace,
        request_id=None if trace == request.headers.get("x-request-id") else trace,
        tag=tag or None,
        cache=_choice(request, "x-cache", ("auto", "force", "skip")),  # type: ignore[arg-type]
        routing=_choice(request, "x-routing", ("auto", "cost", "speed", "quality")),  # type: ignore[arg-type]
        session=session,
        recording=Recording(operation, streamed, kept),
    )


def receipt_headers(receipt: Receipt) -> dict[str, str]:
    """What every metered answer carries; a stream's cost is known at its end only, so its head has none."""
    headers = {
        "x-aig-model": receipt.model,
        "x-aig-provider": receipt.provider,
        "x-aig-attempts": str(receipt.attempts),
        "x-cache": receipt.cache,
    }
    if receipt.rate is not None:
        headers |= rate_headers(receipt.rate)
    if receipt.cost is not None:
        headers["x-aig-cost"] = usd(receipt.cost)
    return headers
