"""SQS as moto has it in this process: one call at a time, quick with a backlog, and read without HTTP."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from local.intrinsics import ACCOUNT, REGION

_LOCK: Final = threading.RLock()
_LOCKED: Final = "_aigateway_locked"
_LOCKED_CALLS: Final = ("send_message", "delete_message", "change_message_visibility", "purge_queue")
_LOOK_SECONDS: Final = 1.0


def make_queues_atomic() -> None:
    """Puts one lock around what moto does with messages.

    Without it a message that comes while another is deleted can be lost, and one message can be received twice at a
    time. Whoever waits for messages waits outside the lock.
    """
    from moto.sqs.models import SQSBackend

    if hasattr(SQSBackend, _LOCKED):
        return
    for name in _LOCKED_CALLS:
        setattr(SQSBackend, name, _locked(getattr(SQSBackend, name)))
    receive: Callable[..., list[Any]] = SQSBackend.receive_message

    def receive_message(
        self: Any, queue_name: str, count: int, wait_seconds_timeout: float, *args: Any, **options: Any
    ) -> list[Any]:
        end = time.monotonic() + wait_seconds_timeout
        while True:
            with _LOCK:
                messages = receive(self, queue_name, count, 0, *args, **options)
            left = end - time.monotonic()
            if messages or left <= 0:
                return messages
            # Nothing tells when the visibility timeout of a message is over.
            self.get_queue(queue_name).wait_for_messages(min(left, _LOOK_SECONDS))

    SQSBackend.receive_message = receive_message  # type: ignore[method-assign]
    setattr(SQSBackend, _LOCKED, True)


def _locked(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: object, *args: Any, **options: Any) -> Any:
        with _LOCK:
            return original(self, *args, **options)

    return call


def make_queues_quick() -> None:
    """Has moto count a queue's messages faster, and not for each message that is received.

    A backlog of 5,000 messages took minutes of CPU.
    """
    from moto.sqs import models
    from moto.sqs.exceptions import ReceiptHandleIsInvalid

    queue: Any = models.Queue
    backend: Any = models.SQSBackend

    def messages(self: Any) -> list[Any]:
        now = _now_ms()
        return [message for message in self._messages if message.visible_at < now >= message.delayed_until]

    def delayed(self: Any) -> int:
        now = _now_ms()
        return sum(now < message.delayed_until for message in self._messages)

    def in_flight(self: Any) -> int:
        now = _now_ms()
        return sum(now <= message.visible_at for message in self._messages)

    def is_kept(self: Any, queue_name: str, message: Any) -> bool:
        retention: float = self.get_queue(queue_name).message_retention_period
        return bool(_now_ms() < message.sent_timestamp + 1000 * retention)

    def delete_message(self: Any, receipt_handle: str) -> None:
        if receipt_handle in self.deleted_messages:
            return
        for place, message in enumerate(self._messages):
            if receipt_handle == message.receipt_handle or receipt_handle in message._old_receipt_handles:
                # A list of its own: others look through this one without the lock.
                self._messages = self._messages[:place] + self._messages[place + 1 :]
                self.pending_messages.discard(message)
                self.deleted_messages.update(message.all_receipt_handles)
                return
        raise ReceiptHandleIsInvalid

    queue.messages = property(messages)
    queue.approximate_number_of_messages_delayed = property(delayed)
    queue.approximate_number_of_messages_not_visible = property(in_flight)
    backend.is_message_valid_based_on_retention_period = is_kept
    queue.delete_message = delete_message


def _now_ms() -> float:
    return time.time() * 1000


class EmbeddedQueue:
    """A queue of moto's by its physical name. Raises moto's QueueDoesNotExist when there is none."""

    def __init__(self, name: str) -> None:
        from moto.sqs.models import sqs_backends

        self._backend: Any = sqs_backends[ACCOUNT][REGION]
        self._queue: Any = self._backend.get_queue(name)

    def receive(self, most: int, patience: float) -> list[dict[str, Any]]:
        """Up to so many messages, as Lambda hands them to a function; waits so many seconds for the first."""
        visibility = self._queue.visibility_timeout
        messages = self._backend.receive_message(self._queue.name, most, patience, visibility, ["All"])
        return [self._record(message) for message in messages]

    def delete(self, receipts: Sequence[str]) -> None:
        """Forgets the messages that were received with these handles."""
        for receipt in receipts:
            self._backend.delete_message(self._queue.name, receipt)

    def _record(self, message: Any) -> dict[str, Any]:
        return {
            "messageId": message.id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.approximate_receive_count),
                "SentTimestamp": str(message.sent_timestamp),
                "SenderId": message.sender_id,
                "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
            },
            "messageAttributes": {name: _attribute(value) for name, value in message.message_attributes.items()},
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": self._queue.queue_arn,
            "awsRegion": REGION,
        }


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """An attribute of a message as events have it: names in camel case, and the lists that SQS never fills."""
    return {"stringListValues": [], "binaryListValues": []} | {
        name[0].lower() + name[1:]: value[name] for name in ("StringValue", "BinaryValue", "DataType") if name in value
    }
