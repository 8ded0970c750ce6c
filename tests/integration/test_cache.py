"""The cache as a client sees it: what is given again, at which price, and what is not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest

from aig.aws.json_api import JsonApi
from aig.aws.table import Table
from aig.catalog.model import Catalog
from aig.limits import Limits
from aig.money.ledger import Spend
from aig.money.pricing import Prices
from aig.money.units import Pico, parse_usd, usd
from aig.wiring import Container
from tests import upstream as say
from tests.apps import App, events, said
from tests.builders import PROMPT, Account, a_key, an_account, debits_of, holds_of, wallet_of
from tests.logs import Log
from tests.unit.clock import FixedClock
from tests.upstream import FakeUpstream, Script

MODEL: Final = "openai/gpt-5.4-mini"
ZERO: Final[Mapping[str, Any]] = {"temperature": 0}
STREAM: Final[Mapping[str, Any]] = {"temperature": 0, "stream": True}
WITH_USAGE: Final[Mapping[str, Any]] = {**STREAM, "stream_options": {"include_usage": True}}
DAY_S: Final = 24 * 3600


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations of DynamoDB, with the table's name, that are called from here on.

    A transaction that ends a call keeps its record too, and has the name of the Core table all the same.
    """
    made: list[str] = []
    true_call = JsonApi.call

    async def call(self: JsonApi, operation: str, request: dict[str, Any], *rest: Any) -> dict[str, Any]:
        tables = {action["TableName"] for entry in request.get("TransactItems", ()) for action in entry.values()}
        books = {table for table in tables if not table.endswith("RequestsTable")}
        (table,) = books or {request["TableName"]}
        made.append(f"{operation} {table.rpartition('-')[2]}")
        return await true_call(self, operation, request, *rest)

    monkeypatch.setattr(JsonApi, "call", call)
    return made


@pytest.fixture
async def warm(chat: App, account: Account) -> App:
    """A chat function that knows the key and how the provider is, so that only the call itself is left."""
    await chat.ask(account, "warm up")
    return chat


def told(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return response.headers["x-cache"]


async def items_of(container: Container, account: Account) -> list[dict[str, Any]]:
    """What the cache has of this account."""
    assert container.cache is not None
    table: Table = container.cache._table
    page = await table._call("Scan", {"TableName": table.name, "ConsistentRead": True})
    return [item for item in page["Items"] if item["pk"]["S"].startswith(f"{account.id}#")]


async def test_the_second_of_two_equal_requests_is_a_hit_at_a_tenth(
    chat: App, container: Container, account: Account
) -> None:
    first, second = [await chat.ask(account, headers={"x-aig-tag": "t"}, **ZERO) for _ in range(2)]
    assert [told(first), told(second)] == ["miss", "hit"]
    cost, hit = [parse_usd(response.headers["x-aig-cost"]) for response in (first, second)]
    assert cost == 10 * hit == 5_250
    assert (first.headers["x-aig-attempts"], second.headers["x-aig-attempts"]) == ("1", "0")
    for name in ("x-aig-model", "x-aig-provider"):
        assert first.headers[name] == second.headers[name]
    once, again = first.json(), second.json()
    assert (once["usage"].pop("cost"), again["usage"].pop("cost")) == (usd(cost), usd(hit))
    assert once == again

    paid, repaid = await debits_of(container, account)
    assert (paid["cache_hit"], repaid["cache_hit"]) == (False, True)
    assert (repaid["amount"], repaid["upstream_cost"], repaid["tag"]) == (hit, 0, "t")
    assert repaid["units"] == paid["units"]
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (10**10 - cost - hit, 0)
    (hold,) = [row for row in await holds_of(container, account) if row["sk"] == f"hold#{repaid['request_id']}"]
    assert (hold["phase"], hold["amount"], hold["charged"]) == ("posted", hit, hit)
    key = await spend_of(container, account)
    assert key.spent == cost + hit


async def test_a_stream_is_given_again_as_a_stream(chat: App, container: Container, account: Account) -> None:
    first, second = [await chat.ask(account, "one two", **WITH_USAGE) for _ in range(2)]
    assert [told(first), told(second)] == ["miss", "hit"]
    once, again = events(first), events(second)
    cost, hit = [parse_usd(chunks[-1]["usage"].pop("cost")) for chunks in (once, again)]
    assert once == again
    assert cost == 10 * hit
    assert second.headers["x-aig-cost"] == usd(hit)  # it is known before the first chunk
    assert [row["amount"] for row in await debits_of(container, account)] == [cost, hit]


async def test_how_usage_is_told_is_each_requests_own(chat: App, account: Account) -> None:
    plain = events(await chat.ask(account, "one two", **STREAM))
    full = await chat.ask(account, "one two", **WITH_USAGE)
    assert told(full) == "hit"
    *pieces, last = events(full)
    assert all(piece.pop("usage") is None for piece in pieces)
    assert pieces == plain
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 3)
    again = await chat.ask(account, "one two", **STREAM)
    assert told(again) == "hit"
    assert events(again) == plain


