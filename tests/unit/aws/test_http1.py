"""The connections to DynamoDB and Secrets Manager, against servers on loopback that say any bytes a test wants."""

import asyncio
import gc
import socket
import warnings

import pytest
from yarl import URL

from aig.aws import http1
from tests.unit.aws.peers import (
    GUARD_S,
    NEVER_S,
    Peer,
    answer,
    chunked,
    connected,
    echo,
    request,
    saying,
    serving,
    settled,
)


async def test_sequential_calls_share_one_connection() -> None:
    async with connected(echo) as (client, server):
        for number in range(100):
            assert await client.exchange(request(b"%d" % number)) == (200, b"%d" % number)
        assert server.connections == 1


async def test_concurrent_calls_open_connections_and_leave_them_to_later_ones() -> None:
    everybody_asked = asyncio.Barrier(5)

    async def together(peer: Peer) -> None:
        while True:
            body = await peer.asked()
            await everybody_asked.wait()
            await peer.say(answer(body))

    async with connected(together) as (client, server):
        for _ in range(3):
            answers = await asyncio.gather(*(client.exchange(request(b"%d" % at)) for at in range(5)))
            assert [body for _, body in answers] == [b"%d" % at for at in range(5)]
        assert server.connections == 5


async def test_a_thousand_calls_in_turn_and_fifty_at_a_time_each_get_their_own_answer() -> None:
    async with connected(echo) as (client, server):
        for number in range(1000):
            assert (await client.exchange(request(b"turn %d" % number)))[1] == b"turn %d" % number

        async def caller(name: int) -> None:
            for number in range(20):
                body = b"%d asks %d " % (name, number) * (1 + 500 * (number % 3))
                assert (await client.exchange(request(body)))[1] == body

        await asyncio.gather(*(caller(name) for name in range(50)))
        assert server.connections <= 50


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        pytest.param(answer(b"{}"), 200, b"{}", id="200"),
        pytest.param(answer(b""), 200, b"", id="empty"),
        pytest.param(answer(b'{"__type":"x"}', "400 Bad Request"), 400, b'{"__type":"x"}', id="400"),
        pytest.param(answer(b"x" * 70_000), 200, b"x" * 70_000, id="more than one read"),
        pytest.param(chunked(b"one ", b"two ", b"three"), 200, b"one two three", id="chunked"),
        pytest.param(chunked(), 200, b"", id="chunked and empty"),
        pytest.param(answer(b"kept", "200 OK", "Connection: keep-alive", "x-amz-crc32: 1"), 200, b"kept", id="headers"),
    ],
)
async def test_answers_of_every_kind_are_read_and_leave_the_connection_usable(
    said: bytes, status: int, body: bytes
) -> None:
    async with connected(saying(said)) as (client, server):
        for _ in range(3):
            assert await client.exchange(request(b"?")) == (status, body)
        assert server.connections == 1


@pytest.mark.parametrize("said", [answer(b'{"a": 1}'), chunked(b'{"a"', b": 1}")], ids=["plain", "chunked"])
async def test_an_answer_that_comes_byte_by_byte_is_the_same(said: bytes) -> None:
    async def drip(peer: Peer) -> None:
        while True:
            await peer.asked()
            for at in range(len(said)):
                await peer.say(said[at : at + 1])
                await settled()  # the client, in the same loop, reads it before the next

    async with connected(drip) as (client, server):
        for _ in range(2):
            assert await client.exchange(request(b"?")) == (200, b'{"a": 1}')
        assert server.connections == 1


