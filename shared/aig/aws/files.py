"""Files in a bucket of their own, which forgets them:

  uploads/<tenant>/<upload id>    what a client puts there before it is asked about, for a day
  media/<tenant>/<file name>      what models made, to the night after seven days: no link lasts longer
  media/<tenant>/<job id>/<name>  what jobs made, for as long

A tenant is the one that the key stands for, never one that a request names.
"""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from aig.aws import multipart
from aig.aws.blobs import BlobError, Bucket
from aig.links import result_path
from aig.modalities.media.kinds import MEDIA_TYPES, UNKNOWN
from aig.ports import StoreBusy

UPLOAD_S = 15 * 60
UPLOAD_READ_S = 3600
DOWNLOAD_S = 5 * 60
_LONGEST_NAME = 150
# Of what a browser shows or plays; anything else it puts into a file.
_SHOWN = ("audio/", "image/", "video/")


class S3Files:
    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def close(self) -> None:
        await self._bucket.close()

    def upload_link(self, account_id: str, upload_id: str, size: int) -> str:
        """Where exactly `size` bytes may be PUT in the next quarter of an hour."""
        return self._bucket.upload_link(f"uploads/{account_id}/{upload_id}", UPLOAD_S, size)

    async def upload(self, account_id: str, upload_id: str) -> bytes | None:
        """What was put there. Raises StoreBusy."""
        try:
            return await self._bucket.get(f"uploads/{account_id}/{upload_id}")
        except BlobError as error:
            raise StoreBusy from error

    async def keep_upload(self, account_id: str, upload_id: str, data: bytes) -> None:
        """What came with a request, and is needed when it is worked on. Raises StoreBusy."""
        try:
            await self._bucket.put(f"uploads/{account_id}/{upload_id}", data)
        except BlobError as error:
            raise StoreBusy from error

    def upload_reading_link(self, account_id: str, upload_id: str) -> str:
        """A URL of S3 where a provider may fetch an upload within an hour."""
        key = f"uploads/{account_id}/{upload_id}"
        return self._bucket.download_link(key, UPLOAD_READ_S, "application/octet-stream")

    async def keep(self, account_id: str, name: str, data: bytes) -> str:
        """The path of a file that is kept for links. Raises StoreBusy."""
        try:
            await self._bucket.put(f"media/{account_id}/{name}", data)
        except BlobError as error:
            raise StoreBusy from error
        return f"{account_id}/{name}"

    async def keep_result(
        self, account_id: str, job_id: str, name: str, pieces: AsyncIterator[bytes], media_type: str, most: int
    ) -> multipart.Written:
        """Keeps a file of a job's while it comes: whole, or not at all. Its path for links is that of `result_path`.

        Whatever was kept by that name before is there until then. Raises StoreBusy, multipart.ObjectRefused where it is
        empty or has more than `most` bytes, and what `pieces` raises.
        """
        key = f"media/{result_path(account_id, job_id, name)}"
        try:
            written = await multipart.write(self._bucket, key, pieces, media_type, most)
            size = await self._bucket.head(key)
        except BlobError as error:
            raise StoreBusy from error
        if size != written.size:  # nobody may be told that it is there
            raise StoreBusy
        return written

    async def result_there(self, account_id: str, job_id: str, name: str) -> int | None:
        """The size in bytes of a job's file, None once the bucket has forgotten it. Raises StoreBusy."""
        return await self.there(result_path(account_id, job_id, name))

    async def there(self, path: str) -> int | None:
        """The size in bytes of what a link's path leads to, None where that is nothing. Raises StoreBusy."""
        try:
            return await self._bucket.head(f"media/{path}")
        except BlobError as error:
            raise StoreBusy from error

    def download_link(self, path: str, method: str, name: str | None = None) -> str:
        """A URL of S3 for the next minutes, to be asked for with GET or HEAD. `name` is for whoever saves the file."""
        file = path.rpartition("/")[2]
        media_type = MEDIA_TYPES.get(file.rpartition(".")[2], UNKNOWN.media_type)
        shown = "inline" if media_type.startswith(_SHOWN) else "attachment"
        return self._bucket.download_link(
            f"media/{path}", DOWNLOAD_S, media_type, method, disposition(shown, name or file)
        )


def disposition(how: str, name: str) -> str:
    """A Content-Disposition with a name that leads out of no folder and ends no header (RFC 6266, RFC 8187)."""
    safe = re.sub(r"[\x00-\x1f\x7f/\\]", "_", name).lstrip(". ")[:_LONGEST_NAME] or "file"
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "_", safe)
    told = f'{how}; filename="{plain}"'
    return told if plain == safe else f"{told}; filename*=UTF-8''{quote(safe, safe='', errors='replace')}"
