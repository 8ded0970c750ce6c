"""What JsonApi makes of a connection's troubles: what passes by itself is tried again, a refusal is an answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from aig.aws.json_api import AwsError, JsonApi
from aig.aws.sigv4 import Credentials
from tests.unit.aws.peers import Peer, Server, Talk, answer, saying, serving


def api(url: URL) -> JsonApi:
    return JsonApi("dynamodb", "DynamoDB_20120810", "1.0", str(url), "eu-central-1", Credentials("key", "secret"))


@asynccontextmanager
async def calling(talk: Talk) -> AsyncIterator[tuple[JsonApi, Server]]:
    async with serving(talk) as server:
        service = api(server.url)
        try:
            yield service, server
        finally:
            await service.close()


async def test_a_call_over_a_connection_that_the_server_closed_meanwhile_is_made_again() -> None:
    """What a thawed function meets: the server's close arrives together with the next request."""

    async def one_each(peer: Peer) -> None:
        await peer.say(answer(await peer.asked()))
        peer.hang_up()

    async with calling(one_each) as (service, server):
        for number in range(5):
            assert await service.call("GetItem", {"n": number}) == {"n": number}
        assert server.connections >= 5


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(b"", id="hangs up"),
        pytest.param(b"nonsense\r\n\r\n", id="nonsense"),
        pytest.param(answer(b"<html>", "502 Bad Gateway"), id="an error page"),
        pytest.param(answer(b"{}", "500 Internal Server Error"), id="500 without a name"),
        pytest.param(answer(b"{}", "503 Service Unavailable"), id="503 without a name"),
        pytest.param(answer(b'"busy"', "503 Service Unavailable"), id="no object"),
        pytest.param(answer(b'{"__type":"a.b#ThrottlingException"}', "400 Bad Request"), id="throttled"),
        pytest.param(answer(b'{"__type":"a.b#InternalServerError"}', "500 Oops"), id="internal error"),
    ],
)
async def test_what_passes_by_itself_is_tried_again(trouble: bytes) -> None:
    async def troubled_twice(peer: Peer) -> None:
        while True:
            body = await peer.asked()
            seen.append(body)
            await peer.say(answer(body) if len(seen) > 2 else trouble)
            if len(seen) <= 2:
                return

    seen: list[bytes] = []
    async with calling(troubled_twice) as (service, _):
        assert await service.call("TransactWriteItems", {"ClientRequestToken": "t"}) == {"ClientRequestToken": "t"}
    assert seen == [b'{"ClientRequestToken":"t"}'] * 3, "a repeat has to be the same request"


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden"])
async def test_a_refusal_is_an_answer(status: str) -> None:
    body = b'{"__type":"com.amazonaws#AccessDeniedException","message":"no"}'
    async with calling(saying(answer(body, status))) as (service, server):
        with pytest.raises(AwsError) as raised:
            await service.call("GetItem", {})
        assert raised.value.code == "AccessDeniedException"
        assert server.connections == 1


async def test_a_call_names_its_operation_and_is_signed() -> None:
    heads: list[bytes] = []

    async def listening(peer: Peer) -> None:
        heads.append(await peer.asked_head())
        await peer.say(answer(b"{}"))

    async with calling(listening) as (service, server):
        await service.call("GetItem", {"Key": "é"})
        lines = heads[0].decode().lower().split("\r\n")
        assert lines[0] == "post / http/1.1"
        assert f"host: 127.0.0.1:{server.url.port}" in lines
        assert "x-amz-target: dynamodb_20120810.getitem" in lines
        assert "content-type: application/x-amz-json-1.0" in lines
        assert any(line.startswith("authorization: aws4-hmac-sha256 credential=key/") for line in lines)