@pytest.mark.parametrize("cut", range(0, len(answer(b'{"a": 1}')), 7))
async def test_an_answer_in_two_pieces_is_the_same_and_half_of_one_is_none(cut: int) -> None:
    said, go_on = answer(b'{"a": 1}'), asyncio.Event()

    async def halting(peer: Peer) -> None:
        await peer.asked()
        await peer.say(said[:cut])
        if peer.number == 1:
            return
        await go_on.wait()
        await peer.say(said[cut:])
        await peer.gone()

    async with connected(halting) as (client, server):
        with pytest.raises(http1.UnreachableError):
            await client.exchange(request(b"?"))
        waiting = asyncio.create_task(client.exchange(request(b"?")))
        await settled()
        assert not waiting.done()
        go_on.set()
        assert await waiting == (200, b'{"a": 1}')
        assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(b"bye", "200 OK", "Connection: close"), id="connection: close"),
        pytest.param(answer(b"bye").replace(b"HTTP/1.1", b"HTTP/1.0"), id="HTTP/1.0"),
    ],
)
async def test_after_an_answer_that_ends_the_connection_the_next_call_opens_another(said: bytes) -> None:
    async def once(peer: Peer) -> None:
        await peer.asked()
        await peer.say(said)
        await peer.gone()

    async with connected(once) as (client, server):
        for number in range(1, 4):
            assert await client.exchange(request(b"?")) == (200, b"bye")
            assert server.connections == number


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"this is no HTTP\r\n\r\n", id="no HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", id="TLS on a plain port"),
        pytest.param(b"HTTP/1.1 abc Nonsense\r\n\r\n", id="status"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", id="chunk size"),
    ],
)
async def test_garbage_is_no_answer_and_its_connection_is_not_used_again(said: bytes) -> None:
    async def garbage_first(peer: Peer) -> None:
        if peer.number > 1:
            return await echo(peer)
        await peer.asked()
        await peer.say(said)
        await peer.gone()
        return None

    async with connected(garbage_first) as (client, server):
        with pytest.raises(http1.UnreachableError):
            await client.exchange(request(b"first"))
        assert await client.exchange(request(b"second")) == (200, b"second")
        assert server.connections == 2


