"""How long each of many waits may take. `asyncio.timeout` sets and drops a timer for each, 5 µs with every event."""

import asyncio
from types import TracebackType
from typing import Self


class Patience:
    """`with patience.until(when): await …`, one wait of one task after the other. Raises TimeoutError, as does
    `asyncio.timeout_at`, whose `when` this is.

    There is one timer for all of them: when it fires it looks whether the wait of that moment is over, and when to look
    again. It must be closed in the end.
    """

    def __init__(self) -> None:
        self.expired = False  # whether the last wait was ended
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._task: asyncio.Task[object] | None = None  # while it waits
        self._cancelling = 0  # how often others had cancelled it before

    def until(self, when: float) -> Self:
        self._until = when
        if self._timer is None or self._timer.when() > when:
            self._set(when)
        return self

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, when: float) -> None:
        self.close()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._until:
            self._set(self._until)
            return
        self.expired = True
        self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.expired, self._task, self._cancelling = False, task, task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        assert task is not None
        if self.expired and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
