"""The template's event source mappings as the local stack runs them."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest

from local.deploy import create_tables
from local.embedded import EmbeddedAws
from local.stream_filters import check, passes
from local.stream_readers import EmbeddedReader
from local.streams import POLL_SECONDS, Streams
from local.template import StreamMapping, load

DEBITS: Mapping[str, Any] = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["debit"]}}}}
MAPPING = StreamMapping(
    "Mapping", "Rollup", "core", from_the_start=True, batch=3, window=1.0, filters=(DEBITS,), reports_failures=True,
    bisects=True, retries=4,
)  # fmt: skip


def record(number: int, kind: str = "debit", name: str = "INSERT") -> dict[str, Any]:
    image = {"pk": {"S": "a"}, "sk": {"S": f"txn#{number}"}, "kind": {"S": kind}}
    return {"eventName": name, "dynamodb": {"SequenceNumber": str(number), "NewImage": image}}


@dataclass
class Fed:
    """A reader that has each list of records once; an exception is raised in its place."""

    looks: list[list[dict[str, Any]] | Exception]

    def read(self) -> list[dict[str, Any]]:
        found = self.looks.pop(0) if self.looks else []
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class Function:
    """What is invoked: `answers` says what it makes of each batch in turn; of all others, nothing fails."""

    answers: list[Callable[[list[str]], object]] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)

    def __call__(self, function: str, event: dict[str, Any]) -> object:
        assert function == "Rollup"
        numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
        self.batches.append(numbers)
        return self.answers.pop(0)(numbers) if self.answers else {"batchItemFailures": []}


def failing(number: int | str) -> Callable[[list[str]], object]:
    return lambda _: {"batchItemFailures": [{"itemIdentifier": str(number)}]}


def raising(numbers: list[str]) -> object:
    raise RuntimeError(f"batch of {len(numbers)}")


def run(function: Function, *looks: Any, mapping: StreamMapping = MAPPING, waits: int = 30) -> list[str]:
    """Runs a mapping for so many waits, none of which takes time; the log."""
    log: list[str] = []
    left = [waits]

    def wait(_: float) -> bool:
        left[0] -= 1
        return left[0] < 0

    streams = Streams([mapping], lambda _: Fed(list(looks)), function, log.append, wait)
    streams.start()
    streams.join()
    return log


def test_a_function_gets_what_passes_the_filter_in_batches_and_in_order() -> None:
    function = Function()
    looks = [
        [record(1), record(2, "credit"), record(3, name="MODIFY"), *(record(n) for n in range(4, 8))],
        [],
        [record(9)],
    ]
    assert run(function, *looks) == []
    assert function.batches == [["1", "4", "5"], ["6", "7"], ["9"]]


def test_without_a_filter_all_pass() -> None:
    function = Function()
    run(function, [record(1, "credit"), record(2)], mapping=replace(MAPPING, filters=()))
    assert function.batches == [["1", "2"]]


def test_a_batch_comes_again_from_the_first_that_failed() -> None:
    function = Function([failing(2), failing(3)])
    assert run(function, [record(1), record(2), record(3)], [record(4)]) == []
    assert function.batches == [["1", "2", "3"], ["2", "3"], ["3"], ["4"]]


@pytest.mark.parametrize("name", ["17", ""])
def test_a_name_that_is_not_in_the_batch_fails_all_of_it(name: str) -> None:
    function = Function([failing(name)])
    run(function, [record(1), record(2)])
    assert function.batches == [["1", "2"], ["1", "2"]]


def test_a_batch_that_always_fails_is_given_up_and_said() -> None:
    function = Function([failing(1)] * 99)
    log = run(function, [record(1), record(2)], [record(3)], waits=8)
    assert function.batches[:5] == [["1", "2"]] * 5  # once, and four retries
    assert log == ["Rollup gave up on 2 records from 1 on"]
    assert function.batches[5] == ["3"]


def test_failures_that_nobody_asks_for_are_none() -> None:
    function = Function([failing(1)])
    run(function, [record(1)], mapping=replace(MAPPING, reports_failures=False))
    assert function.batches == [["1"]]


def test_an_error_halves_the_batch_until_only_what_fails_fails() -> None:
    function = Function()

    def poisoned(numbers: list[str]) -> object:
        if "2" in numbers:
            raise RuntimeError("poison")
        return None

    function.answers = [poisoned] * 99
    log = run(function, [record(1), record(2), record(3)])
    assert ["1"] in function.batches
    assert ["3"] in function.batches
    assert function.batches.count(["2"]) == 5
    assert log[-1] == "Rollup gave up on 1 records from 2 on"


def test_without_bisecting_the_batch_stays_whole_and_without_an_end_of_retries_it_goes_on() -> None:
    function = Function([raising] * 9)
    log = run(function, [record(1), record(2)], mapping=replace(MAPPING, bisects=False, retries=None))
    assert function.batches == [["1", "2"]] * 10
    assert log == ["Rollup failed: RuntimeError: batch of 2"] * 9


def test_a_stream_that_cannot_be_read_is_said_and_read_again() -> None:
    function = Function()
    assert run(function, OSError("away"), [record(1)]) == ["Mapping cannot read the stream: OSError: away"]
    assert function.batches == [["1"]]


def test_the_window_is_waited_for_behind_a_batch_and_not_before_it() -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 4

    reader = Fed([[], [record(1)], [record(2, "credit")]])
    streams = Streams([MAPPING], lambda _: reader, Function(), print, wait)
    streams.start()
    streams.join()
    assert waits == [POLL_SECONDS, POLL_SECONDS, MAPPING.window, POLL_SECONDS, POLL_SECONDS]


def test_stop_ends_the_wait_also_that_for_a_retry() -> None:
    retrying = threading.Event()
    batches: list[int] = []

    def invoke(function: str, event: dict[str, Any]) -> object:
        batches.append(len(event["Records"]))
        retrying.set()
        return {"batchItemFailures": [{"itemIdentifier": "1"}]}

    streams = Streams([replace(MAPPING, retries=None)], lambda _: Fed([[record(1)]]), invoke, print)
    streams.start()
    assert retrying.wait(20)
    streams.stop()
    streams.join()
    assert set(batches) == {1}


class TestFilters:
    @pytest.mark.parametrize(
        ("value", "pattern", "matches"),
        [
            ({"a": "x"}, {"a": ["x", "y"]}, True),
            ({"a": "z"}, {"a": ["x", "y"]}, False),
            ({}, {"a": ["x"]}, False),
            ({"a": None}, {"a": [None]}, True),
            ({"a": 1}, {"a": [1]}, True),
            ({"a": True}, {"a": [1]}, False),
            ({"a": "x"}, {"a": {"b": ["x"]}}, False),
            ({"a": "txn#1"}, {"a": [{"prefix": "txn#"}]}, True),
            ({"a": "hold#1"}, {"a": [{"prefix": "txn#"}]}, False),
            ({"a": 7}, {"a": [{"prefix": "7"}]}, False),
            ({"a": ""}, {"a": [{"exists": True}]}, True),
            ({}, {"a": [{"exists": False}]}, True),
            ({"a": "x"}, {"a": [{"anything-but": ["y"]}]}, True),
            ({"a": "y"}, {"a": [{"anything-but": "y"}]}, False),
            ({}, {"a": [{"anything-but": "y"}]}, False),
            ({"a": "x", "b": "y"}, {"a": ["x"], "b": ["z"]}, False),
        ],
    )
    def test_what_matches(self, value: Mapping[str, Any], pattern: Mapping[str, Any], matches: bool) -> None:
        check([pattern])
        assert passes(value, [pattern]) is matches

    def test_one_of_several_patterns_is_enough(self) -> None:
        assert passes({"a": "x"}, [{"a": ["y"]}, {"a": ["x"]}])

    @pytest.mark.parametrize("pattern", [{"a": [{"numeric": [">", 1]}]}, {"a": {"b": [{"suffix": "x"}]}}, {"a": "x"}])
    def test_what_is_not_known_stops_the_start(self, pattern: Mapping[str, Any]) -> None:
        with pytest.raises(ValueError, match="filter"):
            Streams([replace(MAPPING, filters=(pattern,))], lambda _: Fed([]), Function(), print)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    aws = EmbeddedAws()
    endpoint = aws.start()
    tables = [table for table in load().tables if table.logical_id == "CoreTable"]
    create_tables([replace(t, name=n, definition={**t.definition, "TableName": n}) for t in tables
                   for n in ("streamed", "late", "trimmed")], endpoint)  # fmt: skip
    client = boto3.client("dynamodb", endpoint_url=endpoint)
    yield client
    client.close()
    aws.stop()


class TestTheEmbeddedStream:
    def put(self, client: Any, table: str, *names: str) -> None:
        for name in names:
            client.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"S": name}, "n": {"N": "1"}})

    def names(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        return [record["dynamodb"]["Keys"]["sk"]["S"] for record in records]

    def test_it_is_read_from_the_start_and_on(self, client: Any) -> None:
        self.put(client, "streamed", "1", "2")
        reader = EmbeddedReader("streamed", from_the_start=True)
        assert self.names(reader.read()) == ["1", "2"]
        assert reader.read() == []
        self.put(client, "streamed", "3")
        (found,) = reader.read()
        assert (found["eventName"], found["eventSource"], found["eventVersion"]) == ("INSERT", "aws:dynamodb", "1.1")
        assert found["eventSourceARN"].startswith("arn:aws:dynamodb:us-east-1:123456789012:table/streamed/stream/")
        change = found["dynamodb"]
        assert change["NewImage"] == {"pk": {"S": "a"}, "sk": {"S": "3"}, "n": {"N": "1"}}
        assert isinstance(change["ApproximateCreationDateTime"], float)

    def test_an_image_is_that_of_its_time(self, client: Any) -> None:
        reader = EmbeddedReader("streamed", from_the_start=False)
        self.put(client, "streamed", "counter")
        client.update_item(
            TableName="streamed",
            Key={"pk": {"S": "a"}, "sk": {"S": "counter"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        images = [record["dynamodb"]["NewImage"]["n"]["N"] for record in reader.read()]
        assert images == ["1", "2"]

    def test_or_from_its_end(self, client: Any) -> None:
        self.put(client, "late", "1")
        reader = EmbeddedReader("late", from_the_start=False)
        self.put(client, "late", "2")
        assert self.names(reader.read()) == ["2"]

    def test_what_was_forgotten_is_told_once(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("local.embedded._STREAM_RECORDS_KEPT", 2)
        reader = EmbeddedReader("trimmed", from_the_start=True)
        self.put(client, "trimmed", "0")
        assert self.names(reader.read()) == ["0"]
        for name in ("1", "2", "3", "4"):
            row = {"pk": {"S": "a"}, "sk": {"S": name}}
            client.transact_write_items(TransactItems=[{"Put": {"TableName": "trimmed", "Item": row}}])
        with pytest.raises(LookupError, match="2 records"):
            reader.read()
        assert self.names(reader.read()) == ["3", "4"]
