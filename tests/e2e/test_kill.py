"""The gateway is killed under load: after a start and a sweep its books are in order, to the nano-dollar."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from aig.sweep import sweep
from aig.wiring import Container, container
from local.functions import shared_environment
from local.template import load
from ops import reconcile
from tests.e2e.stack import Stack
from tests.unit.clock import FixedClock

CALLERS = 16
ANSWERED_BEFORE = 40  # calls, before the kill
LATER_S = 1200.0  # behind the end of every hold, and of what the sweeper allows clocks
PATIENCE_S = 60.0


class Load:
    """Calls without a pause, by an account and by its customer, whole and streamed, quick and slow, until it breaks."""

    def __init__(self, base_url: str, keys: tuple[str, str]) -> None:
        self.answered = 0
        self.refused: list[str] = []
        self._base_url = base_url
        self._threads = [threading.Thread(target=self._call, args=(keys[n % 2], n)) for n in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()

    def _call(self, key: str, number: int) -> None:
        body: dict[str, Any] = {
            "model": "sandbox/slow" if number % 4 == 3 else "sandbox/echo",
            "messages": [{"role": "user", "content": f"caller {number}"}],
            "stream": number % 4 > 1,
            "temperature": number % 2,  # every other caller is answered from the cache
        }
        with httpx.Client(base_url=self._base_url, headers={"authorization": f"Bearer {key}"}, timeout=30) as client:
            while True:
                try:
                    answer = client.post("/chat/completions", json=body, headers={"x-aig-tag": f"t{number % 3}"})
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    self.answered += 1
                elif answer.status_code != 503:
                    self.refused.append(answer.text)


@asynccontextmanager
async def books(endpoint: str) -> AsyncIterator[Container]:
    """As they are seen when all holds are past their time."""
    env = {**os.environ, **shared_environment(load().functions), "AIG_DYNAMODB_ENDPOINT": endpoint}
    opened = container(env, clock=FixedClock(time.time() + LATER_S))
    try:
        yield opened
    finally:
        await opened.close()


async def differences(endpoint: str, account_id: str) -> list[str]:
    async with books(endpoint) as opened:
        return await reconcile.differences(opened, account_id)


async def slow_in_flight(endpoint: str) -> int:
    """Calls that last for seconds and hold money at this moment."""
    async with books(endpoint) as opened:
        open_holds = await opened.wallets.expired(int(opened.clock.now()))
    return sum(hold.model == "sandbox/slow" for hold in open_holds)


async def swept(endpoint: str) -> int:
    async with books(endpoint) as opened:
        return await sweep(opened.wallets, opened.telemetry, opened.clock, opened.ids)


def until(done: Callable[[], bool]) -> bool:
    """Whether it came to be in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (is_done := done()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_done


def test_books_are_in_order_after_a_kill_under_load_and_a_sweep(dynamodb_local: str) -> None:
    with Stack(AIG_DYNAMODB_ENDPOINT=dynamodb_local) as stack:
        headers = {"authorization": f"Bearer {stack.key}"}
        with httpx.Client(base_url=stack.base_url, headers=headers, timeout=30) as owner:
            made = owner.post("/sub-accounts", json={"name": "C", "spend_cap": "1.00"}).json()
            account_id = owner.get("/account").json()["id"]
        calls = Load(stack.base_url, (stack.key, made["key"]))
        busy = until(lambda: calls.answered >= ANSWERED_BEFORE and asyncio.run(slow_in_flight(dynamodb_local)) > 0)
        stack.kill()
        calls.wait()
        assert busy
        assert calls.refused == []
    found = asyncio.run(differences(dynamodb_local, account_id))
    assert any("still open" in line for line in found), found

    with Stack(AIG_DYNAMODB_ENDPOINT=dynamodb_local):  # it reads on in the table's stream
        assert asyncio.run(swept(dynamodb_local))
        until(lambda: not asyncio.run(differences(dynamodb_local, account_id)))
        assert asyncio.run(differences(dynamodb_local, account_id)) == []
