"""What jobs have made, in the bucket: whole and as it was, or not there at all."""

import asyncio
import hashlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import boto3
import httpx
import pytest

from aig.aws.blobs import Bucket
from aig.aws.files import S3Files
from aig.aws.multipart import PART_BYTES, ObjectEmpty, ObjectTooLarge
from aig.aws.sigv4 import Credentials
from aig.ports import StoreBusy
from aig.wiring import Container
from tests.builders import an_account
from tests.unit.aws.peers import answer
from tests.unit.aws.test_blobs import bucket
from tests.unit.providers.site import running

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
    return [upload["Key"] for upload in uploads(s3)]


def uploads(s3: Any) -> list[dict[str, str]]:
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return [
        {"Bucket": name, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        for name in buckets
        for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", ())
    ]


def abort_unfinished(s3: Any) -> None:
    for upload in uploads(s3):
        s3.abort_multipart_upload(**upload)


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


_KILLED: Final = """
import asyncio, os, signal, sys
from aig import wiring

async def pieces():
    for _ in range(20):
        yield bytes(1 << 20)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(wiring.container().files.keep_result(sys.argv[1], "job_1", "video.mp4", pieces(), "video/mp4", 1 << 30))
"""


async def test_a_process_that_is_killed_leaves_nothing_to_see_and_the_next_try_succeeds(
    container: Container, s3: Any
) -> None:
    account = await an_account(container)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, account.id, env=environment)
    assert await process.wait() == -signal.SIGKILL
    assert unfinished(s3) == [f"media/{account.id}/job_1/{NAME}"]  # which the bucket's lifecycle ends
    assert await container.files.result_there(account.id, "job_1", NAME) is None
    await container.files.keep_result(account.id, "job_1", NAME, coming(b"x"), "video/mp4", MOST)
    assert await container.files.result_there(account.id, "job_1", NAME) == 1
    abort_unfinished(s3)


async def test_a_store_out_of_reach_is_busy() -> None:
    async with running() as gone:
        files = S3Files(Bucket("media", "us-east-1", Credentials("a", "b"), f"http://127.0.0.1:{gone.port}"))
    with pytest.raises(StoreBusy):
        await files.keep_result("acct_1", "job_1", NAME, coming(b"x"), "video/mp4", MOST)
    with pytest.raises(StoreBusy):
        await files.result_there("acct_1", "job_1", NAME)


async def test_nobody_is_told_of_an_object_that_is_not_what_was_written() -> None:
    other = answer(b"x", "206 Partial Content", "Content-Range: bytes 0-0/2")
    async with bucket(answer(b""), other) as (opened, _):
        with pytest.raises(StoreBusy):
            await S3Files(opened).keep_result("acct_1", "job_1", NAME, coming(b"x"), "video/mp4", MOST)
