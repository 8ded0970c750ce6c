"""What tests of the webhooks' routes have in common: endpoints by request, deliveries as the dispatcher makes them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import httpx

from aig.aws.events import event_item
from aig.dispatch import dispatch
from aig.events import Event
from aig.webhooks.delivery import Delivery, delivery_id
from aig.wiring import Container
from tests.apps import App
from tests.builders import Account
from tests.integration.test_keys import call
from tests.webhooks import World

URL = "https://hooks.example/aig"


@contextmanager
def sent_by(webhooks: App, endpoint: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the function has put into the queue since it was asked last."""
    client, url = boto3.client("sqs", endpoint_url=endpoint), webhooks.module.queue._url

    def messages() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while received := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(one["Body"]) for one in received]
            for one in received:
                client.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return found

    messages()  # those of other tests
    yield messages
    client.close()


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def made(webhooks: App, account: Account, **body: Any) -> dict[str, Any]:
    answer = await call(webhooks, account, "POST", "/v1/webhooks/endpoints", {"url": URL, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def a_delivery(container: Container, account: Account, endpoint: str | None = None) -> tuple[Event, Delivery]:
    """One that the dispatcher has made."""
    event = Event(
        container.ids.new("evt"),
        "balance.low",
        account.id,
        {"balance": "0.97"},
        int(container.clock.now()),
        webhook_url=None if endpoint else URL,
        key_id=None if endpoint else account.key_id,
    )
    await container.table.put_new(event_item(event))
    assert await dispatch(World(container, account, container.clock.now()).dispatching(), [event]) == []
    found = await container.deliveries.get(account.id, delivery_id(event.id, event.created_at, endpoint or "url"))
    assert found is not None
    return event, found


async def gone(self: object, account_id: str, event_id: str) -> None:
    """An event whose thirty days are over."""
