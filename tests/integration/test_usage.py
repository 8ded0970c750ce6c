"""GET /v1/usage and its like, over moto: what was counted, for whom, as JSON and as CSV. Rows 199 and 200 are here."""

import csv
import io
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest

from aig.money.units import parse_usd
from aig.usage import entry
from aig.wiring import Container
from local.template import Stack
from tests.apps import App, Handler, event
from tests.builders import Account, a_key, a_sub_account, an_account, debits_of
from tests.logs import Log
from tests.unit.ledger_rows import DAY_S, debit

PATHS: Final = ("/v1/usage", "/v1/usage/by-tag", "/v1/usage/by-model", "/v1/usage/by-sub-account")
TODAY: Final = int(time.time()) // DAY_S * DAY_S
YESTERDAY: Final = TODAY - DAY_S
SPAN: Final = {"from": str(YESTERDAY), "to": str(TODAY + DAY_S)}


async def used(container: Container, account: Account, *rows: Mapping[str, Any]) -> None:
    """Counts debits of an account, of yesterday unless they say otherwise."""
    made = [debit(number, account.id, **{"created_at": YESTERDAY + 60, **row}) for number, row in enumerate(rows)]
    assert await container.usage.count([entry(row) for row in made], int(time.time())) == []


async def get(usage: App, account: Account, path: str, accept: str = "*/*", **sent: str) -> httpx.Response:
    params = {name.rstrip("_"): value for name, value in {**SPAN, **sent}.items()}
    return await usage.client.get(path, params=params, headers={**account.authorization, "accept": accept})


async def refusal(usage: App, account: Account, path: str, **sent: str) -> tuple[int, str, str | None]:
    response = await get(usage, account, path, **sent)
    error = response.json()["error"]
    return response.status_code, error["type"], error["param"]


