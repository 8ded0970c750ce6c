"""The template's queues as the local stack serves them."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest

from local.deploy import create_queues
from local.embedded import EmbeddedAws
from local.embedded_queues import EmbeddedQueue
from local.errors import StartError
from local.queue_resources import Queue, QueueMapping
from local.queues import Queues

MAPPING = QueueMapping("Mapping", "Worker", "work", batch=3, window=0.0, reports_failures=True, concurrency=1)


def record(name: str) -> dict[str, Any]:
    return {"messageId": name, "receiptHandle": f"r-{name}", "attributes": {"ApproximateReceiveCount": "1"}}


@dataclass
class Fed:
    """A queue that gives each list of messages once; an exception is raised in its place."""

    looks: list[list[dict[str, Any]] | Exception]
    deleted: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def receive(self, most: int, patience: float) -> list[dict[str, Any]]:
        self.asked.append(most)
        found = self.looks.pop(0) if self.looks else []
        if isinstance(found, Exception):
            raise found
        return found

    def delete(self, receipts: Sequence[str]) -> None:
        self.deleted.extend(receipts)


def run(source: Fed, answer: Callable[[list[str]], object], mapping: QueueMapping = MAPPING) -> list[str]:
    """Runs a mapping until its queue has given everything, no wait of which takes time; the log."""
    log: list[str] = []

    def invoke(function: str, event: dict[str, Any]) -> object:
        assert function == "Worker"
        return answer([record["messageId"] for record in event["Records"]])

    queues = Queues([mapping], lambda _: source, invoke, log.append, lambda _: not source.looks)
    queues.start()
    queues.join()
    return log


def failing(*names: Any) -> Callable[[list[str]], object]:
    return lambda _: {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, "anything"])
def test_messages_are_deleted_once_they_are_done(answer: object) -> None:
    source = Fed([[record("a"), record("b")], [record("c")]])
    assert run(source, lambda _: answer) == []
    assert source.deleted == ["r-a", "r-b", "r-c"]
    assert set(source.asked) == {3}


def test_what_failed_stays_and_is_said() -> None:
    source = Fed([[record("a"), record("b"), record("c")]])
    log = run(source, failing("b"))
    assert source.deleted == ["r-a", "r-c"]
    assert log == ["work keeps message b, received 1 times, for another try"]


def test_functions_that_wait_keep_nobody_else_s_messages() -> None:
    together = threading.Barrier(9, timeout=20)
    source = Fed([[record(str(number))] for number in range(9)])
    assert run(source, lambda _: together.wait() and None, replace(MAPPING, concurrency=9)) == []
    assert len(source.deleted) == 9


@pytest.mark.parametrize("name", ["unknown", "", None])
def test_an_answer_that_names_no_message_of_the_batch_fails_all_of_it(name: str | None) -> None:
    source = Fed([[record("a"), record("b")]])
    run(source, failing("a", name))
    assert source.deleted == []


def test_a_failure_that_names_nothing_fails_all_of_it() -> None:
    source = Fed([[record("a"), record("b")]])
    run(source, lambda _: {"batchItemFailures": [{"id": "a"}]})
    assert source.deleted == []


def test_failures_that_nobody_asks_for_are_none() -> None:
    source = Fed([[record("a")]])
    run(source, failing("a"), replace(MAPPING, reports_failures=False))
    assert source.deleted == ["r-a"]


def test_an_exception_fails_all_of_the_batch_and_the_next_one_comes() -> None:
    def poisoned(names: list[str]) -> object:
        if "b" in names:
            raise RuntimeError("poison")
        return None

    source = Fed([[record("a"), record("b")], [record("c")]])
    log = run(source, poisoned)
    assert source.deleted == ["r-c"]
    assert log[0] == "Worker failed: RuntimeError: poison"
    assert len(log) == 3


def test_a_queue_that_cannot_be_read_is_said_and_read_again() -> None:
    source = Fed([OSError("away"), [record("a")]])
    assert run(source, lambda _: None) == ["Mapping cannot read the queue: OSError: away"]
    assert source.deleted == ["r-a"]


def test_the_window_is_waited_for_behind_a_batch() -> None:
    waits: list[float] = []
    source = Fed([[], [record("a")], []])

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 3

    queues = Queues([replace(MAPPING, window=5.0)], lambda _: source, lambda *_: None, print, wait)
    queues.start()
    queues.join()
    assert waits == [0.0, 0.0, 5.0, 0.0]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    aws = EmbeddedAws()
    yield aws.start()
    aws.stop()


@pytest.fixture
def client(endpoint: str) -> Iterator[Any]:
    client = boto3.client("sqs", endpoint_url=endpoint)
    yield client
    client.close()


@dataclass
class Work:
    """A queue of a test's own with its dead letters, and what was invoked with its messages."""

    queue: str
    dead: str
    url: str
    dead_url: str


