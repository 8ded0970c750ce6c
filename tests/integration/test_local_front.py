"""The HTTP front over real sockets: routes, limits, streaming, and what a broken request gets."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from local import http_server
from local.front import Asgi, Front, Limits, Message, Receive, Scope, Send
from local.functions import Environments, Handler
from local.template import Function, GatewayResponse, Route, Stack

ERROR = '{"error":{"message":$context.error.messageString,"type":"t","request_id":"$context.requestId"}}'
RESPONSES = {
    "DEFAULT_4XX": GatewayResponse(None, {"x-request-id": "context.requestId"}, ERROR),
    "DEFAULT_5XX": GatewayResponse(None, {}, ERROR),
    "MISSING_AUTHENTICATION_TOKEN": GatewayResponse(405, {"Allow": "'GET, POST'"}, None),
}
ROUTES = (
    Route("ANY", "/v1/chat", "Chat", streaming=True, timeout=900),
    Route("ANY", "/{proxy+}", "Rest", streaming=False, timeout=29),
    Route("ANY", "/", "Rest", streaming=False, timeout=29),
)
FUNCTIONS = {
    "Chat": Function("Chat", "run.sh", {}, 900, 1024),
    "Rest": Function("Rest", "rest.handler", {}, 29, 1024),
}
STACK = Stack(ROUTES, FUNCTIONS, (), (), (), (), (), (), (), RESPONSES, ("image/png",), "dev", {})


def echo(event: dict[str, Any], context: object) -> dict[str, Any]:
    return {"statusCode": 200, "body": json.dumps({"path": event["path"], "method": event["httpMethod"]})}


async def read(receive: Receive) -> bytes:
    message = await receive()
    assert message["more_body"] is False
    body: bytes = message["body"]
    return body


async def scope_echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what the app was given."""
    body = await read(receive)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    seen = {key: scope[key] for key in ("method", "path", "http_version", "scheme")}
    seen |= {"headers": headers, "length": len(body), "query": scope["query_string"].decode()}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


Started = Callable[..., Awaitable["Served"]]


