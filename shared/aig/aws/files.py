"""Files in a bucket of their own, which forgets them:

  uploads/<tenant>/<upload id>    what a client puts there before it is asked about, for a day
  media/<tenant>/<file name>      what models made, for eight days: no link lasts longer than seven

A tenant is the one that the key stands for, never one that a request names.
"""

from aig.aws.blobs import BlobError, Bucket
from aig.ports import StoreBusy

UPLOAD_S = 15 * 60
DOWNLOAD_S = 5 * 60
# By the ending of a file's name. A browser shows what it is told, and nothing of ours is ever a page.
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


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

    async def keep(self, account_id: str, name: str, data: bytes) -> str:
        """The path of a file that is kept for links. Raises StoreBusy."""
        try:
            await self._bucket.put(f"media/{account_id}/{name}", data)
        except BlobError as error:
            raise StoreBusy from error
        return f"{account_id}/{name}"

    def download_link(self, path: str, method: str) -> str:
        """A URL of S3 for the next minutes, to be asked for with GET or HEAD."""
        media_type = MEDIA_TYPES.get(path.rpartition(".")[2], "application/octet-stream")
        return self._bucket.download_link(f"media/{path}", DOWNLOAD_S, media_type, method)
