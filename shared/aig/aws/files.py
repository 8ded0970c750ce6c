"""Files in a bucket of their own, which forgets them:

  uploads/<tenant>/<upload id>    what a client puts there before it is asked about, for a day
  media/<tenant>/<file name>      what models made, for eight days: no link lasts longer than seven
"""

from aig.aws.blobs import Bucket

UPLOAD_S = 15 * 60
DOWNLOAD_S = 5 * 60


class S3Files:
    """A tenant is the one that the key stands for, never one that a request names."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def close(self) -> None:
        await self._bucket.close()

    def upload_link(self, account_id: str, upload_id: str, size: int) -> str:
        """Where exactly `size` bytes may be PUT in the next quarter of an hour."""
        return self._bucket.link("PUT", f"uploads/{account_id}/{upload_id}", UPLOAD_S, {"content-length": str(size)})

    async def upload(self, account_id: str, upload_id: str) -> bytes | None:
        """What was put there. Raises BlobError."""
        return await self._bucket.get(f"uploads/{account_id}/{upload_id}")

    async def keep(self, account_id: str, name: str, data: bytes) -> str:
        """The path of a file that is kept for links. Raises BlobError."""
        await self._bucket.put(f"media/{account_id}/{name}", data)
        return f"{account_id}/{name}"

    def download_link(self, path: str, media_type: str) -> str:
        """A URL of S3 for the next minutes, which tells a browser what it is."""
        return self._bucket.link("GET", f"media/{path}", DOWNLOAD_S)
