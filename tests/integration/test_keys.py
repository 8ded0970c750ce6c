"""/v1/keys: made, listed, changed, rotated and ended over HTTP, and what the keys can then do."""

from typing import Any

import httpx
import pytest

from aig.wiring import Container
from tests.apps import App
from tests.builders import SECRETS, Account, a_key, an_account
from tests.unit.clock import FixedClock


async def call(
    app: App, account: Account, method: str, path: str, body: Any = None, key: str | None = None, **more: str
) -> Any:
    """The answer, its secrets noted so that no log may hold them. `more` are headers, with `_` for `-`."""
    headers = {"Authorization": f"Bearer {key or account.key}"}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    response = await app.client.request(method, path, json=body, headers=headers)
    if isinstance(whole := response.json().get("key"), str):
        SECRETS.add(whole)
    return response


def problem(response: httpx.Response) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


async def test_a_key_is_shown_once_works_and_is_listed_without_its_secret(
    accounts: App, chat: App, container: Container
) -> None:
    account = await an_account(container)
    body = {"name": "ci", "spend_cap": "1.50", "spend_cap_reset": "daily", "rpm": 7, "allowed_models": ["sandbox/*"]}
    made = (await call(accounts, account, "POST", "/v1/keys", body)).json()
    secret = made.pop("key")
    assert (made["name"], made["spend_cap"], made["remaining"], made["rpm"]) == ("ci", "1.50", "1.50", 7)
    assert (made["scopes"], made["status"], made["in_flight"]) == (["inference", "usage:read"], "active", "0.00")
    assert made["hint"] == f"{secret[:15]}…"

    answer = await chat.ask(Account(account.id, made["id"], secret))
    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-limit-requests"] == "7"
    assert answer.headers["x-ratelimit-remaining-requests"] == "6"
    assert answer.headers["x-ratelimit-reset-requests"].endswith("s")

    listed = (await call(accounts, account, "GET", "/v1/keys")).json()
    assert [key["id"] for key in listed["data"]] == [made["id"], account.key_id]
    assert secret not in str(listed)
    one = (await call(accounts, account, "GET", f"/v1/keys/{made['id']}")).json()
    assert one == listed["data"][0]
    assert one["spent"] == answer.headers["x-aig-cost"]
    own = (await call(accounts, account, "GET", "/v1/key", key=secret)).json()
    assert own == one