async def test_an_unstreamed_answer_is_no_stream(chat: App, account: Account) -> None:
    assert told(await chat.ask(account, **ZERO)) == "miss"
    assert told(await chat.ask(account, **STREAM)) == "miss"


async def test_embeddings_are_given_again(embeddings: App, container: Container, account: Account) -> None:
    async def ask() -> httpx.Response:
        body = {"model": "sandbox/embed", "input": ["one two three", "four"]}
        return await embeddings.client.post("/v1/embeddings", json=body, headers=account.authorization)

    first, second = await ask(), await ask()
    assert [told(first), told(second)] == ["miss", "hit"]
    once, again = first.json(), second.json()
    assert (once["usage"].pop("cost"), again["usage"].pop("cost")) == ("0.00000042", "0.000000042")
    assert once == again
    assert [row["cache_hit"] for row in await debits_of(container, account)] == [False, True]


async def test_a_tool_call_is_given_again(chat: App, account: Account) -> None:
    tools = [{"type": "function", "function": {"name": "clock"}}]
    first, second = [await chat.ask(account, tools=tools, seed=3) for _ in range(2)]
    assert told(second) == "hit"
    assert first.json()["choices"] == second.json()["choices"]
    assert first.json()["choices"][0]["finish_reason"] == "tool_calls"


async def test_what_is_not_deterministic_is_looked_up_by_force_only(chat: App, account: Account) -> None:
    assert [told(await chat.ask(account)) for _ in range(2)] == ["skip", "skip"]
    force = {"x-cache": "force"}
    assert [told(await chat.ask(account, headers=force)) for _ in range(2)] == ["miss", "hit"]
    assert told(await chat.ask(account)) == "skip"


async def test_skip_neither_reads_nor_writes(chat: App, container: Container, account: Account) -> None:
    skip = {"x-cache": "skip"}
    assert told(await chat.ask(account, headers=skip, **ZERO)) == "skip"
    assert await items_of(container, account) == []
    assert told(await chat.ask(account, **ZERO)) == "miss"
    assert told(await chat.ask(account, headers=skip, **ZERO)) == "skip"


async def test_another_tenant_is_not_served_and_another_key_is(
    chat: App, container: Container, account: Account
) -> None:
    await chat.ask(account, **ZERO)
    assert told(await chat.ask(await an_account(container), **ZERO)) == "miss"
    second_key = await a_key(container, account.id)
    assert told(await chat.ask(second_key, **ZERO)) == "hit"
    assert (await spend_of(container, second_key)).spent == 525


async def test_a_key_that_may_not_use_the_model_is_refused_as_ever(
    chat: App, container: Container, account: Account
) -> None:
    await chat.ask(account, **ZERO)
    narrow = await a_key(container, account.id, allowed_models=("nobody/*",))
    response = await chat.ask(narrow, **ZERO)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "model_not_allowed")


