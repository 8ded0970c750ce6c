"""A loopback proxy before DynamoDB Local that loses requests, loses replies and answers with DynamoDB's own errors."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any, Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way: the how-many-th since the last `Proxy.plan`, from 1, and whether its connection is used."""

    number: int
    operation: str
    body: Mapping[str, Any]
    reused: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of a call: with `forward` DynamoDB carries it out; the client reads `answer`, or a broken line."""

    name: str
    forward: bool = False
    status: int = 0
    answer: bytes = b""


def _error(status: int, kind: str, **more: Any) -> Fault:
    body = {"__type": kind, "message": "as the test wants it", **more}
    return Fault(kind.rpartition("#")[2], status=status, answer=json.dumps(body).encode())


_DYNAMODB: Final = "com.amazonaws.dynamodb.v20120810#"


def cancelled(*codes: str) -> Fault:
    """A transaction that DynamoDB cancels, with these reasons, one for each item."""
    reasons = [{"Code": code} for code in codes]
    fault = _error(400, f"{_DYNAMODB}TransactionCanceledException", CancellationReasons=reasons)
    return replace(fault, name=" and ".join(code for code in codes if code != "None"))


LOST_REQUEST: Final = Fault("lost request")
LOST_REPLY: Final = Fault("lost reply", forward=True)
THROUGHPUT: Final = _error(400, f"{_DYNAMODB}ProvisionedThroughputExceededException")
THROTTLED: Final = _error(400, "com.amazon.coral.availability#ThrottlingException")
IN_PROGRESS: Final = _error(400, f"{_DYNAMODB}TransactionInProgressException")
INTERNAL: Final = _error(500, f"{_DYNAMODB}InternalServerError")
UNAVAILABLE: Final = _error(503, "com.amazon.coral.service#ServiceUnavailableException")
NO_JSON: Final = Fault("503 without JSON", status=503, answer=b"<html>Service Unavailable</html>")
CONFLICT: Final = cancelled("None", "TransactionConflict")
DENIED: Final = _error(400, "com.amazon.coral.service#AccessDeniedException")

Plan = Callable[[Call], Fault | None]


def nothing(_: Call) -> None:
    """Every call gets through."""


def on_call(number: int, fault: Fault) -> Plan:
    """Trouble for one call."""
    return lambda call: fault if call.number == number else None


def first_sends(fault: Fault, *times: int) -> Plan:
    """Trouble for the first sends of each call: for so many of the first call, so many of the second, and so on round.

    A transaction that is sent again is the same call; its token tells.
    """
    wanted, left = cycle(times), dict[str, int]()

    def plan(call: Call) -> Fault | None:
        name = call.body.get("ClientRequestToken") or json.dumps(call.body)
        if name not in left:
            left[name] = next(wanted)
        left[name] -= 1
        return fault if left[name] >= 0 else None

    return plan


def for_good(fault: Fault, *operations: str) -> Plan:
    """Trouble for every call of these operations."""
    return lambda call: fault if call.operation in operations else None


def resolving(fault: Fault) -> Plan:
    """Trouble for every transaction that ends a hold."""
    return lambda call: fault if "phase = :held" in json.dumps(call.body) else None


def mentioning(text: str, fault: Fault) -> Plan:
    """Trouble for every call with this text in it."""
    return lambda call: fault if text in json.dumps(call.body) else None


@dataclass(slots=True)
class Proxy:
    """Serves at `endpoint` between `start` and `stop`. `calls` are those since the last `expect`.

    `hang_up` closes each connection behind its first answer, without a word about it, as an idle timeout does.
    """

    upstream: str
    endpoint: str = ""
    plan: Plan = nothing
    hang_up: bool = False
    calls: list[Call] = field(default_factory=list)
    in_flight: list[Call] = field(default_factory=list)  # with DynamoDB at this moment
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    def expect(self, plan: Plan) -> None:
        """A new plan; the count of calls begins again."""
        self.plan = plan
        self.calls = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reused = False
        try:
            while await self._exchange(reader, writer, reused) and not self.hang_up:
                reused = True
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()  # the client is done with this connection
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reused: bool) -> bool:
        """One request and what becomes of it. False if the connection is to be broken."""
        head, body = await _message(reader)
        operation = _header(head, "x-amz-target").rpartition(".")[2]
        call = Call(len(self.calls) + 1, operation, json.loads(body), reused)
        self.calls.append(call)
        fault = self.plan(call)
        reply = b""
        if fault is None or fault.forward:
            self.in_flight.append(call)
            try:
                reply = await self._forward(head, body)
            finally:
                self.in_flight.remove(call)
        if fault is not None:
            if not fault.status:
                writer.transport.abort()
                return False
            reply = _http(fault)
        writer.write(reply)
        await writer.drain()
        return True

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        address = urlsplit(self.upstream)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(head + body)
            answer_head, answer = await _message(reader)
            return answer_head + answer
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body, as they come: DynamoDB Local sends its longer answers in chunks."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return head, await reader.readexactly(int(_header(head, "content-length")))
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size, 16) + 2)
        body += size + chunk
        if chunk == b"\r\n":
            return head, body


def _header(head: bytes, name: str) -> str:
    for line in head.decode("latin-1").split("\r\n"):
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    raise LookupError(name)


def _http(fault: Fault) -> bytes:
    head = f"HTTP/1.1 {fault.status} As planned\r\nContent-Length: {len(fault.answer)}\r\n\r\n"
    return head.encode() + fault.answer
