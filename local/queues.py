"""Runs the template's event source mappings of queues: receives messages and invokes functions with them.

As with Lambda a message is deleted once its batch is done; what failed stays and comes again when the queue's
visibility timeout is over, until the queue gives it to its dead letters. The batching window is waited for behind a
batch and not before it, so that a single message is brought at once.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from local.queue_resources import QueueMapping

Invoke = Callable[[str, dict[str, Any]], object]
Wait = Callable[[float], bool]
Record = dict[str, Any]

PATIENCE_SECONDS: Final = 1.0
_AT_FIRST: Final = 4


class Source(Protocol):
    """One queue."""

    def receive(self, most: int, patience: float) -> list[Record]:
        """Up to so many messages, as Lambda hands them to a function; waits so many seconds for the first."""
        ...

    def delete(self, receipts: Sequence[str]) -> None:
        """Forgets the messages that were received with these handles."""
        ...


class Queues:
    """Invokes functions with the messages of queues: a few threads for each mapping, a batch at a time in each.

    More come, as many as the mapping's concurrency, while all of them are at work: as with Lambda, functions that wait
    for somebody keep nobody else's messages.

    `open_source` is called once for each mapping, by `start`. `invoke` takes a function's logical id and the event and
    returns what the function has; whatever it raises goes to `log`. `wait` sleeps for some seconds and tells whether to
    stop; tests pass their own.
    """

    def __init__(
        self,
        mappings: Iterable[QueueMapping],
        open_source: Callable[[QueueMapping], Source],
        invoke: Invoke,
        log: Callable[[str], None],
        wait: Wait | None = None,
    ) -> None:
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._mappings = tuple(mappings)
        self._open_source = open_source
        self._invoke = invoke
        self._log = log
        self._threads: list[threading.Thread] = []
        self._idle = dict.fromkeys((mapping.name for mapping in self._mappings), 0)
        self._left = {mapping.name: mapping.concurrency for mapping in self._mappings}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts all mappings."""
        for mapping in self._mappings:
            source = self._open_source(mapping)
            for _ in range(min(mapping.concurrency, _AT_FIRST)):
                self._add(mapping, source)

    def stop(self) -> None:
        """Ends all mappings; a function that is running is not waited for."""
        self._stopped.set()

    def join(self) -> None:
        """Waits until every mapping has ended."""
        for thread in self._threads:  # one that is added meanwhile is met at the end
            thread.join()

    def _add(self, mapping: QueueMapping, source: Source) -> None:
        with self._lock:
            if not self._left[mapping.name] or self._stopped.is_set():
                return
            self._left[mapping.name] -= 1
            self._idle[mapping.name] += 1
            name = f"{mapping.name}-{mapping.concurrency - self._left[mapping.name] - 1}"
            thread = threading.Thread(target=self._run, args=(mapping, source), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, mapping: QueueMapping, source: Source) -> None:
        pause = 0.0
        while not self._wait(pause):
            pause = 0.0
            try:
                records = source.receive(mapping.batch, PATIENCE_SECONDS)
                if records:
                    pause = mapping.window
                    if self._busy(mapping, 1) == 0:
                        self._add(mapping, source)
                    try:
                        source.delete(self._done(mapping, records))
                    finally:
                        self._busy(mapping, -1)
            except Exception as error:
                self._log(f"{mapping.name} cannot read the queue: {type(error).__name__}: {error}")
                pause = PATIENCE_SECONDS

    def _busy(self, mapping: QueueMapping, more: int) -> int:
        """How many threads of a mapping are idle, once so many more are at work."""
        with self._lock:
            self._idle[mapping.name] -= more
            return self._idle[mapping.name]

    def _done(self, mapping: QueueMapping, records: Sequence[Record]) -> list[str]:
        """Invokes the function; the handles of the messages that it is done with."""
        try:
            answer = self._invoke(mapping.function, {"Records": list(records)})
        except Exception as error:
            self._log(f"{mapping.function} failed: {type(error).__name__}: {error}")
            failed = {_id(record) for record in records}
        else:
            failed = _failed(records, answer) if mapping.reports_failures else set()
        for record in records:
            if _id(record) in failed:
                received = record["attributes"]["ApproximateReceiveCount"]
                self._log(f"{mapping.queue} keeps message {_id(record)}, received {received} times, for another try")
        return [record["receiptHandle"] for record in records if _id(record) not in failed]


def _id(record: Record) -> str:
    return str(record["messageId"])


def _failed(records: Sequence[Record], answer: object) -> set[str]:
    """Which messages failed. As with Lambda an answer that names no message of the batch fails all of it."""
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if not failures:
        return set()
    known = {_id(record) for record in records}
    named = {failure.get("itemIdentifier") for failure in failures}
    return named if named <= known else known
