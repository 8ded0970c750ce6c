"""Waits that take too long are ended, one after the other; whoever else cancels them is not taken for the time."""

import asyncio
import contextlib
import weakref

import pytest

from aig.patience import Patience

GUARD_S = 10.0


async def _wait(patience: Patience, seconds: float, event: asyncio.Event | None = None) -> None:
    async with asyncio.timeout(GUARD_S):
        with patience.until(asyncio.get_running_loop().time() + seconds):
            await (event or asyncio.Event()).wait()


async def test_each_wait_has_its_own_time() -> None:
    with contextlib.closing(Patience()) as patience:
        for seconds in (0.02, 0.0, 0.01):
            with pytest.raises(TimeoutError):
                await _wait(patience, seconds)
            assert patience.expired


async def test_what_comes_in_time_is_taken_and_leaves_the_next_its_time() -> None:
    came = asyncio.Event()
    came.set()
    with contextlib.closing(Patience()) as patience:
        for _ in range(3):
            await _wait(patience, 0.03, came)
            await asyncio.sleep(0.02)
        assert not patience.expired
        with pytest.raises(TimeoutError):
            await _wait(patience, 0.01)


async def test_a_shorter_wait_does_not_wait_for_the_timer_of_a_longer() -> None:
    came = asyncio.Event()
    came.set()
    with contextlib.closing(Patience()) as patience:
        await _wait(patience, 2 * GUARD_S, came)
        with pytest.raises(TimeoutError):
            await _wait(patience, 0.01)
        assert patience.expired  # it was not the guard


async def test_a_cancellation_is_no_timeout() -> None:
    with contextlib.closing(Patience()) as patience:
        waiting = asyncio.create_task(_wait(patience, GUARD_S))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not patience.expired


async def test_a_timeout_of_what_is_waited_for_is_told_apart() -> None:
    with contextlib.closing(Patience()) as patience:
        with pytest.raises(TimeoutError), patience.until(asyncio.get_running_loop().time() + GUARD_S):
            raise TimeoutError
        assert not patience.expired


async def test_nothing_of_it_is_left_once_it_is_closed() -> None:
    """A timer of a quarter of an hour for each stream would be a leak."""
    patience = Patience()
    came = asyncio.Event()
    came.set()
    await _wait(patience, GUARD_S, came)
    patience.close()
    gone = weakref.ref(patience)
    del patience
    assert gone() is None