@pytest.mark.parametrize(
    "unasked",
    [
        pytest.param(answer(b"stale"), id="an answer"),
        pytest.param(answer(b"stale")[:-2], id="most of an answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="a status line"),
        pytest.param(b"H", id="a letter"),
        pytest.param(answer(b"stale", "408 Request Timeout", "Connection: close"), id="408"),
        pytest.param(b"garbage", id="garbage"),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["behind the answer", "later"])
async def test_bytes_that_nobody_asked_for_end_the_connection_and_reach_no_caller(
    unasked: bytes, together: bool
) -> None:
    speak, ended = asyncio.Event(), asyncio.Event()

    async def talkative(peer: Peer) -> None:
        if peer.number > 1:
            return await echo(peer)
        body = await peer.asked()
        if together:
            await peer.say(answer(body) + unasked)
        else:
            await peer.say(answer(body))
            await speak.wait()
            await peer.say(unasked)
        await peer.gone()
        ended.set()
        return None

    async with connected(talkative) as (client, server):
        assert await client.exchange(request(b"first")) == (200, b"first")
        speak.set()
        await ended.wait()
        assert await client.exchange(request(b"second")) == (200, b"second")
        assert server.connections == 2


async def test_a_connection_that_the_server_has_closed_is_not_used_once_that_was_noticed() -> None:
    closed: list[asyncio.Event] = []

    async def one_each(peer: Peer) -> None:
        await peer.say(answer(await peer.asked()))
        peer.hang_up()
        await peer.gone()  # the client has seen the end of the stream and closed as well
        closed[-1].set()

    async with connected(one_each) as (client, server):
        for number in range(1, 4):
            closed.append(asyncio.Event())
            assert await client.exchange(request(b"%d" % number)) == (200, b"%d" % number)
            await closed[-1].wait()
            assert server.connections == number


async def test_a_server_that_hangs_up_on_the_request_is_unreachable() -> None:
    async def rude(peer: Peer) -> None:
        await peer.asked()

    async with connected(rude) as (client, _):
        with pytest.raises(http1.UnreachableError):
            await client.exchange(request(b"?"))


async def test_refused_connections_are_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        client = http1.Client(URL(f"http://127.0.0.1:{taken.getsockname()[1]}/"), NEVER_S, NEVER_S)
        async with asyncio.timeout(GUARD_S):
            with pytest.raises(http1.UnreachableError, match="ConnectionRefusedError"):
                await client.exchange(request(b"?"))


async def test_a_connection_that_is_not_made_in_time_is_unreachable() -> None:
    async def silent(peer: Peer) -> None:
        await peer.gone()

    async with serving(silent) as server:  # plain, so that a TLS handshake is never answered
        client = http1.Client(server.url.with_scheme("https"), 0.01, NEVER_S)
        with pytest.raises(http1.UnreachableError, match="TimeoutError"):
            await client.exchange(request(b"?"))


async def test_an_answer_that_is_late_is_none_and_its_connection_is_closed() -> None:
    too_late = asyncio.Event()

    async def slow_first(peer: Peer) -> None:
        if peer.number > 1:
            return await echo(peer)
        await peer.asked()
        await peer.say(answer(b"late")[:-1])
        await peer.gone()
        too_late.set()
        return None

    async with connected(slow_first, total_s=0.05) as (client, server):
        with pytest.raises(http1.UnreachableError, match="timeout"):
            await client.exchange(request(b"first"))
        await too_late.wait()
        assert await client.exchange(request(b"second")) == (200, b"second")
        assert server.connections == 2


async def test_time_is_up_also_for_a_server_that_does_not_read() -> None:
    released = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        peer.stop_reading()
        await released.wait()

    async with connected(deaf, total_s=0.05) as (client, _):
        with pytest.raises(http1.UnreachableError, match="timeout"):
            await client.exchange(request(b"x" * 32_000_000))
        await settled()
        gc.collect()
        transports = [it for it in gc.get_objects() if isinstance(it, asyncio.Transport) and it.get_write_buffer_size()]
        released.set()
        assert not transports, "the connection and the request that nobody will read are still there"


async def test_a_call_that_is_cancelled_never_leaves_its_answer_to_the_next() -> None:
    arrived, speak = asyncio.Event(), asyncio.Event()

    async def echo_when_told(peer: Peer) -> None:
        while True:
            body = await peer.asked()
            arrived.set()
            await speak.wait()
            await peer.say(answer(body))

    async with connected(echo_when_told) as (client, server):
        first = asyncio.create_task(client.exchange(request(b"first")))
        await arrived.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.create_task(client.exchange(request(b"second")))
        await settled()
        speak.set()
        assert await second == (200, b"second")
        assert server.connections == 2


@pytest.mark.parametrize("turns", range(8))
async def test_cancelling_as_the_answer_comes_in_harms_nobody_else(turns: int) -> None:
    """A waits, B wants a connection, A's answer is there, A is cancelled `turns` of the loop later."""
    asked, speak = asyncio.Event(), asyncio.Event()

    async def echo_when_told(peer: Peer) -> None:
        while True:
            body = await peer.asked()
            asked.set()
            await speak.wait()
            await peer.say(answer(body))

    async with connected(echo_when_told) as (client, _):
        first = asyncio.create_task(client.exchange(request(b"first")))
        await asked.wait()
        speak.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        second = asyncio.create_task(client.exchange(request(b"second")))
        asyncio.get_running_loop().call_soon(first.cancel)  # after the second call has taken its connection
        await asyncio.gather(first, return_exceptions=True)
        assert await second == (200, b"second")
        assert await client.exchange(request(b"third")) == (200, b"third")


async def test_callers_that_come_and_go_at_random_get_their_own_answers_or_none() -> None:
    """Crossed answers would show here: a third of a thousand calls are cancelled at some point of their way."""
    async with connected(echo) as (client, server):
        answered = 0

        async def caller(name: int) -> None:
            nonlocal answered
            call = asyncio.create_task(client.exchange(request(b"%d" % name)))
            if name % 3 == 0:
                for _ in range(name % 11):
                    await asyncio.sleep(0)
                call.cancel()
            try:
                assert await call == (200, b"%d" % name)
            except asyncio.CancelledError:
                assert name % 3 == 0
            else:
                answered += 1

        for start in range(0, 1000, 20):
            await asyncio.gather(*(caller(start + at) for at in range(20)))
        assert answered >= 600
        assert server.connections < 1000


def test_a_new_event_loop_gets_connections_of_its_own() -> None:
    clients: list[http1.Client] = []

    async def use(port: int) -> int:
        async with serving(echo, port=port) as server:
            if not clients:
                clients.append(http1.Client(server.url, NEVER_S, NEVER_S))
            for body in (b"a", b"b"):
                assert await clients[0].exchange(request(body)) == (200, body)
            assert server.connections == 1
            return server.url.port or 0

    port = asyncio.run(use(0))  # its connection is left open
    asyncio.run(use(port))
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        clients.clear()
        gc.collect()


async def test_close_ends_idle_connections_and_a_later_call_opens_another() -> None:
    gone = asyncio.Event()

    async def echo_until_gone(peer: Peer) -> None:
        try:
            await echo(peer)
        finally:
            gone.set()

    async with connected(echo_until_gone) as (client, server):
        await client.exchange(request(b"?"))
        await client.close()
        await gone.wait()
        assert await client.exchange(request(b"again")) == (200, b"again")
        assert server.connections == 2
