"""Bad requests over sockets, to the whole stack: what the front refuses has the shape of all errors too."""

from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from tests.e2e.stack import Stack
from tests.integration.bad_inputs.wires import CLOSED, LARGE_HEADERS, WIRES, Wire
from tests.wire import exchange


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.base_url, headers={"authorization": f"Bearer {stack.key}"}) as client:
        yield client


def balance(client: httpx.Client) -> Decimal:
    wallet = client.get("/wallet").json()
    assert Decimal(wallet["in_flight"]) == 0
    return Decimal(wallet["balance"])


@pytest.mark.parametrize("wire", [*WIRES, *LARGE_HEADERS], ids=lambda wire: wire.id)
async def test_a_bad_request(stack: Stack, client: httpx.Client, wire: Wire) -> None:
    before = balance(client)
    reply = await exchange(stack.port, wire.send(stack.key), half_close=wire.half_close)
    assert (reply.status if reply else CLOSED) in wire.statuses("front")
    assert (balance(client) < before) == (reply is not None and reply.status == 200 and wire.family == "chat")
    if reply is None:
        return
    assert not set(wire.absent) & set(reply.headers)
    if reply.status >= 400:
        error = reply.json["error"]
        assert set(error) == {"message", "type", "code", "param", "request_id"}
        assert error["request_id"] == reply.headers["x-request-id"]


def test_a_body_beyond_6_mb_is_too_large(client: httpx.Client) -> None:
    body = b'{"model": "sandbox/echo", "messages": [{"role": "user", "content": "' + b"a" * 6_300_000 + b'"}]}'
    response = client.post("/chat/completions", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