def wallet_marker(rows: list[dict[str, Any]]) -> str:
    """The id of the one event that the account was told by."""
    (told_of,) = [row["sk"] for row in rows if row["sk"].startswith("event#")]
    return str(told_of.partition("#")[2])


async def spend_of(container: Container, account: Account, cap: int | None = None) -> Spend:
    return await container.wallets.spend(account.id, Limits(account.key_id, cap=cap), container.clock.now())


async def test_an_empty_wallet_gets_no_hit_and_nothing_is_written_but_the_news(chat: App, container: Container) -> None:
    account = await an_account(container, "0.01")
    assert told(await chat.ask(account, max_tokens=8, **ZERO)) == "miss"
    left = (await wallet_of(container, account)).available
    table = container.table
    await table.update(account.id, "wallet", "SET available = available - :most", {":most": left - 524})
    before = await table.query("pk = :pk", {":pk": account.id})
    response = await chat.ask(account, max_tokens=8, **ZERO)
    assert (response.status_code, response.json()["error"]["code"]) == (402, "insufficient_balance")
    after = await table.query("pk = :pk", {":pk": account.id})
    assert [row for row in after if not row["sk"].startswith("event#")] == [
        {**row, **({"exhausted": wallet_marker(after)} if row["sk"] == "wallet" else {})} for row in before
    ]
    await table.update(account.id, "wallet", "SET available = available + :one", {":one": 1})
    assert told(await chat.ask(account, max_tokens=8, **ZERO)) == "hit"
    assert (await wallet_of(container, account)).available == 0


async def test_who_waits_for_holds_of_others_is_told_to_wait(chat: App, container: Container, account: Account) -> None:
    await chat.ask(account, **ZERO)
    everything = (await wallet_of(container, account)).available
    moved = "SET available = available - :all, held = held + :all"
    await container.table.update(account.id, "wallet", moved, {":all": everything})
    response = await chat.ask(account, **ZERO)
    assert (response.status_code, response.json()["error"]["code"]) == (402, "in_flight_holds")
    assert response.headers["retry-after"]


async def test_a_hit_keeps_to_the_keys_cap(chat: App, container: Container, account: Account) -> None:
    await chat.ask(account, **ZERO)
    capped = await a_key(container, account.id, cap=1_000)
    assert told(await chat.ask(capped, **ZERO)) == "hit"
    spend = await spend_of(container, capped, 1_000)
    assert (spend.spent, spend.room, spend.held) == (525, 475, 0)
    response = await chat.ask(capped, **ZERO)
    assert (response.status_code, response.json()["error"]["code"]) == (402, "spend_cap_reached")
    assert await spend_of(container, capped, 1_000) == spend


async def test_a_hit_counts_as_a_request(chat: App, container: Container, account: Account) -> None:
    await chat.ask(account, **ZERO)
    chat.replace(clock=FixedClock(chat.module.gateway.clock.now()))
    limited = await a_key(container, account.id, rpm=2)
    assert [told(await chat.ask(limited, **ZERO)) for _ in range(2)] == ["hit", "hit"]
    response = await chat.ask(limited, **ZERO)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(response.headers["retry-after"]) <= 60


async def test_an_answer_is_forgotten_after_a_day_whether_or_not_the_store_has_deleted_it(
    chat: App, container: Container, account: Account
) -> None:
    gateway = chat.module.gateway
    clock = FixedClock(gateway.clock.now())
    chat.replace(clock=clock, cache=replace_clock(gateway.cache, clock))
    assert [told(await chat.ask(account, **ZERO)) for _ in range(2)] == ["miss", "hit"]
    clock.time += DAY_S - 1
    assert told(await chat.ask(account, **ZERO)) == "hit"
    clock.time += 1
    assert [told(await chat.ask(account, **ZERO)) for _ in range(2)] == ["miss", "hit"]


