"""The README's walk-through of reselling: a customer with a cap, calls until it is spent, reports, and on again."""

import csv
import io
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.e2e.stack import Stack

# Ninety thousand words, and sixteen thousand of them back: 0.1281 USD a call.
LONG = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "word " * 90_000}], "max_tokens": 16_000}
SHOWN_WITHIN_S = 20.0


@pytest.fixture(params=["embedded", "DynamoDB Local"])
def base_url(request: pytest.FixtureRequest) -> Iterator[str]:
    variables = {}
    if request.param != "embedded":
        variables["AIG_DYNAMODB_ENDPOINT"] = request.getfixturevalue("dynamodb_local")
    with Stack(**variables) as stack:
        yield f"{stack.base_url} {stack.key}"


def shown(look: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What is seen once it is as wanted: the ledger's stream is counted a moment later."""
    deadline = time.monotonic() + SHOWN_WITHIN_S
    while not wanted(seen := look()) and time.monotonic() < deadline:
        pass
    assert wanted(seen), seen
    return seen


def test_a_customer_spends_its_cap_is_reported_and_goes_on(base_url: str) -> None:
    url, key = base_url.split()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as owner:
        made = owner.post("/sub-accounts", json={"name": "C", "spend_cap": "1.00", "default_tag": "c-17"}).json()
        customer = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {made['key']}"}, timeout=60)
        answers = [customer.post("/chat/completions", json=LONG) for _ in range(9)]
        assert [answer.status_code for answer in answers] == [200] * 7 + [402] * 2
        assert answers[-1].json()["error"]["code"] == "spend_cap_reached"
        spent = sum(Decimal(answer.headers["x-aig-cost"]) for answer in answers[:7])

        def by(name: str) -> dict[str | None, Decimal]:
            data = owner.get(f"/usage/by-{name.replace('_', '-')}").json()["data"]
            return {row[name]: Decimal(row["cost"]) for row in data}

        assert shown(lambda: by("tag"), lambda seen: seen.get("c-17") == spent)
        assert shown(lambda: by("sub_account"), lambda seen: seen.get(made["id"]) == spent)
        text = owner.get("/usage/by-sub-account", headers={"accept": "text/csv"}).text
        rows = {row["sub_account"]: row for row in csv.DictReader(io.StringIO(text))}
        assert (rows[made["id"]]["requests"], Decimal(rows[made["id"]]["cost"])) == ("7", spent)

        raised = owner.patch(f"/sub-accounts/{made['id']}", json={"spend_cap": "2.00"}).json()
        assert Decimal(raised["remaining"]) == 2 - spent
        assert customer.post("/chat/completions", json=LONG).status_code == 200
        customer.close()