@pytest.fixture
def work(endpoint: str) -> Work:
    name = f"work-{uuid.uuid4().hex}"
    dead = Queue("Dead", f"{name}-dead", 30, 3600, None, None)
    # Visible again at once, so that no test waits.
    queues = [Queue("Work", name, 0, 3600, dead.name, 3), dead]
    create_queues(queues, endpoint)
    create_queues(queues, endpoint)
    address = "https://sqs.us-east-1.amazonaws.com/123456789012/"
    return Work(name, dead.name, address + name, address + dead.name)


class TestTheEmbeddedQueue:
    def test_messages_come_as_lambda_has_them(self, client: Any, work: Work) -> None:
        attributes = {"kind": {"DataType": "String", "StringValue": "x"}}
        sent = client.send_message(QueueUrl=work.url, MessageBody='{"n": 1}', MessageAttributes=attributes)
        (found,) = EmbeddedQueue(work.queue).receive(10, 0)
        assert found.pop("receiptHandle")
        assert int(found["attributes"].pop("SentTimestamp")) <= int(
            found["attributes"].pop("ApproximateFirstReceiveTimestamp")
        )
        assert found["attributes"].pop("SenderId")
        assert found == {
            "messageId": sent["MessageId"],
            "body": '{"n": 1}',
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {
                "kind": {"stringValue": "x", "dataType": "String", "stringListValues": [], "binaryListValues": []}
            },
            "md5OfBody": sent["MD5OfMessageBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{work.queue}",
            "awsRegion": "us-east-1",
        }

    def test_a_message_that_is_not_deleted_comes_again_and_is_dead_in_the_end(self, client: Any, work: Work) -> None:
        client.send_message(QueueUrl=work.url, MessageBody="poison")
        ended = threading.Event()
        seen: list[str] = []
        log: list[str] = []

        def invoke(_: str, event: dict[str, Any]) -> object:
            (message,) = event["Records"]
            seen.append(message["attributes"]["ApproximateReceiveCount"])
            if len(seen) == 3:
                ended.set()
            return {"batchItemFailures": [{"itemIdentifier": message["messageId"]}]}

        mapping = replace(MAPPING, queue=work.queue)
        queues = Queues([mapping], lambda mapping: EmbeddedQueue(mapping.queue), invoke, log.append)
        queues.start()
        assert ended.wait(20)
        (dead,) = EmbeddedQueue(work.dead).receive(1, 20)
        queues.stop()
        queues.join()
        assert dead["body"] == "poison"
        assert seen == ["1", "2", "3"]
        assert len(log) == 3

    def test_it_waits_for_a_message_and_no_longer(self, client: Any, work: Work) -> None:
        got: list[Any] = []
        receiver = threading.Thread(target=lambda: got.extend(EmbeddedQueue(work.queue).receive(1, 60)))
        receiver.start()
        client.send_message(QueueUrl=work.url, MessageBody="late")
        receiver.join(20)
        assert [message["body"] for message in got] == ["late"]
        assert EmbeddedQueue(work.dead).receive(1, 0) == []

    def test_no_message_is_lost_or_brought_twice_at_a_time(self, client: Any, endpoint: str) -> None:
        queue = Queue("Many", f"many-{uuid.uuid4().hex}", 600, 3600, None, None)
        create_queues([queue], endpoint)
        url = f"https://sqs.us-east-1.amazonaws.com/123456789012/{queue.name}"
        seen: list[str] = []
        everything = threading.Event()

        def invoke(_: str, event: dict[str, Any]) -> None:
            seen.extend(message["body"] for message in event["Records"])
            if len(seen) >= 400:
                everything.set()

        mapping = replace(MAPPING, queue=queue.name, concurrency=8)
        queues = Queues([mapping], lambda mapping: EmbeddedQueue(mapping.queue), invoke, print)
        queues.start()

        def send(sender: int) -> None:
            for batch in range(10):
                entries = [{"Id": str(n), "MessageBody": f"{sender}-{batch}-{n}"} for n in range(10)]
                client.send_message_batch(QueueUrl=url, Entries=entries)

        senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert everything.wait(20)
        queues.stop()
        queues.join()
        assert len(seen) == len(set(seen)) == 400
        counts = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"

    def test_the_redrive_policy_is_the_template_s(self, client: Any, work: Work) -> None:
        attributes = client.get_queue_attributes(QueueUrl=work.url, AttributeNames=["All"])["Attributes"]
        assert json.loads(attributes["RedrivePolicy"]) == {
            "deadLetterTargetArn": f"arn:aws:sqs:us-east-1:123456789012:{work.dead}",
            "maxReceiveCount": 3,
        }
        assert (attributes["VisibilityTimeout"], attributes["MessageRetentionPeriod"]) == ("0", "3600")

    def test_an_endpoint_that_is_not_there_is_named(self) -> None:
        with pytest.raises(StartError, match=r"^SQS at http://127.0.0.1:9 does not work"):
            create_queues([], "http://127.0.0.1:9")