async def test_pages(accounts: App, container: Container) -> None:
    account = await an_account(container)
    ids = [account.key_id, *[(await a_key(container, account.id)).key_id for _ in range(4)]][::-1]
    seen, after = [], ""
    while True:
        page = (await call(accounts, account, "GET", f"/v1/keys?limit=2{after}")).json()
        seen += [key["id"] for key in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert seen == ids
    for query in ("limit=0", "limit=101", "limit=x", "limit=-1", "limit=1e2", "after=a%20b", "after=x%23y"):
        assert problem(await call(accounts, account, "GET", f"/v1/keys?{query}"))[:2] == (400, "invalid_value")


async def test_changes_bind_and_null_takes_a_limit_away(accounts: App, container: Container) -> None:
    account = await an_account(container)
    key = await a_key(container, account.id, rpm=5, default_tag="a")
    changed = await call(
        accounts, account, "PATCH", f"/v1/keys/{key.key_id}",
        {"name": "b", "rpm": None, "spend_cap": "0.50", "spend_cap_reset": "weekly", "default_tag": None,
         "allowed_models": ["openai/*"], "scopes": ["usage:read", "inference", "inference"]},
    )  # fmt: skip
    assert changed.status_code == 200
    body = changed.json()
    assert (body["name"], body["rpm"], body["spend_cap"], body["spend_cap_reset"]) == ("b", None, "0.50", "weekly")
    assert (body["default_tag"], body["allowed_models"]) == (None, ["openai/*"])
    assert body["scopes"] == ["inference", "usage:read"]
    same = await call(accounts, account, "PATCH", f"/v1/keys/{key.key_id}", {})
    assert same.json() == body
    lifted = await call(accounts, account, "PATCH", f"/v1/keys/{key.key_id}", {"spend_cap": None})
    assert (lifted.json()["spend_cap"], lifted.json()["remaining"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "<script>"}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": "n\n"}, "name"),
        ({"name": 1}, "name"),
        ({"name": "n", "spend_cap": 10}, "spend_cap"),
        ({"name": "n", "spend_cap": -1}, "spend_cap"),
        ({"name": "n", "spend_cap": "-1"}, "spend_cap"),
        ({"name": "n", "spend_cap": "1e3"}, "spend_cap"),
        ({"name": "n", "spend_cap": "NaN"}, "spend_cap"),
        ({"name": "n", "spend_cap": "0.0000000001"}, "spend_cap"),
        ({"name": "n", "spend_cap": "9999999999"}, "spend_cap"),
        ({"name": "n", "spend_cap_reset": "yearly"}, "spend_cap_reset"),
        ({"name": "n", "rpm": 0}, "rpm"),
        ({"name": "n", "rpm": True}, "rpm"),
        ({"name": "n", "rpm": "5"}, "rpm"),
        ({"name": "n", "rpm": 1.0}, "rpm"),
        ({"name": "n", "scopes": []}, "scopes"),
        ({"name": "n", "scopes": ["root"]}, "scopes[0]"),
        ({"name": "n", "expires_at": 1}, "expires_at"),
        ({"name": "n", "expires_at": 2**40}, "expires_at"),
        ({"name": "n", "default_tag": "a b"}, "default_tag"),
        ({"name": "n", "default_tag": "../x"}, "default_tag"),
        ({"name": "n", "allowed_models": "sandbox/*"}, "allowed_models"),
        ({"name": "n", "allowed_models": ["SANDBOX/*"]}, "allowed_models[0]"),
        ({"name": "n", "account_id": "acct_1"}, "account_id"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_nothing_is_made(
    accounts: App, container: Container, body: dict[str, Any], param: str
) -> None:
    account = await an_account(container)
    status, _, named = problem(await call(accounts, account, "POST", "/v1/keys", body))
    assert (status, named) == (400, param)
    assert len((await call(accounts, account, "GET", "/v1/keys")).json()["data"]) == 1


async def test_keys_are_an_admins_business(accounts: App, container: Container) -> None:
    account = await an_account(container, scopes=["inference", "usage:read"])
    for method, path in (("GET", "/v1/keys"), ("POST", "/v1/keys"), ("DELETE", f"/v1/keys/{account.key_id}")):
        assert problem(await call(accounts, account, method, path, {"name": "n"}))[:2] == (403, "insufficient_scope")
    assert (await call(accounts, account, "GET", "/v1/key")).status_code == 200


async def test_a_revoked_key_is_refused_and_stays_so(accounts: App, chat: App, container: Container) -> None:
    account = await an_account(container)
    key = await a_key(container, account.id)
    ended = await call(accounts, account, "DELETE", f"/v1/keys/{key.key_id}")
    assert ended.json()["status"] == "revoked"
    assert (await chat.ask(key)).status_code == 401
    again = await call(accounts, account, "DELETE", f"/v1/keys/{key.key_id}")
    assert again.json() == ended.json()
    path = f"/v1/keys/{key.key_id}"
    assert problem(await call(accounts, account, "PATCH", path, {"rpm": 1}))[:2] == (409, "key_revoked")
    assert problem(await call(accounts, account, "POST", f"{path}/rotate", {}))[:2] == (409, "key_revoked")


class TestRotation:
    async def test_both_secrets_work_until_the_former_one_ends(
        self, accounts: App, chat: App, container: Container
    ) -> None:
        account = await an_account(container)
        key = await a_key(container, account.id)
        rotated = (
            await call(accounts, account, "POST", f"/v1/keys/{key.key_id}/rotate", {"grace_period_s": 60})
        ).json()
        other = Account(account.id, key.key_id, rotated["key"])
        assert (rotated["id"], rotated["hint"]) == (key.key_id, f"{other.key[:15]}…")
        assert [(await chat.ask(one)).status_code for one in (key, other)] == [200, 200]

        ends = rotated["former_secret_expires_at"]
        chat.module.authenticated._clock = FixedClock(float(ends))
        assert [(await chat.ask(one)).status_code for one in (key, other)] == [401, 200]

        events, _ = await container.events.page(account.id, limit=10)
        assert [(event.type, event.data["key_id"]) for event in events] == [("key.rotated", key.key_id)]

    async def test_without_a_grace_period_the_former_secret_ends_at_once(
        self, accounts: App, chat: App, container: Container
    ) -> None:
        account = await an_account(container)
        key = await a_key(container, account.id)
        path = f"/v1/keys/{key.key_id}/rotate"
        rotated = (await call(accounts, account, "POST", path, {"grace_period_s": 0})).json()
        assert rotated["former_secret_expires_at"] is None
        assert (await chat.ask(key)).status_code == 401
        assert (await call(accounts, account, "POST", path, {"grace_period_s": 0})).status_code == 200

    async def test_one_at_a_time(self, accounts: App, container: Container) -> None:
        account = await an_account(container)
        path = f"/v1/keys/{account.key_id}/rotate"
        assert (await call(accounts, account, "POST", path, {})).status_code == 200
        refused = await call(accounts, account, "POST", path, {})
        assert problem(refused)[:2] == (409, "rotation_in_progress")
        events, _ = await container.events.page(account.id, limit=10)
        assert len(events) == 1

    async def test_but_all_former_secrets_can_be_ended_at_once(
        self, accounts: App, chat: App, container: Container
    ) -> None:
        account = await an_account(container)
        first = await a_key(container, account.id)
        path = f"/v1/keys/{first.key_id}/rotate"
        second, third = [
            Account(account.id, first.key_id, (await call(accounts, account, "POST", path, body)).json()["key"])
            for body in ({"grace_period_s": 604_800}, {"grace_period_s": 0})
        ]
        assert [(await chat.ask(one)).status_code for one in (first, second, third)] == [401, 401, 200]

    async def test_the_same_request_again_is_shown_the_same_secret(
        self, accounts: App, chat: App, container: Container
    ) -> None:
        account = await an_account(container)
        key = await a_key(container, account.id)
        path, urgent = f"/v1/keys/{key.key_id}/rotate", {"grace_period_s": 0}
        shown = [await call(accounts, account, "POST", path, urgent, idempotency_key="once") for _ in range(2)]
        assert shown[0].json() == shown[1].json()
        assert shown[1].headers["idempotent-replayed"] == "true"
        assert (await chat.ask(Account(account.id, key.key_id, shown[0].json()["key"]))).status_code == 200
        events, _ = await container.events.page(account.id, limit=10)
        assert len(events) == 1
        other = await call(accounts, account, "POST", path, {"grace_period_s": 1}, idempotency_key="once")
        assert problem(other)[:2] == (409, "idempotency_mismatch")

    @pytest.mark.parametrize("body", [{}, {"grace_period_s": 0}])
    async def test_so_is_one_that_was_cut_off_when_it_was_done(
        self, accounts: App, chat: App, container: Container, body: Any
    ) -> None:
        account = await an_account(container)
        key = await a_key(container, account.id)
        path = f"/v1/keys/{key.key_id}/rotate"
        made = (await call(accounts, account, "POST", path, body, idempotency_key="cut")).json()
        (note,) = await container.table.query(
            "pk = :pk AND begins_with(sk, :idem)", {":pk": account.id, ":idem": "idem#"}
        )
        await container.table.update(account.id, note["sk"], "SET claimed_until = :past REMOVE answer", {":past": 0})
        again = (await call(accounts, account, "POST", path, body, idempotency_key="cut")).json()
        assert again["key"] == made["key"]
        assert (await chat.ask(Account(account.id, key.key_id, again["key"]))).status_code == 200

    @pytest.mark.parametrize("grace", [-1, 604_801, "60", True, 1.5])
    async def test_grace_is_up_to_a_week(self, accounts: App, container: Container, grace: Any) -> None:
        account = await an_account(container)
        body = {"grace_period_s": grace}
        refused = await call(accounts, account, "POST", f"/v1/keys/{account.key_id}/rotate", body)
        assert problem(refused) == (400, "invalid_value", "grace_period_s")


async def test_an_unknown_key_and_a_wrong_secret_cost_the_same_look(chat: App, container: Container) -> None:
    """One digest and one read, whether the key is known, cached, or neither."""
    account = await an_account(container)
    assert (await chat.ask(account)).status_code == 200
    wrong = account.key[:-1] + ("a" if account.key[-1] != "a" else "b")
    unknown = "sk-aig-" + "0" * 8 + account.key[15:]
    api, counts = chat.module.container.table._api, []
    for key in (wrong, unknown):
        SECRETS.add(key)
        calls: list[str] = []
        original = api.call

        async def counted(operation: str, *more: Any, _calls: list[str] = calls, _call: Any = original) -> Any:
            _calls.append(operation)
            return await _call(operation, *more)

        api.call = counted
        assert (await chat.ask(Account(account.id, account.key_id, key))).status_code == 401
        api.call = original
        counts.append(calls)
    assert counts == [["GetItem"], ["GetItem"]]


class TestTheSameRequestTwice:
    """With an Idempotency-Key: one key, whose secret is shown both times though it is stored nowhere."""

    async def post(self, accounts: App, account: Account, name: str, body: Any) -> httpx.Response:
        headers = {**account.authorization, "idempotency-key": name}
        response = await accounts.client.post("/v1/keys", json=body, headers=headers)
        SECRETS.add(response.json().get("key", name))
        return response

    async def test_it_is_answered_as_the_first_time(self, accounts: App, chat: App, container: Container) -> None:
        account = await an_account(container)
        first, second = [await self.post(accounts, account, "make-it-once", {"name": "n"}) for _ in range(2)]
        assert first.json() == second.json()
        assert second.headers["idempotent-replayed"] == "true"
        made = first.json()
        assert (await chat.ask(Account(account.id, made["id"], made["key"]))).status_code == 200
        assert len((await call(accounts, account, "GET", "/v1/keys")).json()["data"]) == 2
        rows = await container.table.query("pk = :pk", {":pk": account.id})
        assert made["key"] not in str(rows)

    async def test_another_body_is_a_conflict_and_another_name_another_key(
        self, accounts: App, container: Container
    ) -> None:
        account = await an_account(container)
        first = await self.post(accounts, account, "a-name", {"name": "n"})
        assert problem(await self.post(accounts, account, "a-name", {"name": "m"}))[:2] == (409, "idempotency_mismatch")
        other = await self.post(accounts, account, "another-name", {"name": "n"})
        assert len({first.json()["key"], other.json()["key"]}) == 2
