"""Objects in parts: what is asked of S3 and in which order, what is tried again, and what a failure leaves behind."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable

import pytest

from aig.aws import multipart
from aig.aws.blobs import BlobError, Bucket
from aig.aws.multipart import ObjectEmpty, ObjectTooLarge, Written
from tests.unit.aws.peers import answer
from tests.unit.aws.test_blobs import BUSY, LOST, bucket

CREATED = answer(b"<InitiateMultipartUploadResult><UploadId>a&amp;b</UploadId></InitiateMultipartUploadResult>")
COMPLETED = answer(b"<CompleteMultipartUploadResult/>")
FAILED = answer(b"<?xml version='1.0'?>\n   <Error><Code>InternalError</Code></Error>")
GONE = answer(b"<Error><Code>NoSuchUpload</Code></Error>", "404 Not Found")
ABORTED = answer(b"", "204 No Content")


def kept(number: int) -> bytes:
    return answer(b"", "200 OK", f'ETag: "tag{number}"')


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "PART_BYTES", 10)


async def coming(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def write(opened: Bucket, *pieces: bytes, most: int = 1000) -> Written:
    return await multipart.write(opened, "media/a/b.mp4", coming(pieces), "video/mp4", most)


def lines(asked: list[tuple[bytes, bytes]]) -> list[str]:
    """What was asked for, without the version and the path that they all have."""
    return [head.split(b"\r\n")[0].decode().removesuffix(" HTTP/1.1") for head, _ in asked]


PATH = "/answers/media/a/b.mp4"
PART = f"PUT {PATH}?partNumber={{}}&uploadId=a%26b"
ONE, TWO, THREE = (PART.format(number) for number in (1, 2, 3))
CREATE, COMPLETE, ABORT = f"POST {PATH}?uploads=", f"POST {PATH}?uploadId=a%26b", f"DELETE {PATH}?uploadId=a%26b"


@pytest.mark.parametrize("pieces", [[b"0123456789"], [b"0"], [b"01234", b"", b"56789"]])
async def test_what_fits_into_one_part_is_put_at_once(pieces: list[bytes]) -> None:
    async with bucket(answer(b"")) as (opened, asked):
        written = await write(opened, *pieces)
    whole = b"".join(pieces)
    assert written == Written(len(whole), hashlib.sha256(whole).hexdigest())
    assert lines(asked) == [f"PUT {PATH}"]
    assert asked[0][1] == whole
    assert b"\r\ncontent-type: video/mp4\r\n" in asked[0][0]


@pytest.mark.parametrize("pieces", [[b"x" * 25], [b"x"] * 25, [b"x" * 9, b"x" * 16]])
async def test_what_does_not_comes_in_parts_of_one_size(pieces: list[bytes]) -> None:
    async with bucket(CREATED, kept(1), kept(2), kept(3), COMPLETED) as (opened, asked):
        written = await write(opened, *pieces)
    assert written == Written(25, hashlib.sha256(b"x" * 25).hexdigest())
    assert lines(asked) == [CREATE, ONE, TWO, THREE, COMPLETE]
    assert [len(body) for _, body in asked[1:4]] == [10, 10, 5]
    assert b"\r\ncontent-type: video/mp4\r\n" in asked[0][0]
    assert asked[4][1].count(b"<Part>") == 3
    assert b"<Part><PartNumber>2</PartNumber><ETag>&quot;tag2&quot;</ETag></Part>" in asked[4][1]


async def test_whole_parts_leave_none_empty() -> None:
    async with bucket(CREATED, kept(1), kept(2), COMPLETED) as (opened, asked):
        assert (await write(opened, b"x" * 20)).size == 20
    assert [len(body) for _, body in asked[1:3]] == [10, 10]


@pytest.mark.parametrize("trouble", [BUSY, LOST, FAILED])
async def test_the_end_is_tried_again_and_so_is_an_error_in_an_answer_that_says_ok(trouble: bytes) -> None:
    async with bucket(CREATED, kept(1), kept(2), trouble, COMPLETED) as (opened, asked):
        await write(opened, b"x" * 11)
    assert lines(asked)[-2:] == [COMPLETE, COMPLETE]


@pytest.mark.parametrize("trouble", [BUSY, LOST])
async def test_a_part_is_tried_again(trouble: bytes) -> None:
    async with bucket(CREATED, trouble, kept(1), kept(2), COMPLETED) as (opened, asked):
        await write(opened, b"x" * 11)
    assert lines(asked)[1:3] == [ONE, ONE]


async def test_an_end_whose_answer_was_lost_is_known_by_the_object() -> None:
    there = answer(b"x", "206 Partial Content", "Content-Range: bytes 0-0/11")
    async with bucket(CREATED, kept(1), kept(2), LOST, GONE, there) as (opened, _):
        assert (await write(opened, b"x" * 11)).size == 11
    other = answer(b"x", "206 Partial Content", "Content-Range: bytes 0-0/12")
    for found in (other, GONE):
        async with bucket(CREATED, kept(1), kept(2), LOST, GONE, found, ABORTED) as (opened, asked):
            with pytest.raises(BlobError, match="404"):
                await write(opened, b"x" * 11)
        assert lines(asked)[-1] == ABORT


REFUSED = answer(b"<Error/>", "403 Forbidden")


@pytest.mark.parametrize(
    "answers",
    [
        [CREATED, REFUSED],
        [CREATED, kept(1), BUSY, BUSY, BUSY],
        [CREATED, kept(1), LOST, LOST, LOST],
        [CREATED, answer(b"")],  # without the tag that the end has to tell
        [CREATED, kept(1), kept(2), REFUSED],
        [CREATED, kept(1), kept(2), FAILED, FAILED, FAILED],
    ],
)
async def test_a_failure_leaves_no_unfinished_upload(answers: list[bytes]) -> None:
    async with bucket(*answers, ABORTED) as (opened, asked):
        with pytest.raises(BlobError):
            await write(opened, b"x" * 11)
    assert lines(asked)[-1] == ABORT


async def test_nor_does_the_failure_to_abort_hide_it() -> None:
    async with bucket(CREATED, REFUSED, LOST, LOST, LOST) as (opened, _):
        with pytest.raises(BlobError, match="403"):
            await write(opened, b"x" * 11)


@pytest.mark.parametrize("said", [REFUSED, answer(b"<Nothing/>")])
async def test_without_an_upload_there_is_nothing_to_abort(said: bytes) -> None:
    async with bucket(said) as (opened, asked):
        with pytest.raises(BlobError):
            await write(opened, b"x" * 11)
    assert lines(asked) == [CREATE]


async def test_more_than_was_allowed_is_not_kept() -> None:
    async with bucket(CREATED, kept(1), ABORTED) as (opened, asked):
        with pytest.raises(ObjectTooLarge, match="12 bytes"):
            await write(opened, b"x" * 11, b"x" * 2, most=12)
    assert lines(asked) == [CREATE, ONE, ABORT]
    async with bucket() as (opened, asked):
        with pytest.raises(ObjectTooLarge):
            await write(opened, b"x" * 5, most=4)
    assert asked == []


@pytest.mark.parametrize("pieces", [[], [b"", b""]])
async def test_nothing_is_not_kept(pieces: list[bytes]) -> None:
    async with bucket() as (opened, asked):
        with pytest.raises(ObjectEmpty):
            await write(opened, *pieces)
    assert asked == []


class ConnectionBroken(Exception):
    pass


async def test_a_source_that_breaks_off_leaves_nothing() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * 11
        raise ConnectionBroken

    async with bucket(CREATED, kept(1), ABORTED) as (opened, asked):
        with pytest.raises(ConnectionBroken):
            await multipart.write(opened, "media/a/b.mp4", breaking(), "video/mp4", 1000)
    assert lines(asked) == [CREATE, ONE, ABORT]


async def test_nor_does_a_cancellation() -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield b"x" * 11
        reached.set()
        await never.wait()

    async with bucket(CREATED, kept(1), ABORTED) as (opened, asked):
        task = asyncio.create_task(multipart.write(opened, "media/a/b.mp4", hanging(), "video/mp4", 1000))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert lines(asked) == [CREATE, ONE, ABORT]
