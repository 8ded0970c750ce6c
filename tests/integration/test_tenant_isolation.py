"""Nothing crosses between tenants: every route with an id in it answers a stranger as if there were no such id."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aig.aws.jobs import DynamoJobs
from aig.jobs.job import Job, Order, Placed
from aig.money.units import Nano
from aig.payments import TopUp
from aig.records import Record
from aig.webhooks.endpoint import Endpoint
from aig.wiring import Container
from local.template import ROOT
from tests.apps import App
from tests.builders import Account, an_account
from tests.integration.test_keys import call
from tests.integration.test_sub_accounts import sub_account
from tests.integration.webhook_client import a_delivery

ALL = ["admin", "inference", "usage:read"]
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/keys/{key_id}"): {"rpm": 1},
    ("POST", "/v1/keys/{key_id}/rotate"): {},
    ("PATCH", "/v1/sub-accounts/{sub_account_id}"): {"name": "n"},
    ("POST", "/v1/sub-accounts/{sub_account_id}/rotate-key"): {},
    ("PATCH", "/v1/webhooks/endpoints/{endpoint_id}"): {"events": ["*"]},
    ("POST", "/v1/webhooks/endpoints/{endpoint_id}/test"): {},
    ("POST", "/v1/webhooks/deliveries/{delivery_id}/resend"): {},
}


async def _a_key(accounts: App, owner: Account) -> str:
    return owner.key_id


async def _a_sub_account(accounts: App, owner: Account) -> str:
    return str((await sub_account(accounts, owner))[0]["id"])


async def _a_request(accounts: App, owner: Account) -> str:
    """A record, written as a call's settle writes it: whose it is decides who sees it."""
    container: Container = accounts.module.container
    record = Record(
        id=container.ids.new("req"), account_id=owner.id, key_id=owner.key_id, trace_id="t", operation="embeddings",
        streamed=False, created_at=int(container.clock.now()), duration_ms=1, model="v/m", provider="p", attempts=1,
        cost=Nano(1), units={}, estimated=False, cache="skip",
    )  # fmt: skip
    await container.records._table.transact(container.records.put_actions(record))
    return record.id


async def _a_transaction(accounts: App, owner: Account) -> str:
    (entry,), _ = await accounts.module.container.ledger.page(owner.id, limit=1)
    return str(entry.id)


async def _a_top_up(accounts: App, owner: Account) -> str:
    container: Container = accounts.module.container
    top_up = TopUp(container.ids.new("topup"), owner.id, "stripe", Nano(5 * 10**9), int(container.clock.now()))
    return (await container.top_ups.begin(top_up)).id


async def _a_job(accounts: App, owner: Account) -> str:
    """A job that waits for its turn."""
    container: Container = accounts.module.container
    now = int(container.clock.now())
    order = Order(
        id=container.ids.new("job"), kind="video", account_id=owner.id, key_id=owner.key_id, request_id="req_1",
        trace_id="t", model="v/m", candidates=("p/v/m",), created_at=now, media_url="https://gateway",
    )  # fmt: skip
    await container.table.transact(DynamoJobs(container.table).put_actions(Placed(Job(order, "queued", now + 60), {})))
    return order.id


async def _an_endpoint(accounts: App, owner: Account) -> str:
    container: Container = accounts.module.container
    endpoint_id = container.ids.new("hook")
    endpoint = Endpoint(endpoint_id, owner.id, "https://hooks.example", ("*",), owner.key_id, created_at=0)
    assert await container.webhooks.create(endpoint)
    return endpoint_id


async def _a_delivery(accounts: App, owner: Account) -> str:
    return (await a_delivery(accounts.module.container, owner))[1].id


