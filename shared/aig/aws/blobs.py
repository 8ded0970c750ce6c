"""Objects of a bucket: whole bodies in and out of S3, by the same light client as DynamoDB's."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from urllib.parse import quote

from yarl import URL

from aig.aws import http1
from aig.aws.sigv4 import Credentials, presign_object, sign_object

_CONNECT_S, _TOTAL_S = 2.0, 10.0
_ATTEMPTS = 3
_BACKOFF_S = 0.1


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
        status, body = await self._call("GET", key, b"")
        if status == 404:
            return None
        if status != 200:
            raise BlobError(str(status))
        return body

    async def put(self, key: str, data: bytes) -> None:
        """Raises BlobError."""
        status, _ = await self._call("PUT", key, data)
        if status != 200:
            raise BlobError(str(status))

    def upload_link(self, key: str, seconds: int, size: int) -> str:
        """A URL that lets anybody PUT exactly `size` bytes until so many seconds have passed."""
        return self._link("PUT", key, seconds, {"content-length": str(size)}, {})

    def download_link(self, key: str, seconds: int, media_type: str, method: str = "GET") -> str:
        """A URL that lets anybody GET, or HEAD, the object, as of that type, until so many seconds have passed."""
        return self._link(method, key, seconds, {}, {"response-content-type": media_type})

    def _link(self, method: str, key: str, seconds: int, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        path = self._root + quote(key, safe="/-_.~")
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = presign_object(
            self._credentials, self._region, method, self._host, path, timestamp, seconds, headers, query
        )
        return f"{self._origin}{path}?{signed}"

    async def _call(self, method: str, key: str, payload: bytes) -> tuple[int, bytes]:
        attempt = 1
        while True:
            try:
                status, body = await self._http.exchange(self._request(method, key, payload))
            except http1.UnreachableError as error:
                if attempt == _ATTEMPTS:
                    raise BlobError(str(error)) from error
            else:
                if status < 500 or attempt == _ATTEMPTS:
                    return status, body
            await asyncio.sleep(_BACKOFF_S * attempt * secrets.randbelow(1000) / 1000)
            attempt += 1

    def _request(self, method: str, key: str, payload: bytes) -> bytes:
        path = self._root + quote(key, safe="/-_.~")
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = sign_object(self._credentials, self._region, method, self._host, path, payload, timestamp)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        return f"{method} {path} HTTP/1.1\r\n{lines}content-length: {len(payload)}\r\n\r\n".encode() + payload
