"""Files in a bucket of their own, which forgets them:

  uploads/<tenant>/<upload id>    what a client puts there before it is asked about, for a day
  media/<tenant>/<file name>      what models made, for eight days: no link lasts longer than seven
  media/<tenant>/<job id>/<name>  what jobs made, for as long

A tenant is the one that the key stands for, never one that a request names.
"""

from collections.abc import AsyncIterator

from aig.aws import multipart
from aig.aws.blobs import BlobError, Bucket
from aig.ports import StoreBusy

UPLOAD_S = 15 * 60
UPLOAD_READ_S = 3600
DOWNLOAD_S = 5 * 60
# By the ending of a file's name. A browser shows what it is told, and nothing of ours is ever a page.
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


def result_path(account_id: str, job_id: str, name: str) -> str:
    """What the link to a job's file is signed for."""
    return f"{account_id}/{job_id}/{name}"


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
        try:
            return await self._bucket.head(f"media/{result_path(account_id, job_id, name)}")
        except BlobError as error:
            raise StoreBusy from error

    def download_link(self, path: str, method: str) -> str:
        """A URL of S3 for the next minutes, to be asked for with GET or HEAD."""
        media_type = MEDIA_TYPES.get(path.rpartition(".")[2], "application/octet-stream")
        return self._bucket.download_link(f"media/{path}", DOWNLOAD_S, media_type, method)