# What makes an object of a tenant's, by the name of its id in a path.
MAKERS: dict[str, Callable[[App, Account], Awaitable[str]]] = {
    "delivery_id": _a_delivery,
    "endpoint_id": _an_endpoint,
    "job_id": _a_job,
    "key_id": _a_key,
    "request_id": _a_request,
    "top_up_id": _a_top_up,
    "transaction_id": _a_transaction,
    "sub_account_id": _a_sub_account,
}
PUBLIC = {"model", "provider", "name"}  # the same for everybody


def routes() -> list[tuple[str, str, str]]:
    """Method, path and name of the id, for each route of the OpenAPI document that names an object of a tenant's.

    A link is opened by its signature and not by whose key is sent: test_files.py. A job's file is named by its job.
    """
    document = json.loads((ROOT / "functions/models/openapi.json").read_text(encoding="utf-8"))
    found = []
    for path, methods in document["paths"].items():
        if path.startswith("/media/"):
            continue
        names = set(re.findall(r"\{(\w+)\}", path)) - PUBLIC
        found += [(method.upper(), path, name) for method in methods for name in names]
    return found


def test_every_route_with_an_id_is_in_the_table() -> None:
    found = routes()
    assert len(found) >= 7
    assert {name for *_, name in found} <= MAKERS.keys()
    assert {(method, path) for method, path, _ in found if method in ("POST", "PATCH", "PUT")} <= BODIES.keys()


@pytest.mark.parametrize(("method", "path", "name"), routes(), ids=str)
async def test_a_strangers_id_is_an_unknown_id(
    accounts: App,
    requests: App,
    payments: App,
    jobs: App,
    files: App,
    webhooks: App,
    container: Container,
    method: str,
    path: str,
    name: str,
) -> None:
    """Of another account, of a sibling sub-account, of the parent seen from the child, and of the child's by its id."""
    owner, stranger = await an_account(container), await an_account(container)
    _, child = await sub_account(accounts, owner, scopes=ALL)
    _, sibling = await sub_account(accounts, owner, scopes=ALL)
    body = BODIES.get((method, path))
    elsewhere = {
        "/v1/requests": requests,
        "/v1/wallet/top-ups": payments,
        "/v1/jobs": jobs,
        "/v1/files": files,
        "/v1/webhooks": webhooks,
    }
    own = await MAKERS[name](accounts, owner)
    unknown = own[:-1] + ("0" if own[-1] != "0" else "1")

    async def answers(caller: Account, theirs: str) -> tuple[int, str]:
        app = next((app for prefix, app in elsewhere.items() if path.startswith(prefix)), accounts)
        shown = await call(app, caller, method, path.replace(f"{{{name}}}", theirs), body)
        text = shown.text.replace(shown.headers["x-request-id"], "")
        return shown.status_code, text

    looks = [(stranger, own), (child, own)]
    if name == "key_id":
        looks += [(sibling, child.key_id), (owner, child.key_id)]
    for caller, theirs in looks:
        seen = await answers(caller, theirs)
        assert seen == await answers(caller, unknown)
        assert seen[0] in (403, 404)
        assert seen[0] == 404 or caller is child
    events, _ = await container.events.page(owner.id, limit=100)
    assert "key.rotated" not in {event.type for event in events}
    if not path.startswith("/v1/files"):  # the job is one without files
        assert (await answers(owner, own))[0] not in (403, 404)


async def test_lists_hold_ones_own_only(accounts: App, container: Container) -> None:
    owner, stranger = await an_account(container), await an_account(container)
    told, child = await sub_account(accounts, owner, scopes=ALL)
    keys = {who.id: (await call(accounts, who, "GET", "/v1/keys")).json()["data"] for who in (owner, stranger, child)}
    assert {who: [key["id"] for key in data] for who, data in keys.items()} == {
        owner.id: [owner.key_id],
        stranger.id: [stranger.key_id],
        child.id: [child.key_id],
    }
    assert (await call(accounts, stranger, "GET", "/v1/sub-accounts")).json()["data"] == []
    assert [one["id"] for one in (await call(accounts, owner, "GET", "/v1/sub-accounts")).json()["data"]] == [
        told["id"]
    ]
