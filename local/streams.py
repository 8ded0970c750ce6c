"""Runs the template's event source mappings: reads the streams of tables and invokes functions with their records.

As with Lambda a batch is brought again, from the first record that failed, until it is done or given up; what a filter
keeps out is not brought at all. The batching window is waited for behind a batch and not before it, so that a single
call shows at once and many are brought together; a batch that is given up is only logged.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from local.stream_filters import check, passes
from local.template import StreamMapping

Invoke = Callable[[str, dict[str, Any]], object]
Wait = Callable[[float], bool]
Record = dict[str, Any]

POLL_SECONDS: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


class Reader(Protocol):
    """One table's stream, from where its reading began."""

    def read(self) -> list[Record]:
        """The records since the last call, oldest first, as Lambda hands them to a function."""
        ...


class Streams:
    """Invokes functions with the records of streams, each mapping in a thread of its own, one batch at a time.

    `open_reader` is called once for each mapping, by `start`. `invoke` takes a function's logical id and the event and
    returns what the function has; whatever it raises goes to `log`. `wait` sleeps for some seconds and tells whether to
    stop; tests pass their own. Raises ValueError for a filter that is not known here.
    """

    def __init__(
        self,
        mappings: Iterable[StreamMapping],
        open_reader: Callable[[StreamMapping], Reader],
        invoke: Invoke,
        log: Callable[[str], None],
        wait: Wait | None = None,
    ) -> None:
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._mappings = tuple(mappings)
        for mapping in self._mappings:
            check(mapping.filters)
        self._open_reader = open_reader
        self._invoke = invoke
        self._log = log
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts all mappings; what is written from here on is read."""
        for mapping in self._mappings:
            reader = self._open_reader(mapping)
            thread = threading.Thread(target=self._run, args=(mapping, reader), name=mapping.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ends all mappings; a function that is running is not waited for."""
        self._stopped.set()

    def join(self) -> None:
        """Waits until every mapping has ended."""
        for thread in self._threads:
            thread.join()

    def _run(self, mapping: StreamMapping, reader: Reader) -> None:
        pause = POLL_SECONDS
        while not self._wait(pause):
            pause = POLL_SECONDS
            try:
                records = reader.read()
            except Exception as error:
                self._log(f"{mapping.name} cannot read the stream: {type(error).__name__}: {error}")
                continue
            wanted = [record for record in records if passes(record, mapping.filters)]
            for first in range(0, len(wanted), mapping.batch):
                self._deliver(mapping, wanted[first : first + mapping.batch])
                pause = max(POLL_SECONDS, mapping.window)

    def _deliver(self, mapping: StreamMapping, records: list[Record]) -> None:
        """Brings a batch until all of it is done, or given up, or everything ends."""
        retries = 0
        while True:
            try:
                answer = self._invoke(mapping.function, {"Records": records})
                failed = _first_failed(records, answer) if mapping.reports_failures else None
            except Exception as error:
                self._log(f"{mapping.function} failed: {type(error).__name__}: {error}")
                if mapping.bisects and len(records) > 1:
                    middle = len(records) // 2
                    self._deliver(mapping, records[:middle])
                    self._deliver(mapping, records[middle:])
                    return
                failed = 0
            if failed is None:
                return
            retries = 0 if failed else retries + 1
            records = records[failed:]
            if mapping.retries is not None and retries > mapping.retries:
                self._log(
                    f"{mapping.function} gave up on {len(records)} records from {_sequence_number(records[0])} on"
                )
                return
            if self._wait(min(_LONGEST_PAUSE, POLL_SECONDS * 2**retries)):
                return


def _sequence_number(record: Record) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def _first_failed(records: Sequence[Record], answer: object) -> int | None:
    """Where the first failed record is. As with Lambda an answer that names no record of the batch fails all of it."""
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if not failures:
        return None
    named = {failure.get("itemIdentifier") for failure in failures}
    numbers = [_sequence_number(record) for record in records]
    if not named <= set(numbers):
        return 0
    return min(numbers.index(number) for number in named)
