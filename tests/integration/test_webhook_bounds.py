"""How much of webhooks an account may have, and what its requests leave behind where the store fails them halfway."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from aig.aws.webhooks import MOST_ACTS
from aig.ports import StoreBusy
from aig.webhooks.delivery import MOST_ROUNDS, given_up
from aig.webhooks.endpoint import failed
from aig.wiring import Container
from tests.apps import App
from tests.builders import Account, an_account
from tests.integration.test_keys import call
from tests.integration.webhook_client import URL, a_delivery, made, problem, sent_by


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


@pytest.fixture
def sent(dynamodb: str, webhooks: App) -> Iterator[Any]:
    """What the function has put into the queue since it was asked last."""
    with sent_by(webhooks, dynamodb) as messages:
        yield messages


async def test_of_many_made_at_once_there_are_twenty_too_and_who_is_gone_leaves_nothing(
    webhooks: App, container: Container, account: Account
) -> None:
    paths = ["/v1/webhooks/endpoints"] * 28
    answers = await asyncio.gather(*(call(webhooks, account, "POST", path, {"url": URL}) for path in paths))
    good = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    assert len(good) == len((await call(webhooks, account, "GET", paths[0])).json()["data"]) == 20
    for endpoint_id in good:
        answer = await call(webhooks, account, "DELETE", f"{paths[0]}/{endpoint_id}")
        assert answer.status_code == 200
    rows = await container.table.query("pk = :pk AND begins_with(sk, :h)", {":pk": account.id, ":h": "hook#"})
    assert rows == []


async def test_a_gateway_is_no_cannon(webhooks: App, container: Container, account: Account, sent: Any) -> None:
    endpoint = await made(webhooks, account)
    _, delivery = await a_delivery(container, account, endpoint["id"])
    for minute in (0, 60):  # one may end while the test runs
        now = container.clock.now() + minute
        allowed = [await container.webhooks.may_act(account.id, now) for _ in range(MOST_ACTS + 1)]
        assert allowed.count(False) in (1, 2)
    for path in ("endpoints", f"endpoints/{endpoint['id']}/test", f"deliveries/{delivery.id}/resend"):
        body = {"url": URL} if path == "endpoints" else None
        refused = await call(webhooks, account, "POST", f"/v1/webhooks/{path}", body)
        assert problem(refused) == (429, "rate_limit_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert sent() == []
    other = await an_account(container)
    await made(webhooks, other)


async def test_there_is_an_end_to_sending_it_again(
    webhooks: App, container: Container, account: Account, sent: Any
) -> None:
    endpoint = await made(webhooks, account)
    _, delivery = await a_delivery(container, account, endpoint["id"])
    path, store = f"/v1/webhooks/deliveries/{delivery.id}/resend", container.deliveries
    nudged = [(await call(webhooks, account, "POST", path)).status_code for _ in range(5)]
    assert nudged == [200, 200, 200, 409, 409]
    assert len(sent()) == 3
    current = await store.get(account.id, delivery.id)
    assert current is not None
    last = replace(current, status="dead", round=MOST_ROUNDS)
    assert await store.move(current, last)
    assert problem(await call(webhooks, account, "POST", path)) == (409, "too_many_rounds")
    assert await store.move(last, replace(last, round=MOST_ROUNDS - 1))
    assert (await call(webhooks, account, "POST", path)).json()["round"] == MOST_ROUNDS


async def test_a_list_goes_on_where_it_has_stopped_looking(
    webhooks: App, container: Container, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aig.aws.deliveries.MOST_PAGES", 2)
    monkeypatch.setattr("aig.aws.deliveries._READ_AT_ONCE", 3)
    found = [await a_delivery(container, account) for _ in range(16)]
    oldest = min((delivery for _, delivery in found), key=lambda delivery: delivery.id)
    assert await container.deliveries.move(oldest, given_up(oldest, container.clock.now()))
    pages, after = list[Any](), ""
    while True:
        page = (await call(webhooks, account, "GET", f"/v1/webhooks/deliveries?status=dead{after}")).json()
        pages.append(page)
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert [len(page["data"]) for page in pages] == [0, 0, 1]
    assert pages[-1]["data"][0]["id"] == oldest.id


async def test_one_that_was_made_before_its_account_was_noted_is_told_of_models(
    webhooks: App, container: Container, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = webhooks.module.container.webhooks
    put, failures = store._table.put, [StoreBusy("ThrottlingException")]

    async def fails_once(item: Mapping[str, Any]) -> None:
        if item["pk"].startswith("subscribers#") and failures:
            raise failures.pop()
        await put(item)

    monkeypatch.setattr(store._table, "put", fails_once)
    key = {"Idempotency_Key": "once"}
    first = await call(webhooks, account, "POST", "/v1/webhooks/endpoints", {"url": URL}, **key)
    assert first.status_code == 503
    again = await call(webhooks, account, "POST", "/v1/webhooks/endpoints", {"url": URL}, **key)
    assert again.status_code == 200
    assert account.id in await container.webhooks.subscribers()


async def test_another_url_begins_with_a_clean_sheet(webhooks: App, container: Container, account: Account) -> None:
    endpoint = await made(webhooks, account)
    before = await container.webhooks.endpoint(account.id, endpoint["id"])
    assert before is not None
    assert await container.webhooks.change(before, failed(before, 1_795_000_000))
    path = f"/v1/webhooks/endpoints/{endpoint['id']}"
    same = (await call(webhooks, account, "PATCH", path, {"description": "x"})).json()
    assert same["failing_since"] == 1_795_000_000
    other = (await call(webhooks, account, "PATCH", path, {"url": URL + "/2"})).json()
    assert other["failing_since"] is None


async def test_a_delete_is_answered_though_what_waits_cannot_be_cancelled(
    webhooks: App, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*given: Any) -> int:
        raise StoreBusy

    endpoint = await made(webhooks, account)
    monkeypatch.setattr(webhooks.module.container.deliveries, "cancel_pending", busy)
    answer = await call(webhooks, account, "DELETE", f"/v1/webhooks/endpoints/{endpoint['id']}")
    assert answer.json()["deleted"] is True


async def test_a_rotation_whose_reply_was_lost_is_a_rotation(
    webhooks: App, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = webhooks.module.container.webhooks
    put_if = store._table.put_if

    async def twice(*given: Any, **more: Any) -> bool:
        await put_if(*given, **more)
        return bool(await put_if(*given, **more))

    monkeypatch.setattr(store._table, "put_if", twice)
    rotated = await call(webhooks, account, "POST", "/v1/webhook-secret/rotate")
    assert (rotated.status_code, rotated.json()["generation"]) == (200, 2)
