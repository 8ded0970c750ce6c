"""The receivers of the docs on a running stack: what happens arrives, verifies, and is tried again when it should."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from local.template import ROOT
from tests.e2e.stack import Stack
from tests.hooks import Hooks, hooks

SCALE: Final = 0.005
PATIENCE_S: Final = 90.0
DOCS: Final = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A gateway whose waits are short."""
    with Stack(TIME_SCALE=str(SCALE)) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {stack.key}"}
    with httpx.Client(base_url=stack.base_url, headers=headers, timeout=30) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Hooks]:
    with hooks() as found:
        yield found


def polled(look: Callable[[], Any]) -> Any:
    """What a look finds as soon as it finds anything."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def endpoint(client: httpx.Client, url: str, *events: str) -> dict[str, Any]:
    body = {"url": url, "events": list(events) or ["*"]}
    answer = client.post("/webhooks/endpoints", json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_receiver_of_the_docs_believes_what_is_true_and_nothing_else(
    client: httpx.Client, receiver: Hooks, language: str, tmp_path: Path
) -> None:
    """A port that is free now is hoped to be free in a moment."""
    command = [sys.executable] if language == "python" else [shutil.which("node") or pytest.skip("there is no node")]
    code = re.search(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    assert code is not None
    file = tmp_path / ("receiver.py" if language == "python" else "receiver.mjs")
    file.write_text(code[1], encoding="utf-8")
    secret = client.get("/webhook-secret").json()["secret"]
    with hooks() as free:
        port = free.port
    env = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": secret, "PORT": str(port)}
    process = subprocess.Popen([*command, str(file)], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = f"http://127.0.0.1:{port}/"
        polled(lambda: _listens(url))
        made = endpoint(client, url, "job.completed")
        delivery = client.post(f"/webhooks/endpoints/{made['id']}/test").json()
        lines = iter(process.stdout.readline, "")
        line = next(line for line in lines if not line.startswith(("None", "undefined", "x ")))
        assert line.startswith("webhook.test 1 {")
        path = f"/webhooks/deliveries/{delivery['id']}"
        polled(lambda: client.get(path).json()["status"] == "delivered")
        client.delete(f"/webhooks/endpoints/{made['id']}")
    finally:
        process.kill()
        process.communicate()


def _listens(url: str) -> bool:
    try:
        return (
            httpx.post(url, content=b"{}", headers={"x-aig-event-type": "x", "x-aig-attempt": "0"}).status_code == 400
        )
    except httpx.TransportError:
        return False


def test_attempts_come_when_the_docs_say_and_the_log_shows_them(client: httpx.Client, receiver: Hooks) -> None:
    receiver.statuses = [500, 500, 500, 200]
    made = endpoint(client, receiver.url, "subaccount.created")
    created = client.post("/sub-accounts", json={"name": "Customer 17", "spend_cap": "1.00"}).json()
    polled(lambda: len(receiver.sent) == 4)
    deliveries = client.get("/webhooks/deliveries", params={"endpoint": made["id"]}).json()["data"]
    (delivery,) = deliveries
    path = f"/webhooks/deliveries/{delivery['id']}"
    polled(lambda: client.get(path).json()["status"] == "delivered")
    shown = client.get(path).json()
    assert [attempt["status_code"] for attempt in shown["attempts"]] == [500, 500, 500, 200]
    assert [sent.headers["x-aig-attempt"] for sent in receiver.sent] == ["1", "2", "3", "4"]
    assert {sent.headers["x-aig-delivery-id"] for sent in receiver.sent} == {delivery["id"]}
    assert receiver.sent[0].json["data"]["sub_account"] == created["id"]
    waits = [after.at - before.at for before, after in pairwise(receiver.sent)]
    assert all(wait >= seconds * SCALE for wait, seconds in zip(waits, (30, 120, 600), strict=True))

    receiver.statuses = [200]
    again = client.post(f"{path}/resend").json()
    assert (again["round"], again["status"]) == (2, "pending")
    polled(lambda: len(receiver.sent) == 5)
    assert receiver.sent[-1].headers["x-aig-delivery-id"] == delivery["id"]
    assert receiver.sent[-1].headers["x-aig-attempt"] == "1"
    client.delete(f"/webhooks/endpoints/{made['id']}")


def test_410_switches_an_endpoint_off_and_another_is_told(client: httpx.Client, receiver: Hooks) -> None:
    with hooks() as other:
        receiver.statuses = [410]
        gone = endpoint(client, receiver.url, "subaccount.created")
        watcher = endpoint(client, other.url, "webhook.endpoint.disabled")
        client.post("/sub-accounts", json={"name": "Customer 18"})
        (told,) = polled(lambda: other.sent)
        assert (told.json["type"], told.json["data"]["endpoint"]) == ("webhook.endpoint.disabled", gone["id"])
        shown = client.get(f"/webhooks/endpoints/{gone['id']}").json()
        assert (shown["status"], shown["disabled_reason"]) == ("disabled", "gone")
        assert len(receiver.sent) == 1
        client.delete(f"/webhooks/endpoints/{watcher['id']}")
