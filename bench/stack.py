"""The processes of a run: upstream, databases, floor and gateway, each where it belongs."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from aig import wiring
from aig.money.units import Nano
from bench import conversation
from bench.processes import ROOT, BenchError, Child, cpus, module, on_cpu
from local.deploy import create_tables
from local.embedded import pretend_credentials
from local.template import Stack, load
from ops import accounts
from tests.dynamodb_local import DynamoDBLocal

BALANCE: Final = Nano(1000 * 10**9)
# As in functions/serve.sh, which starts the gateway.
_UVICORN: Final = (
    *("--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools", "--ws", "none", "--interface", "asgi3"),
    *("--timeout-keep-alive", "60", "--log-level", "warning", "--no-access-log", "--no-server-header"),
)


@dataclass(frozen=True)
class Target:
    """Something to send the conversation to. `child` is what is measured; the mock itself has none."""

    name: str
    url: str
    key: str
    child: Child | None


@dataclass(frozen=True)
class Database:
    """A DynamoDB at `endpoint`, with an account that has a key and a wallet."""

    endpoint: str
    key: str


class NoDatabase(BenchError):
    """There is no DynamoDB Local here; the message says why."""


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def base_environment() -> dict[str, str]:
    """What every child gets: this interpreter first on PATH, credentials of nobody, no proxy."""
    pretend_credentials()
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}"
    environ["PYTHONPATH"] = os.pathsep.join((".", "shared", "layers/providers"))
    return environ


def gateway_environment(stack: Stack, database_endpoint: str, upstream: str) -> dict[str, str]:
    """The chat function's environment as template.yaml sets it, pointed at this machine."""
    return {
        **base_environment(),
        **stack.functions["ChatFunction"].environment,
        "AIG_KEY_PEPPER": "bench",
        "AIG_DYNAMODB_ENDPOINT": database_endpoint,
        "AIG_LOCAL_BASE_URL": f"{upstream}/v1",
        "AIG_ANTHROPIC_BASE_URL": upstream,
        "AIG_GOOGLE_BASE_URL": f"{upstream}/v1beta",
        "ANTHROPIC_API_KEY": "bench",
        "GEMINI_API_KEY": "bench",
    }


async def _seed(environ: Mapping[str, str]) -> str:
    """A key with every limit there is, none of which binds."""
    container = wiring.container(environ)
    try:
        account_id = await accounts.create_account(container, "bench")
        secret = await accounts.create_key(container, account_id, rpm=1_000_000, cap=BALANCE)
        await accounts.top_up(container, account_id, BALANCE)
    finally:
        await container.close()
    return secret.text


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """The mock provider's URL."""
    child = Child(module("bench.upstream"), base_environment(), read=True)
    try:
        yield child.ready()
    finally:
        child.stop()


@contextlib.contextmanager
def real_database(stack: Stack) -> Iterator[Database]:
    """DynamoDB Local. Raises NoDatabase where it cannot run: moto is no substitute, a call through it takes 0.2 s."""
    try:
        emulator = DynamoDBLocal()
    except (pytest.skip.Exception, pytest.fail.Exception) as why:
        raise NoDatabase(why.msg) from None
    except RuntimeError as error:
        raise BenchError(str(error)) from error
    try:
        create_tables(stack.tables, emulator.endpoint)
        key = asyncio.run(_seed(gateway_environment(stack, emulator.endpoint, "")))
        yield Database(emulator.endpoint, key)
    finally:
        emulator.stop()


@contextlib.contextmanager
def instant_database(stack: Stack) -> Iterator[Database]:
    """One that answers at once."""
    child = Child(module("bench.instant_dynamodb"), base_environment(), read=True)
    try:
        endpoint = child.ready()
        yield Database(endpoint, asyncio.run(_seed(gateway_environment(stack, endpoint, ""))))
    finally:
        child.stop()


@contextlib.contextmanager
def gateway(name: str, stack: Stack, database: Database, upstream: str) -> Iterator[Target]:
    """The chat function, started by the script that starts it on Lambda."""
    port = free_port()
    environ = {**gateway_environment(stack, database.endpoint, upstream), "AWS_LWA_PORT": str(port)}
    with _measured(["sh", str(ROOT / "functions/chat/run.sh")], environ, port) as child:
        yield Target(name, f"http://127.0.0.1:{port}", database.key, child)


@contextlib.contextmanager
def floor(upstream: str) -> Iterator[Target]:
    """The bare proxy, under the same server with the same options."""
    port = free_port()
    environ = {**base_environment(), "BENCH_UPSTREAM": f"{upstream}{conversation.PATH}", "PYTHONUNBUFFERED": "1"}
    with _measured(module("uvicorn", "bench.floor:app", "--port", str(port), *_UVICORN), environ, port) as child:
        yield Target("floor", f"http://127.0.0.1:{port}", "none", child)


@contextlib.contextmanager
def _measured(command: list[str], environ: Mapping[str, str], port: int) -> Iterator[Child]:
    pinned = cpus()
    with on_cpu(pinned[1] if pinned else None):
        child = Child(command, environ)
    try:
        child.wait_for(f"http://127.0.0.1:{port}/")
        yield child
    finally:
        child.stop()


def template() -> Stack:
    """template.yaml, translated."""
    return load()
