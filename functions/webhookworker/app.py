"""Makes attempts: all of a batch of messages at once, or one delivery of the state machine."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aig import wiring
from aig.deliveries import Deliverer
from aig_providers.fetch import GuardedFetcher

container = wiring.container()
queue = wiring.queue("AIG_WEBHOOK_QUEUE")
machine = wiring.machine("AIG_WEBHOOK_MACHINE")
deliverer = Deliverer(
    log=container.deliveries,
    endpoints=container.webhooks,
    events=container.events,
    post=GuardedFetcher(wiring.SystemResolver(), allow_loopback=wiring.allow_loopback()),
    queue=queue,
    machines=machine,
    secrets=container.secrets,
    telemetry=container.telemetry,
    clock=container.clock,
    ids=container.ids,
    scale=wiring.time_scale(),
)
NAMES_AT_ONCE = 32  # looked up, each in a thread: a name server that does not answer must not keep the other names


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes a batch of the queue, and names the messages to bring again; or one delivery of the machine.

    The machine is told whether the delivery has ended, and else in how many seconds to come again.
    """
    return asyncio.run(_work(event))


async def _work(event: dict[str, Any]) -> dict[str, Any]:
    loop, names = asyncio.get_running_loop(), ThreadPoolExecutor(NAMES_AT_ONCE)
    loop.set_default_executor(names)
    try:
        if "Records" not in event:
            return await _next(event)
        done = await asyncio.gather(*(_first(record) for record in event["Records"]))
        again = [record["messageId"] for record, good in zip(event["Records"], done, strict=True) if not good]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}
    finally:
        # The loop waits for its threads in the end, and a name server that hangs would have it wait for long.
        names.shutdown(wait=False, cancel_futures=True)
        loop.set_default_executor(ThreadPoolExecutor(1))
        await machine.close()
        await queue.close()
        await container.close()


async def _first(record: dict[str, Any]) -> bool:
    """False: the message is to come again. One that always fails ends in the queue of the dead, with an alarm."""
    try:
        message = json.loads(record["body"])
        return await deliverer.first(message["tenant"], message["delivery_id"], message.get("deferred", 0))
    except Exception as error:
        container.telemetry.alarm("WebhookNotSent", message_id=record["messageId"], error=type(error).__name__)
        return False


async def _next(given: dict[str, Any]) -> dict[str, Any]:
    step = await deliverer.next(given["tenant"], given["delivery_id"], given["round"])
    named = {name: given[name] for name in ("tenant", "delivery_id", "round")}
    return {**named, "ended": step.state == "ended", "seconds": step.seconds}
