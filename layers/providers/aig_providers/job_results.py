"""What adapters of jobs share about their ends: files, credits, and providers that have the file at once."""

from math import ceil
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Handle, Linked, State
from aig.modalities.public_url import public_host
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers.shapes import number, string


def linked(value: Any) -> Linked:
    """A URL of an answer, to be fetched without a key. Raises TypeError or ValueError for what may not be fetched."""
    public_host(string(value))
    return Linked(string(value))


def credits_told(value: Any) -> Usage | None:
    """The provider's count, a started credit as a whole one. None where it tells none that could be one."""
    try:
        told = number(value)
    except TypeError:
        return None
    return Usage({"credits": ceil(told)}) if 0 <= told <= 1_000_000 else None


def credits_estimated(upstream: Upstream) -> Usage:
    """What one asset costs by the catalog."""
    return Usage({"credits": upstream.credits.get("assets", 0)}, estimated=True)


class AtOnce:
    """The half of a job's adapter that is never needed where `submit` brings the file itself."""

    idempotent = False

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        raise UpstreamError("rejected", status=404)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        """It is too late to stop anything."""
