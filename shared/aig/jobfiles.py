"""A job's files: the picture that it begins with, and the results that it ends with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aig.errors import UpstreamError
from aig.jobs.job import File, Job
from aig.jobs.kinds import RESULTS, file_name
from aig.modalities import image_header
from aig.modalities.files import Picture
from aig.modalities.job import Source
from aig.modalities.media.kinds import sniffed
from aig.modalities.upstream import Upstream
from aig.ports import StoreBusy

T = TypeVar("T")

MOST_BYTES = 2 * 1024**3
INSIST_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # between tries to keep what a provider has been paid for


class ResultLost(Exception):
    """A result that is there could not be had, or kept: worth another try, whose poll tells where it is anew."""


class Opened(Protocol):
    """A file on its way: what its first bytes are, and all of them."""

    @property
    def head(self) -> bytes: ...

    @property
    def pieces(self) -> AsyncIterator[bytes]: ...


class Written(Protocol):
    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str: ...


class Results(Protocol):
    """Where files come from. Raises UpstreamError."""

    def open(self, upstream: Upstream, source: Source) -> AbstractAsyncContextManager[Opened]: ...


class ResultFiles(Protocol):
    """Where files are kept. All raise StoreBusy."""

    async def keep_result(
        self, account_id: str, job_id: str, name: str, pieces: AsyncIterator[bytes], media_type: str, most: int
    ) -> Written:
        """Raises ValueError for a file that is empty or too large, and what `pieces` raises."""
        ...

    async def upload(self, account_id: str, upload_id: str) -> bytes | None: ...

    def upload_reading_link(self, account_id: str, upload_id: str) -> str: ...


async def insist(waits: Sequence[float], work: Callable[[], Awaitable[T]]) -> T:
    """What a provider has been paid for is worth more patience than a step. Raises StoreBusy in the end."""
    for wait in waits:
        try:
            return await work()
        except StoreBusy:
            await asyncio.sleep(wait)
    return await work()


async def picture_of(job: Job, files: ResultFiles) -> tuple[Picture, str] | None:
    """The picture that lies beside a job, and where a provider may fetch it. Raises StoreBusy."""
    order = job.order
    data = await files.upload(order.account_id, order.id)
    if data is None:
        return None
    header = image_header.read(data)
    picture = Picture(data, header.media_type, header.width, header.height)
    return picture, files.upload_reading_link(order.account_id, order.id)


@dataclass(frozen=True, slots=True)
class JobFiles:
    """Keeps results. `insist_s` are the waits between tries."""

    files: ResultFiles
    results: Results
    insist_s: Sequence[float] = INSIST_S

    async def keep(self, job: Job, upstream: Upstream, sources: Sequence[Source]) -> list[File] | None:
        """One after the other; None if one of them is no file of the kind. Raises ResultLost, StoreBusy."""
        kept: list[File] = []
        for at, source in enumerate(sources):
            file = await self._kept(job, at, upstream, source)
            if file is None:
                return None
            kept.append(file)
        return kept

    async def _kept(self, job: Job, at: int, upstream: Upstream, source: Source) -> File | None:
        """None for what is none, or no file of the kind that was asked for. Raises ResultLost, StoreBusy."""
        for wait in (*self.insist_s, None):
            try:
                async with self.results.open(upstream, source) as opened:
                    return await self._file(job, at, opened)
            except ValueError:  # it is empty, or too large
                return None
            except StoreBusy:
                if wait is None:
                    raise
            except UpstreamError as error:
                if error.kind == "malformed" and error.status is None:  # no try will be better
                    return None
                if wait is None:
                    raise ResultLost(error.kind) from None
            await asyncio.sleep(wait)
        raise AssertionError("the last try has returned, or raised")

    async def _file(self, job: Job, at: int, opened: Opened) -> File | None:
        """Raises StoreBusy, ValueError, and what its pieces raise."""
        kind = sniffed(opened.head)
        if kind is None or not kind.media_type.startswith(RESULTS[job.order.kind].types):
            return None
        order, name = job.order, file_name(job.order.kind, at, kind.ending)
        written = await self.files.keep_result(
            order.account_id, order.id, name, opened.pieces, kind.media_type, MOST_BYTES
        )
        return File(name, kind.media_type, written.size, written.sha256)
