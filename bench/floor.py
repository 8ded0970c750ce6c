"""The floor: what anybody writes first. FastAPI in front, httpx behind; no keys, no parsing, no money."""

import contextlib
import os
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

_UPSTREAM = os.environ["BENCH_UPSTREAM"]
_HEADERS = {"content-type": "application/json"}

client = httpx.AsyncClient(timeout=60)


@contextlib.asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await client.aclose()


app = FastAPI(lifespan=_lifespan)


@app.post("/v1/chat/completions")
async def create_chat_completion(request: Request) -> Response:
    """The upstream's answer, unread."""
    body = await request.body()
    if b'"stream":true' in body:
        return await _stream(body)
    answer = await client.post(_UPSTREAM, content=body, headers=_HEADERS)
    return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])


async def _stream(body: bytes) -> Response:
    answer = await client.send(client.build_request("POST", _UPSTREAM, content=body, headers=_HEADERS), stream=True)

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        finally:
            await answer.aclose()

    return StreamingResponse(pieces(), answer.status_code, media_type=answer.headers["content-type"])
