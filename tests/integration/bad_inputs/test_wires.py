"""Bad requests over sockets, to the apps under uvicorn. tests/e2e sends the same ones to the whole stack."""

import asyncio

import pytest

from aig.wiring import Container
from local.template import Stack
from tests import apps
from tests.apps import App, serving
from tests.builders import an_account, debits_of, wallet_of
from tests.integration.bad_inputs.wires import CLOSED, WIRES, Wire
from tests.logs import Log
from tests.wire import Reply, exchange


def check(wire: Wire, reply: Reply) -> None:
    """The headers, and the shape of an error."""
    assert not set(wire.absent) & set(reply.headers)
    # What uvicorn itself refuses is plain text. In the cloud API Gateway refuses it before that.
    if reply.status >= 400 and reply.body != b"Invalid HTTP request received.":
        error = reply.json["error"]
        assert set(error) == {"message", "type", "code", "param", "request_id"}
        assert error["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.id)
async def test_a_bad_request_over_a_socket(deployed: Stack, container: Container, logged: Log, wire: Wire) -> None:
    account = await an_account(container)
    app = App(apps.start(deployed.functions[f"{wire.family.capitalize()}Function"]))
    async with asyncio.timeout(60), serving(app.module.app) as port:
        reply = await exchange(port, wire.send(account.key), half_close=wire.half_close)
    await app.close()
    assert (reply.status if reply else CLOSED) in wire.statuses("server")
    if reply is not None:
        check(wire, reply)
    assert (await wallet_of(container, account)).held == 0
    assert len(await debits_of(container, account)) == (
        1 if reply and reply.status == 200 and wire.family == "chat" else 0
    )
