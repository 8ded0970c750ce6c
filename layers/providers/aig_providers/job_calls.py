"""What adapters of jobs have in common: how a job is followed and stopped, and what of its answers may be trusted."""

import re
from collections.abc import Container, Mapping, Sequence
from math import ceil
from typing import Any, Literal
from urllib.parse import urlsplit

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.job import Finished, Handle, Linked, Working
from aig.modalities.public_url import public_host
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.job_results import credits_told
from aig_providers.shapes import string
from aig_providers.wire import HttpRequest, Post, ReadDetail, common_detail

# Queues answer 201 and 202 for what is made or will be, and 204 for what is gone.
ACCEPTED = (200, 201, 202, 204)
# What says of a job that is to be stopped that there is nothing left to stop.
_OVER = frozenset({400, 404, 409, 410})
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,199}")


def call(upstream: Upstream, path: str, method: Literal["GET", "POST", "PUT", "DELETE"] = "GET") -> HttpRequest:
    """A request without a body, with the key as a bearer's."""
    headers = {"Authorization": f"Bearer {upstream.api_key}"} if upstream.api_key else {}
    return HttpRequest(f"{upstream.base_url.rstrip('/')}/{path}", headers, b"", method)


async def submitted(
    post: Post,
    http: HttpRequest,
    upstream: Upstream,
    read_detail: ReadDetail = common_detail,
    *,
    of_the_key: Container[int] = (),
) -> bytes:
    """What is said of a job that was taken on. Raises UpstreamError.

    `of_the_key` are statuses, such as 403, that this provider refuses nothing but keys and accounts with.
    """
    try:
        return await wire.exchange(post, http, upstream, read_detail, expected=ACCEPTED)
    except UpstreamError as error:
        if error.status not in of_the_key:
            raise
        raise UpstreamError("auth", status=error.status) from None


async def followed(post: Post, http: HttpRequest, upstream: Upstream, read_detail: ReadDetail = common_detail) -> bytes:
    """How a job goes. Raises UpstreamError, never of kind rejected: here nothing of the client's is judged."""
    try:
        return await wire.exchange(post, http, upstream, read_detail, expected=ACCEPTED)
    except UpstreamError as error:
        if error.kind != "rejected":
            raise
        kind: UpstreamKind = "auth" if error.status == 403 else "unavailable"
        raise UpstreamError(kind, status=error.status) from None


async def stopped(post: Post, http: HttpRequest, upstream: Upstream, read_detail: ReadDetail = common_detail) -> None:
    """Raises UpstreamError, but not for a job that is over already, or that nobody knows."""
    try:
        await wire.exchange(post, http, upstream, read_detail, expected=ACCEPTED)
    except UpstreamError as error:
        if error.status not in _OVER:
            raise


def job_id(value: Any) -> str:
    """A job's name as it goes into a path. Raises TypeError or ValueError for what could lead elsewhere."""
    if not _ID.fullmatch(string(value)) or ".." in value:
        raise ValueError("id")
    return string(value)


def is_home(upstream: Upstream, url: str) -> bool:
    """Whether a URL leads to where the key belongs: to the origin of the base URL."""
    here, there = urlsplit(upstream.base_url), urlsplit(url)
    return (there.scheme, there.netloc) == (here.scheme, here.netloc)


def file_url(upstream: Upstream, value: Any) -> str:
    """Where a file is: over https at a public host, or at the provider's own. Raises TypeError or ValueError."""
    url = string(value)
    if not is_home(upstream, url):
        public_host(url)
    return url


def files(upstream: Upstream, urls: Sequence[Any], headers: Mapping[str, str] | None = None) -> Sequence[Linked]:
    """Raises TypeError or ValueError, also for none. `headers` hold a key, and go to the provider's own host only."""
    if not urls:
        raise ValueError("files")
    each = [file_url(upstream, url) for url in urls]
    return [Linked(url, headers or {} if is_home(upstream, url) else {}) for url in each]


def table(value: Any) -> Mapping[str, Any]:
    """An object of an answer; an empty one where there is none."""
    return value if isinstance(value, Mapping) else {}


def working(handle: Handle, progress: Any = None) -> Working:
    """`progress` is what the provider says, from 0 to 100; what is no such number is left out."""
    told = type(progress) in (int, float) and 0 <= progress <= 100
    return Working(handle, int(progress) if told else None)


def seconds_used(handle: Handle, told: Any = None, resolution: Any = None) -> Usage:
    """The seconds that the provider tells, or else those that it was asked for; the resolution is a tier of prices."""
    tier = resolution if isinstance(resolution, str) else handle.get("resolution")
    if type(told) in (int, float) and 0 < told <= 3600:
        return Usage({"seconds": ceil(told)}, service_tier=tier)
    return Usage({"seconds": handle["seconds"]}, estimated=True, service_tier=tier)


def credits_used(upstream: Upstream, handle: Handle, told: Any) -> Usage:
    """The credits that the provider tells, or else what the seconds that it was asked for cost."""
    asked = {"seconds": handle["seconds"], "assets": 1}
    estimate = sum(each * asked.get(unit, 0) for unit, each in upstream.credits.items())
    return credits_told(told) or Usage({"credits": estimate}, estimated=True)


def finished(upstream: Upstream, urls: Sequence[Any], usage: Usage) -> Finished:
    """Raises UpstreamError for a job that is said to be done and has no file that may be fetched."""
    try:
        return Finished(files(upstream, urls), usage)
    except (TypeError, ValueError):
        raise UpstreamError("malformed", usage=usage) from None
