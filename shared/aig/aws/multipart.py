"""Objects written while they come: no more of one than a part is held, and nothing of it can be seen before its end.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

import hashlib
import html
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from aig.aws.blobs import BlobError, Bucket, is_error

PART_BYTES = 8 * 1024 * 1024  # S3 takes 10 000 parts, and none but the last under 5 MiB
_PART_S = 60.0
_COMPLETE_S = 120.0
_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")


class ObjectRefused(ValueError):
    """What came is not to be kept."""


class ObjectTooLarge(ObjectRefused):
    """There is more of it than was allowed."""


class ObjectEmpty(ObjectRefused):
    """There is nothing of it."""


@dataclass(frozen=True, slots=True)
class Written:
    """`size` in bytes, `sha256` in hexadecimal digits."""

    size: int
    sha256: str


class _Upload:
    """The parts of one object so far. There is no upload to S3 before there is more than one part."""

    def __init__(self, bucket: Bucket, key: str, media_type: str) -> None:
        self._bucket = bucket
        self._key = key
        self._media_type = media_type
        self._upload_id = ""
        self._tags: list[str] = []

    async def part(self, data: bytes) -> None:
        if not self._upload_id:
            await self._create()
        query = {"partNumber": str(len(self._tags) + 1), "uploadId": self._upload_id}
        answer = await self._bucket.call("PUT", self._key, data, query=query, seconds=_PART_S)
        tag = answer.headers.get(b"etag")
        if answer.status != 200 or tag is None:
            raise BlobError(str(answer.status))
        self._tags.append(tag.decode("ascii"))

    async def _create(self) -> None:
        headers = {"content-type": self._media_type}
        answer = await self._bucket.call("POST", self._key, query={"uploads": ""}, headers=headers)
        found = _UPLOAD_ID.search(answer.body)
        if answer.status != 200 or found is None:
            raise BlobError(str(answer.status))
        self._upload_id = html.unescape(found[1].decode())

    async def end(self, rest: bytes, size: int) -> None:
        """Makes the object of the parts and the rest, which is all of it where there are none."""
        if not self._upload_id:
            await self._bucket.put(self._key, rest, self._media_type)
            return
        await self.part(rest)
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(tag)}</ETag></Part>"
            for number, tag in enumerate(self._tags, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        query = {"uploadId": self._upload_id}
        answer = await self._bucket.call("POST", self._key, body, query=query, seconds=_COMPLETE_S)
        # No such upload: an attempt before this one has done it, and its answer was lost.
        done = answer.status == 200 or (answer.status == 404 and await self._bucket.head(self._key) == size)
        if not done or is_error(answer):
            raise BlobError(str(answer.status))

    async def abort(self) -> None:
        """Whatever cannot be aborted now, the bucket forgets by itself."""
        if self._upload_id:
            with suppress(BlobError):
                await self._bucket.call("DELETE", self._key, query={"uploadId": self._upload_id})


async def write(bucket: Bucket, key: str, pieces: AsyncIterator[bytes], media_type: str, most: int) -> Written:
    """Keeps what comes, at most `most` bytes of it; it is there when this returns, and otherwise what was there before.

    Raises BlobError, ObjectRefused, and what `pieces` raises.
    """
    upload = _Upload(bucket, key, media_type)
    digest, size, held = hashlib.sha256(), 0, bytearray()
    try:
        async for piece in pieces:
            size += len(piece)
            if size > most:
                raise ObjectTooLarge(f"it is larger than {most} bytes")
            digest.update(piece)
            held += piece
            while len(held) > PART_BYTES:
                await upload.part(bytes(held[:PART_BYTES]))
                del held[:PART_BYTES]
        if not size:
            raise ObjectEmpty("it is empty")
        await upload.end(bytes(held), size)
    except BaseException:  # a cancellation, too, must leave nothing behind
        await upload.abort()
        raise
    return Written(size, digest.hexdigest())
