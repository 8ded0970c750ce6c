"""The template's SQS queues, and the functions that are invoked with their messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.intrinsics import Resolver

# What holds where the template says nothing.
_VISIBILITY_SECONDS: Final = 30
_RETENTION_SECONDS: Final = 345_600
_BATCH: Final = 10
# Lambda begins with so many batches at a time.
_CONCURRENCY: Final = 5


@dataclass(frozen=True)
class Queue:
    """One standard queue. `visibility` and `retention` are in seconds.

    `dead_letters` is the physical name of the queue that takes what was received `most_receives` times in vain; both
    are None where there is none.
    """

    logical_id: str
    name: str
    visibility: int
    retention: int
    dead_letters: str | None
    most_receives: int | None


@dataclass(frozen=True)
class QueueMapping:
    """A function that is invoked with the messages of a queue, which goes by its physical name.

    `window` is in seconds; `concurrency` is how many batches are in flight at a time.
    """

    name: str
    function: str
    queue: str
    batch: int
    window: float
    reports_failures: bool
    concurrency: int


def queue(logical_id: str, properties: Mapping[str, Any], resolver: Resolver) -> Queue:
    """Reads one AWS::SQS::Queue. Raises ValueError for a FIFO queue, which nothing here delivers in order."""
    resolved = resolver.resolve(properties)
    if resolved.get("FifoQueue"):
        raise ValueError(f"{logical_id} is a FIFO queue: only standard ones run locally")
    redrive = properties.get("RedrivePolicy")
    return Queue(
        logical_id=logical_id,
        name=resolver.physical_name(logical_id),
        visibility=int(resolved.get("VisibilityTimeout", _VISIBILITY_SECONDS)),
        retention=int(resolved.get("MessageRetentionPeriod", _RETENTION_SECONDS)),
        dead_letters=redrive and resolver.physical_name(resolver.named(redrive["deadLetterTargetArn"])),
        most_receives=redrive and int(resolver.resolve(redrive["maxReceiveCount"])),
    )


def queue_mapping(name: str, properties: Mapping[str, Any], source: str, resolver: Resolver) -> QueueMapping:
    """Reads one AWS::Lambda::EventSourceMapping of the queue `source`. Raises ValueError when it filters."""
    if "FilterCriteria" in properties:
        raise ValueError(f"{name} filters messages: only streams are filtered locally")
    resolved = resolver.resolve(properties)
    return QueueMapping(
        name=name,
        function=resolver.function(properties["FunctionName"]),
        queue=resolver.physical_name(source),
        batch=int(resolved.get("BatchSize", _BATCH)),
        window=float(resolved.get("MaximumBatchingWindowInSeconds", 0)),
        reports_failures="ReportBatchItemFailures" in resolved.get("FunctionResponseTypes", ()),
        concurrency=int(resolved.get("ScalingConfig", {}).get("MaximumConcurrency", _CONCURRENCY)),
    )
