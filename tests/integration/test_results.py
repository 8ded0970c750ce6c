"""What jobs have made, in the bucket: whole and as it was, or not there at all."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import boto3
import httpx
import pytest

from aig.aws.multipart import PART_BYTES, ObjectEmpty, ObjectTooLarge
from aig.wiring import Container
from tests.builders import an_account

MB: Final = 1024 * 1024
MOST: Final = 64 * MB
NAME: Final = "video.mp4"


async def coming(data: bytes, piece: int = 1_000_003) -> AsyncIterator[bytes]:
    for at in range(0, len(data), piece):
        yield data[at : at + piece]


def bytes_of(size: int) -> bytes:
    """No part of it is like another."""
    blocks: Iterable[bytes] = (hashlib.sha256(b"%d" % number).digest() * 1024 for number in itertools.count())
    data = bytearray()
    for block in blocks:
        data += block
        if len(data) >= size:
            break
    return bytes(data[:size])


@pytest.fixture
def s3(dynamodb: str) -> Any:
    return boto3.client("s3", endpoint_url=dynamodb, region_name="us-east-1")


def unfinished(s3: Any) -> list[str]:
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return [up["Key"] for name in buckets for up in s3.list_multipart_uploads(Bucket=name).get("Uploads", ())]


@pytest.mark.parametrize("size", [1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 3 * PART_BYTES + 12_345])
async def test_a_result_is_kept_as_it_came(container: Container, s3: Any, size: int) -> None:
    account, data = await an_account(container), bytes_of(size)
    written = await container.files.keep_result(account.id, "job_1", NAME, coming(data), "video/mp4", MOST)
    assert (written.size, written.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert await container.files.result_there(account.id, "job_1", NAME) == size
    async with httpx.AsyncClient() as client:
        got = await client.get(container.files.download_link(f"{account.id}/job_1/{NAME}", "GET"))
    assert hashlib.sha256(got.content).digest() == hashlib.sha256(data).digest()
    assert unfinished(s3) == []


async def test_it_is_its_own_tenant_s_and_job_s(container: Container) -> None:
    account = await an_account(container)
    await container.files.keep_result(account.id, "job_1", NAME, coming(b"x"), "video/mp4", MOST)
    for owner, job, name in (("acct_other", "job_1", NAME), (account.id, "job_2", NAME), (account.id, "job_1", "a")):
        assert await container.files.result_there(owner, job, name) is None


async def test_storing_it_twice_leaves_the_last(container: Container) -> None:
    account = await an_account(container)
    for data in (b"first", b"the second"):
        await container.files.keep_result(account.id, "job_1", NAME, coming(data), "video/mp4", MOST)
    assert await container.files.result_there(account.id, "job_1", NAME) == len(b"the second")


async def test_one_that_is_empty_or_too_large_is_refused(container: Container, s3: Any) -> None:
    account = await an_account(container)
    with pytest.raises(ObjectEmpty):
        await container.files.keep_result(account.id, "job_1", NAME, coming(b""), "video/mp4", MOST)
    with pytest.raises(ObjectTooLarge):
        await container.files.keep_result(account.id, "job_1", NAME, coming(bytes(17 * MB)), "video/mp4", 17 * MB - 1)
    assert await container.files.result_there(account.id, "job_1", NAME) is None
    assert unfinished(s3) == []


class ConnectionBroken(Exception):
    pass


async def test_a_source_that_breaks_off_leaves_nothing_to_see(container: Container, s3: Any) -> None:
    account = await an_account(container)

    async def breaking() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(MB)
        assert unfinished(s3) == [f"media/{account.id}/job_1/{NAME}"]
        raise ConnectionBroken

    with pytest.raises(ConnectionBroken):
        await container.files.keep_result(account.id, "job_1", NAME, breaking(), "video/mp4", MOST)
    assert await container.files.result_there(account.id, "job_1", NAME) is None
    assert unfinished(s3) == []


async def test_nor_does_a_task_that_is_cancelled_and_the_next_try_succeeds(container: Container, s3: Any) -> None:
    account, halfway, never = await an_account(container), asyncio.Event(), asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield bytes(9 * MB)
        halfway.set()
        await never.wait()

    files = container.files
    task = asyncio.create_task(files.keep_result(account.id, "job_1", NAME, hanging(), "video/mp4", MOST))
    await halfway.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await files.result_there(account.id, "job_1", NAME) is None
    assert unfinished(s3) == []
    assert (await files.keep_result(account.id, "job_1", NAME, coming(b"x"), "video/mp4", MOST)).size == 1