class TestReports:
    async def test_by_tag(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        await used(container, account, {"tag": "a"}, {"tag": "a", "cache_hit": True, "amount": 840}, {"tag": "b"}, {})
        body = (await get(usage, account, "/v1/usage/by-tag")).json()
        rows = [(row["tag"], row["requests"], row["cache_hits"], row["cost"]) for row in body["data"]]
        assert rows == [
            ("a", 2, 1, "0.00000924"),
            ("b", 1, 0, "0.0000084"),
            (None, 1, 0, "0.0000084"),
        ]
        assert (body["object"], body["has_more"], body["total_cost"]) == ("list", False, "0.00002604")
        assert (body["from"], body["to"]) == (YESTERDAY, TODAY + DAY_S)
        assert {row["object"] for row in body["data"]} == {"usage"}
        assert "upstream" not in json.dumps(body)

    async def test_by_day_and_by_hour(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        times = (YESTERDAY, YESTERDAY + 3599, YESTERDAY + 3600, TODAY)
        await used(container, account, *({"created_at": at} for at in times))
        days = (await get(usage, account, "/v1/usage")).json()["data"]
        assert [(row["start"], row["end"], row["requests"]) for row in days] == [
            (TODAY, TODAY + DAY_S, 1),
            (YESTERDAY, TODAY, 3),
        ]
        hours = (await get(usage, account, "/v1/usage", granularity="hour")).json()["data"]
        assert [(row["start"], row["requests"]) for row in hours] == [
            (TODAY, 1),
            (YESTERDAY + 3600, 1),
            (YESTERDAY, 2),
        ]

    async def test_what_begins_at_the_end_is_not_in_it(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        await used(container, account, {"created_at": TODAY - 1, "amount": 1}, {"created_at": TODAY, "amount": 2})
        for path in ("/v1/usage", "/v1/usage/by-tag"):
            body = (await get(usage, account, path, to=str(TODAY))).json()
            assert (body["total_cost"], body["to"]) == ("0.000000001", TODAY)
        hours = (await get(usage, account, "/v1/usage", to=str(TODAY), granularity="hour")).json()
        assert hours["total_cost"] == "0.000000001"

    async def test_by_month(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        first = datetime.fromtimestamp(TODAY, UTC).replace(day=1)
        start = int(first.timestamp())
        await used(container, account, {"created_at": start}, {"created_at": start - 1, "amount": 1})
        before = str(start - 40 * DAY_S)
        body = (await get(usage, account, "/v1/usage", from_=before, granularity="month")).json()
        this_month, last_month = body["data"]
        assert (this_month["start"], this_month["cost"]) == (start, "0.0000084")
        assert (last_month["end"], last_month["cost"]) == (start, "0.000000001")

    async def test_this_month_is_what_is_meant_without_a_time(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        first = int(datetime.fromtimestamp(time.time(), UTC).replace(day=1, hour=0, minute=0, second=0).timestamp())
        await used(container, account, {"created_at": first}, {"created_at": first - 1})
        response = await usage.client.get("/v1/usage/by-tag", headers=account.authorization)
        assert [row["requests"] for row in response.json()["data"]] == [1]

    async def test_filters_are_literal(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        await used(
            container,
            account,
            {"tag": "*", "amount": 1},
            {"tag": "a", "amount": 2, "model": "v/m"},
            {"amount": 4, "key_id": "key_2"},
        )

        async def cost(**sent: str) -> int:
            return parse_usd((await get(usage, account, "/v1/usage/by-tag", **sent)).json()["total_cost"])

        assert await cost(tag="*") == 1
        assert await cost(tag="%") == await cost(tag="a*") == 0
        assert await cost(tag="") == 4
        assert await cost(model="v/m") == 2
        assert await cost(model="v/*") == 0
        assert await cost(key="key_2") == 4
        assert await cost(sub_account="") == await cost() == 7
        assert await cost(sub_account="sub_1") == 0

    async def test_pages(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        await used(container, account, *({"tag": f"tag-{number}"} for number in range(5)))
        seen, after = list[str](), dict[str, str]()
        while True:
            body = (await get(usage, account, "/v1/usage/by-tag", limit="2", **after)).json()
            seen += [row["tag"] for row in body["data"]]
            assert body["first_id"] == body["data"][0]["id"]
            assert body["total_cost"] == "0.000042"
            if not body["has_more"]:
                break
            after = {"after": body["last_id"]}
        assert seen == [f"tag-{number}" for number in range(5)]


class TestCsv:
    async def test_a_table_for_spreadsheets(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        await used(container, account, {"tag": "@SUM(1)"}, {"tag": "a"})
        response = await get(usage, account, "/v1/usage/by-tag", "text/csv")
        assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        assert response.headers["content-disposition"] == 'attachment; filename="usage-by-tag.csv"'
        assert "link" not in response.headers
        rows = list(csv.DictReader(io.StringIO(response.text, newline=""), strict=True))
        assert [(row["tag"], row["cost"], row["input_tokens"]) for row in rows] == [
            ("'@SUM(1)", "0.0000084", "2"),
            ("a", "0.0000084", "2"),
        ]
        assert "upstream" not in response.text

    async def test_the_next_page_is_a_link(self, usage: App, container: Container) -> None:
        account = await an_account(container)
        await used(container, account, {"tag": "a"}, {"tag": "b"}, {"tag": "c"})
        url, seen = f"/v1/usage/by-tag?limit=2&from={YESTERDAY}", list[str]()
        while True:
            response = await usage.client.get(url, headers={**account.authorization, "accept": "text/csv"})
            seen += [row["tag"] for row in csv.DictReader(io.StringIO(response.text, newline=""))]
            if "next" not in response.links:
                break
            url = str(response.url.join(response.links["next"]["url"]))
        assert seen == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("accept", "media"),
        [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("text/*", "application/json"),
            ("application/json, text/csv;q=0.5", "application/json"),
            ("text/csv;q=0", "application/json"),
            ("text/csv;q=x", "application/json"),
            ("Text/CSV", "text/csv"),
            ("application/json;q=0.8, text/csv", "text/csv"),
            ("text/csv; header=present; q=0.9, */*;q=0.1", "text/csv"),
        ],
    )
    async def test_who_asks_for_it_gets_it(self, usage: App, container: Container, accept: str, media: str) -> None:
        response = await get(usage, await an_account(container), "/v1/usage", accept)
        assert response.headers["content-type"].partition(";")[0] == media

    async def test_nothing_used_is_a_header_row(self, usage: App, container: Container) -> None:
        response = await get(usage, await an_account(container), "/v1/usage", "text/csv")
        assert response.text.count("\r\n") == 1
        assert response.text.startswith("start,end,requests,")


class TestTenants:
    async def test_a_sub_account_s_use_is_seen_by_its_payer_and_by_itself(
        self, usage: App, container: Container
    ) -> None:
        parent, stranger = await an_account(container), await an_account(container)
        (child,) = await a_sub_account(container, parent.id)
        await used(
            container,
            parent,
            {"tag": "a", "amount": 1},
            {"tag": "b", "amount": 2, "sub_account": child.id, "key_id": child.key_id},
            {"tag": "c", "amount": 4, "sub_account": "sub_other"},
        )
        body = (await get(usage, parent, "/v1/usage/by-sub-account")).json()
        costs = {row["sub_account"]: parse_usd(row["cost"]) for row in body["data"]}
        assert costs == {None: 1, child.id: 2, "sub_other": 4}
        assert body["total_cost"] == "0.000000007"
        own = (await get(usage, parent, "/v1/usage/by-tag", sub_account=child.id)).json()
        assert [row["tag"] for row in own["data"]] == ["b"]

        seen = (await get(usage, child, "/v1/usage/by-tag")).json()
        assert [(row["tag"], row["cost"]) for row in seen["data"]] == [("b", "0.000000002")]
        assert (await get(usage, child, "/v1/usage/by-sub-account")).json()["data"] == []
        for other in ("sub_other", child.id, parent.id):
            filtered = (await get(usage, child, "/v1/usage/by-tag", sub_account=other)).json()
            assert filtered["data"] == []
        for path in PATHS:
            assert (await get(usage, stranger, path)).json()["data"] == []

    async def test_a_page_of_another_tenant_s_is_refused(self, usage: App, container: Container) -> None:
        mine, other = await an_account(container), await an_account(container)
        for account in (mine, other):
            await used(container, account, {"tag": "a"}, {"tag": "b"})
        foreign = (await get(usage, other, "/v1/usage/by-tag", limit="1")).json()["last_id"]
        wanted = (400, "invalid_request_error", "after")
        assert await refusal(usage, mine, "/v1/usage/by-tag", after=foreign) == wanted
        own = (await get(usage, mine, "/v1/usage/by-tag", limit="1")).json()["last_id"]
        assert await refusal(usage, mine, "/v1/usage/by-model", after=own) == wanted
        assert await refusal(usage, mine, "/v1/usage/by-tag", after=own, model="v/m") == wanted
        assert (
            await refusal(usage, mine, "/v1/usage/by-tag", after=own[:-1] + ("0" if own[-1] != "0" else "1")) == wanted
        )
        assert (await get(usage, mine, "/v1/usage/by-tag", after=own)).status_code == 200

    @pytest.mark.parametrize("path", PATHS)
    async def test_a_key_without_the_scope_may_not(self, usage: App, container: Container, path: str) -> None:
        key = await a_key(container, (await an_account(container)).id, scopes={"inference"})
        assert (await refusal(usage, key, path))[:2] == (403, "permission_error")
        assert (await usage.client.get(path)).status_code == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"from_": str(TODAY + 1), "to": str(TODAY)}, "from"),
        ({"from_": "2016-01-01", "to": "2026-01-01"}, "from"),
        ({"from_": "2026-01-01T00:00:00 Europe/Berlin"}, "from"),
        ({"to": "2026-01-01T00:00:00+25:00"}, "to"),
        ({"from_": "99999999998", "to": "99999999999"}, "from"),
        ({"to": "99999999999"}, "to"),
        ({"to": "5000-01-01"}, "to"),
        ({"after": f"usage_99999999998_99999999999_{'0' * 32}"}, "after"),
        ({"limit": "1000000000"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"after": "usage_0_0_forged"}, "after"),
        ({"after": f"usage_{YESTERDAY}_{TODAY + DAY_S}_{'0' * 32}"}, "after"),
        ({"after": "../../acct_1"}, "after"),
        ({"granularity": "second"}, "granularity"),
        ({"granularity": "hour", "from_": str(TODAY - 40 * DAY_S)}, "from"),
        ({"tags": "a"}, "tags"),
        ({"tag": "a" * 300}, "tag"),
    ],
)
async def test_row_199_what_means_nothing_is_refused(
    usage: App, container: Container, path: str, sent: dict[str, str], param: str
) -> None:
    account = await an_account(container)
    assert await refusal(usage, account, path, **sent) == (400, "invalid_request_error", param)


async def test_row_200_a_star_is_a_tag_like_any_other(usage: App, container: Container) -> None:
    account = await an_account(container)
    await used(container, account, {"tag": "*"}, {"tag": "a"})
    body = (await get(usage, account, "/v1/usage/by-tag", tag="*")).json()
    assert [row["tag"] for row in body["data"]] == ["*"]


async def test_another_method_is_not_allowed(usage: App) -> None:
    assert (await usage.client.post("/v1/usage")).status_code == 405


async def test_the_event_file_asks_for_a_report(deployed: Stack, container: Container, logged: Log) -> None:
    account = await an_account(container)
    handler = Handler(deployed.functions["UsageFunction"])
    answer = await handler.invoke(event("usage", authorization=f"Bearer {account.key}"))
    await handler.close()
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["object"] == "list"


async def test_csv_leaves_lambda_as_text(deployed: Stack, container: Container, logged: Log) -> None:
    sent = event("usage", authorization=f"Bearer {(await an_account(container)).key}")
    sent["headers"]["Accept"], sent["multiValueHeaders"]["Accept"] = "text/csv", ["text/csv"]
    handler = Handler(deployed.functions["UsageFunction"])
    answer = await handler.invoke(sent)
    await handler.close()
    assert answer["isBase64Encoded"] is False
    assert answer["body"].startswith("start,end,tag,")


async def test_what_chat_charges_is_what_usage_tells(usage: App, chat: App, container: Container) -> None:
    account = await an_account(container)
    for tag in ("a", "a", "b"):
        assert (await chat.ask(account, headers={"x-aig-tag": tag})).status_code == 200
    assert (await chat.ask(account, model="sandbox/fail-500")).status_code == 502
    rows = await debits_of(container, account)
    await container.usage.count([entry(row) for row in rows], int(time.time()))
    body = (await get(usage, account, "/v1/usage/by-tag")).json()
    assert [(row["tag"], row["requests"]) for row in body["data"]] == [("a", 2), ("b", 1)]
    assert parse_usd(body["total_cost"]) == sum(row["amount"] for row in rows) > 0
