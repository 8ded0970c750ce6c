"""Objects of a bucket: whole bodies in and out of S3, by the same light client as DynamoDB's.

What is too large for that is written by aig.aws.multipart.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from urllib.parse import quote

from yarl import URL

from aig.aws import http1
from aig.aws.sigv4 import Credentials, canonical_query, presign_object, sign_object

_CONNECT_S, _TOTAL_S = 2.0, 10.0
_ATTEMPTS = 3
_BACKOFF_S = 0.1
_NOTHING: Mapping[str, str] = {}


class BlobError(Exception):
    """S3 did not do it, after as many tries as help."""


class Bucket:
    """One bucket, addressed by its host name, or by the path at an `endpoint` of one's own, which has one name only."""

    def __init__(self, name: str, region: str, credentials: Credentials, endpoint: str | None = None) -> None:
        self._region = region
        self._credentials = credentials
        url = URL(endpoint or f"https://{name}.s3.{region}.amazonaws.com")
        self._root = f"/{name}/" if endpoint else "/"
        port = "" if url.is_default_port() else f":{url.port}"
        self._host = f"{url.host}{port}"
        self._origin = f"{url.scheme}://{self._host}"
        self._http = http1.Client(url, _CONNECT_S, _TOTAL_S)

    async def close(self) -> None:
        await self._http.close()

    async def get(self, key: str) -> bytes | None:
        """None if there is no such object. Raises BlobError."""
        answer = await self.call("GET", key)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise BlobError(str(answer.status))
        return answer.body

    async def head(self, key: str) -> int | None:
        """The size of an object in bytes, None if there is none. Raises BlobError."""
        # One byte and not a HEAD, whose answer tells of a body that does not come.
        answer = await self.call("GET", key, headers={"range": "bytes=0-0"})
        if answer.status == 404:
            return None
        size = answer.headers.get(b"content-range", b"").rpartition(b"/")[2]
        if answer.status == 206 and size.isdigit():
            return int(size)
        if answer.status == 416:  # there is no first byte
            return 0
        raise BlobError(str(answer.status))

    async def put(self, key: str, data: bytes, media_type: str | None = None) -> None:
        """Raises BlobError."""
        answer = await self.call("PUT", key, data, headers={"content-type": media_type} if media_type else _NOTHING)
        if answer.status != 200:
            raise BlobError(str(answer.status))

    async def delete(self, key: str) -> None:
        """Also where there is none. Raises BlobError."""
        answer = await self.call("DELETE", key)
        if answer.status not in (200, 204, 404):
            raise BlobError(str(answer.status))

    def upload_link(self, key: str, seconds: int, size: int) -> str:
        """A URL that lets anybody PUT exactly `size` bytes until so many seconds have passed."""
        return self._link("PUT", key, seconds, {"content-length": str(size)}, {})

    def download_link(
        self, key: str, seconds: int, media_type: str, method: str = "GET", disposition: str | None = None
    ) -> str:
        """A URL that lets anybody GET, or HEAD, the object until so many seconds have passed.

        It comes as of that type, and with that Content-Disposition.
        """
        told = {"response-content-type": media_type}
        if disposition is not None:
            told["response-content-disposition"] = disposition
        return self._link(method, key, seconds, {}, told)

    def _link(self, method: str, key: str, seconds: int, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        path = self._root + quote(key, safe="/-_.~")
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = presign_object(
            self._credentials, self._region, method, self._host, path, timestamp, seconds, headers, query
        )
        return f"{self._origin}{path}?{signed}"

    async def call(
        self,
        method: str,
        key: str,
        payload: bytes = b"",
        *,
        query: Mapping[str, str] = _NOTHING,
        headers: Mapping[str, str] = _NOTHING,
        seconds: float = _TOTAL_S,
    ) -> http1.Answer:
        """The answer, sought again where that may help, each time for so many seconds at most. Raises BlobError."""
        attempt = 1
        while True:
            try:
                answer = await self._http.answer(self._request(method, key, payload, query, headers), seconds)
            except http1.UnreachableError as error:
                if attempt == _ATTEMPTS:
                    raise BlobError(str(error)) from error
            else:
                if attempt == _ATTEMPTS or not _passes(method, answer):
                    return answer
            await asyncio.sleep(_BACKOFF_S * attempt * secrets.randbelow(1000) / 1000)
            attempt += 1

    def _request(
        self,
        method: str,
        key: str,
        payload: bytes,
        query: Mapping[str, str] = _NOTHING,
        headers: Mapping[str, str] = _NOTHING,
    ) -> bytes:
        path = self._root + quote(key, safe="/-_.~")
        text = canonical_query(query)
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = sign_object(
            self._credentials, self._region, method, self._host, path, payload, timestamp, text, headers
        )
        lines = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        target = f"{path}?{text}" if text else path
        return f"{method} {target} HTTP/1.1\r\n{lines}content-length: {len(payload)}\r\n\r\n".encode() + payload


def is_error(answer: http1.Answer) -> bool:
    """Whether a 200 is none: an upload is put together while S3 has begun to answer already."""
    return answer.status == 200 and b"<Error>" in answer.body


def _passes(method: str, answer: http1.Answer) -> bool:
    """Whether it is a failure that may be over the next time."""
    return answer.status >= 500 or (method == "POST" and is_error(answer))
