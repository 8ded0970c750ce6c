"""Objects in a bucket: where they are asked for, what is tried again, and what is an error."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from aig.aws.blobs import BlobError, Bucket
from aig.aws.sigv4 import Credentials
from tests.unit.aws.peers import Peer, answer, serving

CREDENTIALS = Credentials("AKID", "secret", "token")


@asynccontextmanager
async def bucket(*answers: bytes) -> AsyncIterator[tuple[Bucket, list[tuple[bytes, bytes]]]]:
    """A bucket whose server gives these answers in turn, and what it was asked; no answer is a hang-up."""
    left: list[bytes] = list(answers)
    asked: list[tuple[bytes, bytes]] = []

    async def talk(peer: Peer) -> None:
        while True:
            head = await peer.asked_head()
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            asked.append((head, await peer._reader.readexactly(length)))
            said = left.pop(0)
            if not said:
                return
            await peer.say(said)

    async with serving(talk) as server:
        opened = Bucket("answers", "eu-west-1", CREDENTIALS, str(server.url))
        try:
            yield opened, asked
        finally:
            await opened.close()


async def test_what_was_put_is_asked_for_by_its_path_and_signed() -> None:
    async with bucket(answer(b""), answer(b"\x00data")) as (opened, asked):
        await opened.put("cache/acct_1/a b", b"\x00data")
        assert await opened.get("cache/acct_1/a b") == b"\x00data"
    (put, sent), (get, nothing) = asked
    assert put.startswith(b"PUT /answers/cache/acct_1/a%20b HTTP/1.1\r\nhost: 127.0.0.1:")
    assert get.startswith(b"GET /answers/cache/acct_1/a%20b HTTP/1.1\r\n")
    assert (sent, nothing) == (b"\x00data", b"")
    for head in (put, get):
        assert b"authorization: AWS4-HMAC-SHA256 Credential=AKID/" in head
        assert b"x-amz-security-token: token\r\n" in head


async def test_an_object_that_is_not_there_is_none() -> None:
    async with bucket(answer(b"<Error/>", "404 Not Found")) as (opened, _):
        assert await opened.get("k") is None


BUSY, LOST = answer(b"", "503 Slow Down"), b""


@pytest.mark.parametrize("troubles", [[BUSY], [LOST], [BUSY, LOST], [LOST, LOST]])
async def test_what_passes_is_tried_again(troubles: Sequence[bytes]) -> None:
    async with bucket(*troubles, answer(b"data"), *troubles, answer(b"")) as (opened, asked):
        assert await opened.get("k") == b"data"
        await opened.put("k", b"data")
    assert len(asked) == 2 * len(troubles) + 2


@pytest.mark.parametrize("trouble", [BUSY, LOST])
async def test_but_not_for_ever(trouble: bytes) -> None:
    async with bucket(*[trouble] * 6) as (opened, asked):
        with pytest.raises(BlobError):
            await opened.get("k")
        with pytest.raises(BlobError):
            await opened.put("k", b"data")
    assert len(asked) == 6


async def test_a_refusal_is_not_tried_again() -> None:
    async with bucket(*[answer(b"", "403 Forbidden")] * 2) as (opened, asked):
        with pytest.raises(BlobError, match="403"):
            await opened.get("k")
        with pytest.raises(BlobError, match="403"):
            await opened.put("k", b"data")
    assert len(asked) == 2


def test_in_the_cloud_a_bucket_has_a_host_of_its_own() -> None:
    request = Bucket("answers", "eu-west-1", CREDENTIALS)._request("GET", "cache/k", b"")
    assert request.startswith(b"GET /cache/k HTTP/1.1\r\nhost: answers.s3.eu-west-1.amazonaws.com\r\n")


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (answer(b"x", "206 Partial Content", "Content-Range: bytes 0-0/123456789"), 123_456_789),
        (answer(b"<Error/>", "416 Range Not Satisfiable"), 0),
        (answer(b"<Error/>", "404 Not Found"), None),
    ],
)
async def test_how_large_an_object_is_takes_one_byte_of_it(said: bytes, size: int | None) -> None:
    async with bucket(said) as (opened, asked):
        assert await opened.head("k") == size
    assert asked[0][0].startswith(b"GET /answers/k HTTP/1.1\r\n")
    assert b"\r\nrange: bytes=0-0\r\n" in asked[0][0]


@pytest.mark.parametrize("said", [answer(b"", "403 Forbidden"), answer(b"x"), answer(b"x", "206 Partial Content")])
async def test_a_size_that_is_not_told_is_an_error(said: bytes) -> None:
    async with bucket(said) as (opened, _):
        with pytest.raises(BlobError):
            await opened.head("k")


async def test_an_object_is_deleted_whether_it_is_there_or_not() -> None:
    async with bucket(*[answer(b"", f"{status} It") for status in (204, 404, 403)]) as (opened, asked):
        await opened.delete("k")
        await opened.delete("k")
        with pytest.raises(BlobError, match="403"):
            await opened.delete("k")
    assert {head.split(b"\r\n")[0] for head, _ in asked} == {b"DELETE /answers/k HTTP/1.1"}


async def test_an_object_has_the_type_that_it_was_put_with() -> None:
    async with bucket(answer(b""), answer(b"")) as (opened, asked):
        await opened.put("k", b"data", "video/mp4")
        await opened.put("k", b"data")
    assert b"\r\ncontent-type: video/mp4\r\n" in asked[0][0]
    assert b"content-type" not in asked[1][0]