class Served:
    """A running front; `url` is its address and `log` its lines."""

    def __init__(self, port: int, log: "asyncio.Queue[str]") -> None:
        self.port = port
        self.log = log
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20)

    async def raw(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which these bytes have been sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        await writer.drain()
        return reader, writer


@pytest.fixture
async def serve(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Started]:
    async with contextlib.AsyncExitStack() as cleanup:

        async def start(handler: Handler = echo, app: Asgi = scope_echo, limits: Limits | None = None) -> Served:
            environments = Environments("Rest", lambda: handler)
            cleanup.callback(environments.close)
            log: asyncio.Queue[str] = asyncio.Queue()
            ready = asyncio.Event()
            front = Front(
                STACK, {"Rest": environments}, {"Chat": app}, limits=limits, log=log.put_nowait, started=ready.set
            )
            server = http_server.server(front, RESPONSES)
            # The signals of the test run belong to pytest.
            monkeypatch.setattr(server, "capture_signals", contextlib.nullcontext)
            listener = cleanup.enter_context(http_server.listen(0))
            task = asyncio.create_task(server.serve(sockets=[listener]))
            served = Served(listener.getsockname()[1], log)

            async def stop() -> None:
                await served.client.aclose()
                server.should_exit = True
                await task

            cleanup.push_async_callback(stop)
            await ready.wait()
            return served

        yield start


async def test_unknown_paths_reach_the_catch_all(serve: Started) -> None:
    client = (await serve()).client
    for path in ("/nope", "/v1/chat/more", "/V1/chat", "/a%2Fb", "/%00", "/%2e%2e%2fx"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["path"]) == (200, path)


async def test_slashes_before_the_first_segment_lead_to_the_same_route(serve: Started) -> None:
    reader, writer = await (await serve()).raw(b"GET //v1/chat HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    assert b'"path": "/v1/chat"' in answer
    writer.close()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_any_method_reaches_the_function(serve: Started, method: str) -> None:
    client = (await serve()).client
    for path in ("/x", "/v1/chat"):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["method"]) == (200, method)


async def test_head_has_headers_and_no_body(serve: Started) -> None:
    client = (await serve()).client
    for path in ("/x", "/v1/chat"):
        answer = await client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND"])
async def test_other_methods_get_the_template_s_answer(serve: Started, method: str) -> None:
    client = (await serve()).client
    for path in ("/x", "/v1/chat"):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
        assert answer.json()["error"]["message"] == "Missing Authentication Token"
        assert answer.json()["error"]["request_id"] == answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize(
    "data",
    [
        b"NOT HTTP\r\n\r\n",
        b"FOO /x HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_not_http_gets_a_typed_400(serve: Started, data: bytes) -> None:
    served = await serve()
    reader, writer = await served.raw(data)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    error = json.loads(body)["error"]
    assert f"x-request-id: {error['request_id']}".encode() in head
    writer.close()


async def test_chunked_and_expect_continue_bodies_arrive_whole(serve: Started) -> None:
    served = await serve()
    chunked = b"POST /v1/chat HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    reader, writer = await served.raw(chunked + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert b'"length": 5' in await reader.read()
    writer.close()
    expect = (
        b"POST /v1/chat HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    )
    reader, writer = await served.raw(expect)
    assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
    writer.write(b"abcde")
    answer = await reader.read()
    assert b'"length": 5' in answer
    assert b'"expect"' not in answer
    writer.close()


async def test_a_client_that_leaves_before_its_body_is_complete_invokes_nothing(serve: Started) -> None:
    invoked = threading.Event()

    def handler(event: object, context: object) -> dict[str, Any]:
        invoked.set()
        return {}

    served = await serve(handler)
    _, writer = await served.raw(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nshort")
    writer.close()
    assert (await served.log.get()).startswith("POST /x 499")
    assert not invoked.is_set()


async def test_a_body_that_does_not_come_is_a_408(serve: Started) -> None:
    served = await serve(limits=Limits(body_seconds=0.05))
    reader, writer = await served.raw(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nshort")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


@pytest.mark.parametrize("path", ["/x", "/v1/chat"])
async def test_the_event_s_six_megabytes_count_as_json(serve: Started, path: str) -> None:
    client = (await serve()).client
    limit = Limits().event_bytes
    fits = await client.post(path, content=b"a" * (limit - 8 * 1024))
    assert fits.status_code == 200
    # Bytes, headers included; escapes; base64 of a binary type; beyond what API Gateway itself reads.
    png = {"content-type": "image/png"}
    for content, headers in (
        (b"a" * limit, {}),
        (b'"' * (limit // 2), {}),
        (b"\xff" * (limit * 3 // 4), png),
        (b"a" * (Limits().body_bytes + 1), {}),
    ):
        answer = await client.post(path, content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"]["request_id"]
    assert (await client.post(path, content=b"\xff" * (limit * 2 // 3), headers=png)).status_code == 200


async def test_headers_over_ten_kilobytes_are_refused(serve: Started) -> None:
    client = (await serve()).client
    assert (await client.get("/x", headers={"cookie": "a" * 9000})).status_code == 200
    assert (await client.get("/x", headers={"cookie": "a" * 10_240})).status_code == 431
    assert (await client.get("/x", params={"q": "a" * 10_240})).status_code == 431
    assert (await client.get("/v1/chat", headers=[("x-a", "12345678")] * 2000)).status_code == 431


async def test_a_slow_function_is_a_504_and_blocks_nobody(serve: Started) -> None:
    release = threading.Event()

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if event["path"] == "/slow":
            assert context.get_remaining_time_in_millis() > 20_000
            release.wait(20)
        return {"body": "{}"}

    served = await serve(handler, limits=Limits(integration_seconds=0.2))
    slow = await served.client.get("/slow")
    assert slow.status_code == 504
    assert slow.json()["error"]["message"] == "Endpoint request timed out"
    assert (await served.client.get("/quick")).status_code == 200
    release.set()


async def test_a_function_that_fails_too_late_is_nobody_s_error(serve: Started) -> None:
    release = threading.Event()

    def handler(event: object, context: object) -> object:
        assert release.wait(20)
        raise RuntimeError("late")

    served = await serve(handler, limits=Limits(integration_seconds=0.05))
    assert (await served.client.get("/x")).status_code == 504
    release.set()


async def test_a_stream_that_never_starts_is_a_504(serve: Started) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.Event().wait()

    served = await serve(app=app, limits=Limits(integration_seconds=0.05))
    assert (await served.client.get("/v1/chat")).status_code == 504


@pytest.mark.parametrize(
    "result", [None, {"statusCode": 200, "extra": 1}, {"body": object()}, {"body": "a" * (6 * 1024 * 1024 + 100)}]
)
async def test_a_result_that_is_no_answer_is_a_502(serve: Started, result: object) -> None:
    served = await serve(lambda event, context: result)
    answer = await served.client.get("/x")
    assert answer.status_code == 502
    assert answer.json()["error"]["message"] == "Internal server error"


@pytest.mark.parametrize("kind", [RuntimeError, TimeoutError, SystemExit])
async def test_a_function_that_raises_is_a_502_without_its_message(serve: Started, kind: type[BaseException]) -> None:
    def handler(event: object, context: object) -> object:
        raise kind("secret detail")

    served = await serve(handler)
    answer = await served.client.get("/x")
    assert answer.status_code == 502
    assert "secret" not in answer.text
    assert "secret detail" in await served.log.get()


@pytest.mark.parametrize("status", [200, 204, 304, 404, 500])
async def test_statuses_with_and_without_bodies(serve: Started, status: int) -> None:
    served = await serve(lambda event, context: {"statusCode": status, "body": "" if status in (204, 304) else "x"})
    for _ in range(2):
        assert (await served.client.get("/x")).status_code == status


async def test_the_app_sees_what_the_web_adapter_sends(serve: Started) -> None:
    client = (await serve()).client
    headers = {
        "x-amzn-request-context": "forged",
        "X-Amzn-Lambda-Context": "forged",
        "te": "trailers",
        "x-mine": "1",
        "content-type": "application/json",
    }
    seen = (await client.post("/v1/chat/?a=b%20c&a=d", content=b"{}", headers=headers)).json()
    given = seen["headers"]
    assert json.loads(given["x-amzn-request-context"])["resourcePath"] == "/v1/chat"
    context = json.loads(given["x-amzn-lambda-context"])
    assert context["env_config"]["function_name"] == "Chat"
    assert "te" not in given
    assert "connection" not in given
    assert (given["x-mine"], given["content-length"]) == ("1", "2")
    assert (seen["path"], seen["query"], seen["scheme"]) == ("/v1/chat/", "a=b+c&a=d", "http")


async def test_the_app_s_path_is_decoded_once(serve: Started) -> None:
    paths = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            paths.append((scope["path"], scope["raw_path"]))
            await scope_echo(scope, receive, send)

    served = await serve(app=app)
    await served.client.get("/v1/chat%2F")
    await served.client.get("/v1/chat")
    # The first is not the chat route: an encoded slash does not end a segment.
    assert paths == [("/v1/chat", b"/v1/chat")]


async def test_a_stream_is_not_buffered(serve: Started) -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        start = [(b"content-type", b"text/event-stream"), (b"connection", b"close"), (b"transfer-encoding", b"chunked")]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    served = await serve(app=app)
    async with served.client.stream("POST", "/v1/chat", content=b"{}") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-amzn-remapped-connection"] == "close"
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"data: 1\n\n"
        go_on.set()
        assert await anext(chunks) == b"data: 2\n\n"


async def test_a_client_that_hangs_up_does_not_stop_the_function(serve: Started) -> None:
    gone = asyncio.Event()
    finished = asyncio.Event()
    heard: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await receive()
        listener = asyncio.create_task(_hear(receive, heard))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await gone.wait()
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        assert heard == []
        await send({"type": "http.response.body", "body": b"last"})
        await listener
        finished.set()

    served = await serve(app=app)
    reader, writer = await served.raw(b"GET /v1/chat HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"first")
    writer.transport.abort()
    gone.set()
    async with asyncio.timeout(20):
        await finished.wait()
    assert heard == [{"type": "http.disconnect"}]


async def _hear(receive: Receive, heard: list[Message]) -> None:
    heard.append(await receive())


async def test_an_app_that_breaks_off_breaks_the_connection(serve: Started) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("broke")

    served = await serve(app=app)
    with pytest.raises(httpx.RemoteProtocolError):
        await served.client.get("/v1/chat")


async def test_the_streaming_app_s_lifespan_is_run(serve: Started) -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{kind}"
                seen.append(kind)
                await send({"type": f"lifespan.{kind}.complete"})

    await serve(app=app)
    assert seen == ["startup"]
    # The rest is seen to by the fixture's end, which would hang without an answer to the shutdown.