def replace_clock(cache: Any, clock: FixedClock) -> Any:
    return type(cache)(cache._table, cache._bucket, clock, cache._kept_s)


async def test_the_price_of_a_hit_is_todays(chat: App, container: Container, account: Account) -> None:
    await chat.ask(account, **ZERO)
    gateway = chat.module.gateway
    catalog: Catalog = gateway.catalog
    model = catalog.model("sandbox/echo")
    dearer = Prices({"input_tokens": Pico(10_000_000), "output_tokens": Pico(20_000_000)})
    offers = (replace(model.offers[0], prices=dearer),)
    models = {**catalog.models, model.slug: replace(model, offers=offers)}
    chat.replace(catalog=Catalog(catalog.providers, models))
    response = await chat.ask(account, **ZERO)
    assert (told(response), response.headers["x-aig-cost"]) == ("hit", "0.00000525")
    await chat.ask(account, headers={"x-cache": "skip"}, **ZERO)
    _, hit, uncached = await debits_of(container, account)
    assert uncached["amount"] == 10 * hit["amount"] == 52_500


async def test_large_answers_go_through_the_bucket(
    embeddings: App, container: Container, account: Account, dynamodb: str
) -> None:
    async def ask() -> httpx.Response:
        body = {"model": "sandbox/embed", "input": [f"text {at}" for at in range(400)]}
        return await embeddings.client.post("/v1/embeddings", json=body, headers=account.authorization)

    first, second = await ask(), await ask()
    assert [told(first), told(second)] == ["miss", "hit"]
    assert len(first.content) > 1_000_000
    assert first.json()["data"] == second.json()["data"]
    (item,) = await items_of(container, account)
    assert item["object"]["S"].startswith(f"cache/{account.id}/")
    assert "answer" not in item
    assert container.cache is not None
    assert container.cache._bucket is not None
    await container.cache._bucket.put(item["object"]["S"], b"garbage")
    assert [told(await ask()) for _ in range(2)] == ["miss", "hit"]


@pytest.mark.parametrize("item", [{"answer": b"garbage"}, {"object": "cache/nowhere"}, {}])
async def test_garbage_in_the_cache_is_a_miss_and_is_put_right(
    chat: App, container: Container, account: Account, logged: Log, item: dict[str, Any]
) -> None:
    await chat.ask(account, **ZERO)
    (there,) = await items_of(container, account)
    assert container.cache is not None
    later = int(there["ttl"]["N"])
    await container.cache._table.put({"pk": there["pk"]["S"], "ttl": later, **item})
    assert [told(await chat.ask(account, **ZERO)) for _ in range(2)] == ["miss", "hit"]
    assert "CacheFailed" in logged.text


async def test_a_cache_that_is_down_fails_no_request(
    chat: App, container: Container, account: Account, logged: Log
) -> None:
    cache = chat.module.gateway.cache
    chat.replace(cache=type(cache)(Table(cache._table._api, "no-such-table"), None, cache._clock, 60))
    for body in (ZERO, STREAM):
        assert [told(await chat.ask(account, **body)) for _ in range(2)] == ["miss", "miss"]
    assert len(await debits_of(container, account)) == 4
    assert "CacheFailed" in logged.text


async def test_an_error_is_not_kept(openai_chat: App, account: Account, upstream: FakeUpstream) -> None:
    upstream.script = Script(400, [b'{"error": {"message": "no", "code": "bad"}}'])
    assert (await openai_chat.ask(account, model=MODEL, seed=1)).status_code == 400
    upstream.script = Script(200, [say.completion("yes")])
    assert [told(await openai_chat.ask(account, model=MODEL, seed=1)) for _ in range(2)] == ["miss", "hit"]
    assert len(upstream.asked) == 2


