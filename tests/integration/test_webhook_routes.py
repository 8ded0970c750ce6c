"""What accounts set and see of their webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aig.dispatch import message
from aig.webhooks.delivery import cancelled
from aig.webhooks.secret import BOTH_S, derived
from aig.wiring import Container
from tests.apps import App
from tests.builders import PEPPER, SECRETS, Account, a_key, a_sub_account, an_account
from tests.integration.test_keys import call
from tests.integration.webhook_client import URL, a_delivery, gone, made, problem, sent_by
from tests.receiver import Answer, Receiver, receiving
from tests.webhooks import World


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
def sent(dynamodb: str, webhooks: App) -> Iterator[Any]:
    """What the function has put into the queue, by whom and in order."""
    with sent_by(webhooks, dynamodb) as messages:
        yield messages


class TestSecrets:
    async def test_each_key_has_its_own(self, webhooks: App, container: Container, account: Account) -> None:
        first = (await call(webhooks, account, "GET", "/v1/webhook-secret")).json()
        assert first == {
            "object": "webhook_secret",
            "key_id": account.key_id,
            "generation": 1,
            "former_secret_expires_at": None,
            "secret": derived(PEPPER, account.key_id, 1),
        }
        other = await a_key(container, account.id, scopes=["inference"])
        second = (await call(webhooks, other, "GET", "/v1/webhook-secret")).json()
        assert second["secret"] not in ("", first["secret"])

    async def test_a_rotation_makes_another_and_a_second_one_has_to_wait(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        now = container.clock.now()
        rotated = (await call(webhooks, account, "POST", "/v1/webhook-secret/rotate")).json()
        assert rotated["secret"] == derived(PEPPER, account.key_id, 2)
        assert 0 <= rotated["former_secret_expires_at"] - BOTH_S - int(now) < 60
        assert (await call(webhooks, account, "GET", "/v1/webhook-secret")).json() == rotated
        refused = await call(webhooks, account, "POST", "/v1/webhook-secret/rotate")
        assert problem(refused) == (409, "rotation_in_progress")
        assert BOTH_S - 60 < int(refused.headers["retry-after"]) <= BOTH_S
        past = {":past": int(now) - BOTH_S}
        await container.table.update(account.id, f"whsecret#{account.key_id}", "SET rotated_at = :past", past)
        again = await call(webhooks, account, "POST", "/v1/webhook-secret/rotate")
        assert again.json()["secret"] == derived(PEPPER, account.key_id, 3)

    async def test_a_secret_that_has_leaked_is_dropped_at_once_whoever_rotated_it_before(
        self, webhooks: App, account: Account
    ) -> None:
        path = "/v1/webhook-secret/rotate"
        await call(webhooks, account, "POST", path)  # by the thief
        own = (await call(webhooks, account, "POST", path, {"grace_period_s": 0})).json()
        assert (own["secret"], own["former_secret_expires_at"]) == (derived(PEPPER, account.key_id, 3), None)
        again = await call(webhooks, account, "POST", path)  # nothing is left that another rotation would cut short
        assert (again.status_code, again.json()["generation"]) == (200, 4)
        for body in ({"grace_period_s": 5}, {"foo": 1}):
            refused = await call(webhooks, account, "POST", path, body)
            assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")

    async def test_the_same_request_rotates_once_and_no_secret_is_stored(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        key = {"Idempotency_Key": "once"}
        answers = [await call(webhooks, account, "POST", "/v1/webhook-secret/rotate", **key) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
        assert answers[1].headers["idempotent-replayed"] == "true"
        secret = answers[0].json()["secret"]
        rows = await container.table.query("pk = :pk", {":pk": account.id})
        assert secret not in repr(rows)
        SECRETS.add(secret)  # nor is it in any log


class TestEndpoints:
    async def test_they_are_made_shown_changed_and_deleted(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        endpoint = await made(webhooks, account, events=["job.completed"], description="production")
        path = f"/v1/webhooks/endpoints/{endpoint['id']}"
        assert {name: endpoint[name] for name in ("object", "url", "events", "status", "key_id", "description")} == {
            "object": "webhook_endpoint",
            "url": URL,
            "events": ["job.completed"],
            "status": "active",
            "key_id": account.key_id,
            "description": "production",
        }
        assert (await call(webhooks, account, "GET", path)).json() == endpoint
        listed = (await call(webhooks, account, "GET", "/v1/webhooks/endpoints")).json()
        assert (listed["data"], listed["has_more"]) == ([endpoint], False)

        other = await a_key(container, account.id)
        changes = {"events": ["*"], "url": URL + "/2", "description": None, "key_id": other.key_id}
        changed = (await call(webhooks, account, "PATCH", path, changes)).json()
        assert {name: changed[name] for name in changes} == changes

        gone = (await call(webhooks, account, "DELETE", path)).json()
        assert gone == {"object": "webhook_endpoint", "id": endpoint["id"], "deleted": True}
        assert problem(await call(webhooks, account, "GET", path)) == (404, "not_found")
        assert (await call(webhooks, account, "GET", "/v1/webhooks/endpoints")).json()["data"] == []

    async def test_without_events_it_is_told_of_everything(self, webhooks: App, account: Account) -> None:
        assert (await made(webhooks, account))["events"] == ["*"]

    async def test_the_same_request_makes_one(self, webhooks: App, account: Account) -> None:
        key = {"Idempotency_Key": "once"}
        answers = [
            await call(webhooks, account, "POST", "/v1/webhooks/endpoints", {"url": URL}, **key) for _ in range(2)
        ]
        assert answers[0].json() == answers[1].json()
        other = await call(webhooks, account, "POST", "/v1/webhooks/endpoints", {"url": URL + "/2"}, **key)
        assert problem(other) == (409, "idempotency_mismatch")

    async def test_there_are_twenty_at_most(self, webhooks: App, account: Account) -> None:
        endpoints = [await made(webhooks, account) for _ in range(20)]
        refused = await call(webhooks, account, "POST", "/v1/webhooks/endpoints", {"url": URL})
        assert problem(refused) == (409, "too_many_endpoints")
        await call(webhooks, account, "DELETE", f"/v1/webhooks/endpoints/{endpoints[3]['id']}")
        await made(webhooks, account)

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({}, "url"),
            ({"url": 5}, "url"),
            ({"url": "http://hooks.example/"}, "url"),
            ({"url": "https://127.0.0.1/"}, "url"),
            ({"url": "https://gateway/v1/wallet"}, "url"),
            ({"url": URL, "events": []}, "events"),
            ({"url": URL, "events": ["balance.gone"]}, "events[0]"),
            ({"url": URL, "events": "*"}, "events"),
            ({"url": URL, "description": "<b>"}, "description"),
            ({"url": URL, "secret": "mine"}, "secret"),
        ],
    )
    async def test_bodies_that_are_not_right(
        self, webhooks: App, account: Account, body: dict[str, Any], param: str
    ) -> None:
        refused = await call(webhooks, account, "POST", "/v1/webhooks/endpoints", body)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == param

    async def test_a_key_that_is_not_yours_signs_nothing(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        endpoint = await made(webhooks, account)
        stranger = await an_account(container)
        path = f"/v1/webhooks/endpoints/{endpoint['id']}"
        for key_id in (stranger.key_id, "key_1"):
            refused = await call(webhooks, account, "PATCH", path, {"key_id": key_id})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "key_id")

    async def test_one_that_is_switched_off_ends_what_waits_and_can_be_switched_on(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        endpoint = await made(webhooks, account)
        path = f"/v1/webhooks/endpoints/{endpoint['id']}"
        _, waiting = await a_delivery(container, account, endpoint["id"])
        off = (await call(webhooks, account, "PATCH", path, {"enabled": False})).json()
        assert (off["status"], off["disabled_reason"]) == ("disabled", "request")
        ended = (await call(webhooks, account, "GET", f"/v1/webhooks/deliveries/{waiting.id}")).json()
        assert ended["status"] == "cancelled"
        for path_, code in ((f"{path}/test", "endpoint_disabled"),):
            assert problem(await call(webhooks, account, "POST", path_)) == (409, code)
        resend = await call(webhooks, account, "POST", f"/v1/webhooks/deliveries/{waiting.id}/resend")
        assert problem(resend) == (409, "endpoint_disabled")
        on = (await call(webhooks, account, "PATCH", path, {"enabled": True})).json()
        assert (on["status"], on["disabled_reason"], on["disabled_at"]) == ("active", None, None)

    async def test_changes_at_once_are_made_one_on_the_other_or_refused(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        endpoint = await made(webhooks, account)
        path = f"/v1/webhooks/endpoints/{endpoint['id']}"
        bodies: list[dict[str, Any]] = [{"description": "mine"}, {"events": ["job.failed"]}, {"url": URL + "/2"}]
        answers = await asyncio.gather(*(call(webhooks, account, "PATCH", path, body) for body in bodies))
        assert {answer.status_code for answer in answers} <= {200, 409}
        shown = (await call(webhooks, account, "GET", path)).json()
        for answer, body in zip(answers, bodies, strict=True):
            if answer.status_code == 200:
                assert body.items() <= shown.items()

    async def test_a_change_that_others_always_overtake_is_refused(
        self, webhooks: App, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        endpoint = await made(webhooks, account)

        async def overtaken(*_: Any) -> bool:
            return False

        monkeypatch.setattr(type(webhooks.module.container.webhooks), "change", overtaken)
        refused = await call(webhooks, account, "PATCH", f"/v1/webhooks/endpoints/{endpoint['id']}", {"enabled": False})
        assert (refused.status_code, refused.headers["retry-after"]) == (409, "1")

    async def test_a_test_event_goes_to_that_endpoint_alone(
        self, webhooks: App, container: Container, account: Account, receiver: Receiver, sent: Any
    ) -> None:
        await made(webhooks, account, url=receiver.url + "/other")
        endpoint = await made(webhooks, account, url=receiver.url, events=["job.completed"])
        tested = await call(webhooks, account, "POST", f"/v1/webhooks/endpoints/{endpoint['id']}/test")
        delivery = tested.json()
        assert (delivery["type"], delivery["endpoint"], delivery["status"]) == (
            "webhook.test",
            endpoint["id"],
            "pending",
        )
        (told,) = sent()
        world = World(container, account, container.clock.now())
        assert await world.deliverer.first(told["tenant"], told["delivery_id"])
        (arrived,) = receiver.sent
        assert (arrived.path, json.loads(arrived.body)["data"]["endpoint"]) == ("/hook", endpoint["id"])
        (event,), _ = await container.events.page(account.id, limit=9)
        assert event.type == "webhook.test"
        row = await container.table.get(account.id, f"event#{event.id}")
        assert row is not None
        assert row["kind"] != "event", "the dispatcher would send it to all"


class TestDeliveries:
    async def test_the_log_shows_each_attempt(
        self, webhooks: App, container: Container, account: Account, receiver: Receiver
    ) -> None:
        endpoint = await made(webhooks, account, url=receiver.url)
        event, delivery = await a_delivery(container, account, endpoint["id"])
        receiver.script = [Answer(500, pieces=(b"no \xff table",)), Answer()]
        world = World(container, account, container.clock.now())
        await world.lane.send(message(delivery))
        await world.deliver()
        shown = (await call(webhooks, account, "GET", f"/v1/webhooks/deliveries/{delivery.id}")).json()
        first, second = shown.pop("attempts")
        assert shown["attempts_made"] == 2
        assert (shown["event"], shown["status"], shown["next_attempt_at"]) == (event.id, "delivered", None)
        assert (first["attempt"], first["state"], first["status_code"], first["error"]) == (1, "failed", 500, "status")
        assert first["response"] == "no \ufffd table"
        assert (second["attempt"], second["state"], second["status_code"]) == (2, "succeeded", 200)
        assert second["started_at"] - first["started_at"] in (30, 31)

    async def test_it_is_listed_by_endpoint_status_type_and_event(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        endpoint = await made(webhooks, account)
        found = [await a_delivery(container, account, endpoint["id"] if at % 2 else None) for at in range(5)]

        async def ids(query: str) -> list[str]:
            answer = await call(webhooks, account, "GET", f"/v1/webhooks/deliveries{query}")
            return sorted(one["id"] for one in answer.json()["data"])

        # Those to a URL of their own are told to the endpoint, too.
        by_url = sorted(delivery.id for at, (_, delivery) in enumerate(found) if at % 2 == 0)
        assert set(by_url) <= set(await ids(""))
        assert len(await ids("")) == 8
        assert len(await ids(f"?endpoint={endpoint['id']}")) == 5
        assert len(await ids("?status=pending")) == 8
        assert await ids("?status=dead") == []
        assert await ids("?type=job.completed") == []
        assert len(await ids(f"?event={found[0][0].id}")) == 2
        assert await ids(f"?event={found[1][0].id}") == [found[1][1].id]
        assert await ids("?event=evt_01KAP6V3J8Q0ZB5N7E2XWY4T9C") == []

        pages, after = [], ""
        while True:
            page = (
                await call(webhooks, account, "GET", f"/v1/webhooks/deliveries?status=pending&limit=3{after}")
            ).json()
            pages += [one["id"] for one in page["data"]]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert sorted(pages) == await ids("")

    @pytest.mark.parametrize("query", ["status=late", "type=x", "endpoint=5", "event=hook_1", "limit=0"])
    async def test_filters_that_mean_nothing(self, webhooks: App, account: Account, query: str) -> None:
        refused = await call(webhooks, account, "GET", f"/v1/webhooks/deliveries?{query}")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, query.partition("=")[0])

    async def test_what_has_ended_is_sent_again_and_what_goes_on_is_not(
        self, webhooks: App, container: Container, account: Account, receiver: Receiver, sent: Any
    ) -> None:
        endpoint = await made(webhooks, account, url=receiver.url)
        _, delivery = await a_delivery(container, account, endpoint["id"])
        path = f"/v1/webhooks/deliveries/{delivery.id}/resend"
        assert (await call(webhooks, account, "POST", path)).json()["round"] == 1  # nobody has begun it
        assert sent() == [message(delivery)]
        receiver.script = [Answer(500)]
        world = World(container, account, container.clock.now())
        await world.lane.send(message(delivery))
        await world.deliver(until=world.clock.time + 5)
        assert problem(await call(webhooks, account, "POST", path)) == (409, "delivery_pending")
        await world.deliver()
        receiver.script = [Answer()]
        key = {"Idempotency_Key": "once"}
        again = [(await call(webhooks, account, "POST", path, **key)).json() for _ in range(2)]
        assert again[0] == again[1]
        assert (again[0]["round"], again[0]["status"], again[0]["attempts_made"]) == (2, "pending", 0)
        assert sent() == [message(delivery)]
        await world.lane.send(message(delivery))
        await world.deliver()
        assert receiver.sent[-1].attempt == 1
        assert len({arrived.headers["x-aig-delivery-id"] for arrived in receiver.sent}) == 1
        shown = (await call(webhooks, account, "GET", path.removesuffix("/resend"))).json()
        assert (shown["status"], len(shown["attempts"])) == ("delivered", 7)

    async def test_an_event_that_is_not_kept_any_more_is_not_sent_again(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        _, delivery = await a_delivery(container, account)
        now = container.clock.now()
        assert await container.deliveries.move(delivery, cancelled(delivery, now))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(container.events), "get", gone)
            refused = await call(webhooks, account, "POST", f"/v1/webhooks/deliveries/{delivery.id}/resend")
        assert problem(refused) == (409, "event_expired")

    async def test_two_resends_at_once_begin_one_round(
        self, webhooks: App, container: Container, account: Account, sent: Any
    ) -> None:
        _, delivery = await a_delivery(container, account)
        assert await container.deliveries.move(delivery, cancelled(delivery, container.clock.now()))
        path = f"/v1/webhooks/deliveries/{delivery.id}/resend"
        answers = await asyncio.gather(*(call(webhooks, account, "POST", path) for _ in range(4)))
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert {answer.json()["round"] for answer in answers if answer.status_code == 200} == {2}
        assert sent()


class TestTenants:
    async def test_nobody_sees_what_is_anothers(self, webhooks: App, container: Container, account: Account) -> None:
        endpoint = await made(webhooks, account)
        _, delivery = await a_delivery(container, account, endpoint["id"])
        stranger = await an_account(container)
        (sub,) = await a_sub_account(container, account.id)
        for other in (stranger, sub):
            for method, path in (
                ("GET", f"endpoints/{endpoint['id']}"),
                ("PATCH", f"endpoints/{endpoint['id']}"),
                ("DELETE", f"endpoints/{endpoint['id']}"),
                ("POST", f"endpoints/{endpoint['id']}/test"),
                ("GET", f"deliveries/{delivery.id}"),
                ("POST", f"deliveries/{delivery.id}/resend"),
            ):
                body = {"enabled": False} if method == "PATCH" else None
                answer = await call(webhooks, other, method, f"/v1/webhooks/{path}", body)
                assert problem(answer) == (404, "not_found"), path
            for kind in ("endpoints", "deliveries"):
                assert (await call(webhooks, other, "GET", f"/v1/webhooks/{kind}")).json()["data"] == []

    async def test_endpoints_are_the_admins(self, webhooks: App, container: Container, account: Account) -> None:
        plain = await a_key(container, account.id, scopes=["inference", "usage:read"])
        for method, path in (("GET", "endpoints"), ("POST", "endpoints"), ("GET", "deliveries")):
            answer = await call(webhooks, plain, method, f"/v1/webhooks/{path}", {} if method == "POST" else None)
            assert problem(answer) == (403, "insufficient_scope")

    async def test_a_sub_account_has_endpoints_of_its_own(
        self, webhooks: App, container: Container, account: Account
    ) -> None:
        (sub,) = await a_sub_account(container, account.id)
        endpoint = await made(webhooks, sub)
        assert endpoint["key_id"] == sub.key_id
        assert (await call(webhooks, account, "GET", "/v1/webhooks/endpoints")).json()["data"] == []

    @pytest.mark.parametrize(
        "path", ["endpoints/x", "endpoints/..%2Fkeys", "deliveries/whd_", f"deliveries/{'a' * 500}"]
    )
    async def test_ids_that_cannot_be_any(self, webhooks: App, account: Account, path: str) -> None:
        assert (await call(webhooks, account, "GET", f"/v1/webhooks/{path}")).status_code == 404