async def test_a_stream_that_breaks_is_not_kept(openai_chat: App, account: Account, upstream: FakeUpstream) -> None:
    upstream.script = Script(
        200, [say.chunk("one"), say.chunk(" two")], {"content-type": "text/event-stream"}, cut=True
    )
    body: Mapping[str, Any] = {"model": MODEL, "seed": 1, "stream": True}
    broken = events(await openai_chat.ask(account, **body))
    assert broken[-1]["choices"][0]["finish_reason"] == "error"
    upstream.script = Script(200, say.stream("one", " two"), {"content-type": "text/event-stream"})
    responses = [await openai_chat.ask(account, **body) for _ in range(2)]
    assert [told(response) for response in responses] == ["miss", "hit"]
    assert said(events(responses[1])) == "one two"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_an_answer_that_cost_more_than_its_hold_is_made_anew_each_time(
    openai_chat: App, container: Container, account: Account, upstream: FakeUpstream, streamed: bool
) -> None:
    """A tenth of its price would be more than a tenth of what was paid for it, or even more than all of that."""
    if streamed:
        said = [say.chunk("Paris"), say.chunk(finish_reason="stop"), say.usage_chunk(10, 100_000), say.DONE]
        upstream.script = Script(200, said, {"content-type": "text/event-stream"})
    else:
        upstream.script = Script(200, [say.completion("Paris", completion_tokens=100_000)])
    body: Mapping[str, Any] = {"model": MODEL, "seed": 1, "max_tokens": 10, "stream": streamed}
    assert [told(await openai_chat.ask(account, **body)) for _ in range(2)] == ["miss", "miss"]
    first, second = await debits_of(container, account)
    assert first["amount"] == second["amount"]


async def test_an_answer_cut_by_an_empty_wallet_is_not_given_to_a_full_one(chat: App, container: Container) -> None:
    text = " ".join(["word"] * 600)
    account = await an_account(container, "0.005")
    cut = await chat.ask(account, text, **ZERO)
    assert (told(cut), cut.json()["choices"][0]["finish_reason"]) == ("miss", "length")
    await container.table.update(account.id, "wallet", "SET available = available + :much", {":much": 10**10})
    whole = await chat.ask(account, text, **ZERO)
    assert (told(whole), whole.json()["choices"][0]["finish_reason"]) == ("miss", "stop")
    assert told(await chat.ask(account, text, **ZERO)) == "hit"


async def test_what_is_not_cacheable_makes_the_two_transactions_of_before(
    warm: App, account: Account, calls: list[str]
) -> None:
    bodies: Sequence[dict[str, Any]] = ({}, {"stream": True})
    for body in bodies:
        assert told(await warm.ask(account, **body)) == "skip"
        assert calls == ["TransactWriteItems CoreTable"] * 2
        calls.clear()


async def test_a_miss_looks_and_leases_before_and_keeps_afterwards(
    warm: App, account: Account, calls: list[str]
) -> None:
    settled = ["GetItem CacheTable", "PutItem CacheTable", *["TransactWriteItems CoreTable"] * 2, "PutItem CacheTable"]
    for body in (ZERO, STREAM):
        assert told(await warm.ask(account, **body)) == "miss"
        assert calls == settled
        calls.clear()


async def test_a_hit_is_two_round_trips(warm: App, account: Account, calls: list[str]) -> None:
    for body in (ZERO, WITH_USAGE):
        await warm.ask(account, **body)
        calls.clear()
        assert told(await warm.ask(account, **body)) == "hit"
        assert calls == ["GetItem CacheTable", "TransactWriteItems CoreTable"]


async def test_the_cache_holds_neither_the_prompt_nor_a_readable_key(
    chat: App, container: Container, account: Account
) -> None:
    await chat.ask(account, "", messages=[{"role": "user", "content": PROMPT}], tools=[CLOCK], **ZERO)
    (item,) = await items_of(container, account)
    assert PROMPT not in json.dumps(item)
    assert len(item["pk"]["S"].partition("#")[2]) == 64


CLOCK: Final[dict[str, Any]] = {"type": "function", "function": {"name": "clock"}}
