"""Records of requests: each call leaves one, with its bodies unless they are kept out; nobody else's are seen."""

import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from aig.aws.json_api import JsonApi
from aig.aws.records import MAX_BODIES_BYTES, MAX_JSON_BYTES, DynamoRecords
from aig.aws.sigv4 import Credentials
from aig.aws.table import Table
from aig.money.units import NOTHING, Nano
from aig.records import Record
from aig.wiring import Container
from local.deploy import create_tables
from local.template import load
from tests.apps import App
from tests.builders import PROMPT, Account, an_account
from tests.integration.test_keys import call, problem
from tests.integration.test_sub_accounts import sub_account


async def listed(requests: App, account: Account, query: str = "") -> list[dict[str, Any]]:
    response = await call(requests, account, "GET", f"/v1/requests{query}")
    assert response.status_code == 200
    data: list[dict[str, Any]] = response.json()["data"]
    return data


async def one(requests: App, account: Account, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = (await call(requests, account, "GET", f"/v1/requests/{request_id}")).json()
    return body


class Received:
    """Stands before DynamoDB and keeps what it answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[dict[str, Any]] = []
        call = JsonApi.call

        async def kept(*args: Any, **more: Any) -> dict[str, Any]:
            self.answers.append(await call(*args, **more))
            return self.answers[-1]

        monkeypatch.setattr(JsonApi, "call", kept)


@pytest.fixture(params=["moto", "DynamoDB Local"])
async def records(request: pytest.FixtureRequest, container: Container) -> AsyncIterator[DynamoRecords]:
    if request.param == "moto":
        yield container.records
        return
    endpoint: str = request.getfixturevalue("dynamodb_local")
    (made,) = [table for table in load().tables if table.logical_id == "RequestsTable"]
    create_tables([made], endpoint)
    table = Table(JsonApi("dynamodb", "DynamoDB_20120810", "1.0", endpoint, "r", Credentials("a", "b")), made.name)
    yield DynamoRecords(table)
    await table.close()


async def test_a_list_tells_what_reading_does_and_fetches_no_bodies(
    records: DynamoRecords, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, account_id = container.ids.new, container.ids.new("acct")
    bare = Record(
        new("req"), account_id, "key_1", "trace", "chat.completions", False, int(time.time()), 5, "v/m", None, None,
        NOTHING, {}, False, "skip",
    )  # fmt: skip
    full = replace(
        bare, id=new("req"), streamed=True, provider="v", attempts=2, cost=Nano(7), units={"input_tokens": 3},
        estimated=True, cache="miss", tag="t", error="provider_error", request={"a": "x" * 50_000}, answer={"b": "y"},
    )  # fmt: skip
    large = replace(bare, id=new("req"), request={"a": "x" * MAX_JSON_BYTES})
    for record in (bare, full, large):
        await records._table.transact(records.put_actions(record))
    assert await records.get(account_id, full.id) == (full, ())
    received = Received(monkeypatch)
    found, more = await records.page(account_id, limit=5)
    listed = {record.id: record for record in found}
    assert (len(found), more) == (3, False)
    assert listed == {record.id: replace(record, request=None, answer=None) for record in (bare, full, large)}
    sent = [item for answer in received.answers for item in answer["Items"]]
    assert [item for item in sent if "bodies" in item] == []
    assert await records.get(account_id, large.id) == (replace(large, request=None), ("request",))


async def test_of_bodies_that_are_too_large_together_the_larger_is_left_out(
    records: DynamoRecords, container: Container
) -> None:
    large, small = ({"a": secrets.token_hex(size)} for size in (MAX_BODIES_BYTES * 3 // 4, MAX_BODIES_BYTES // 2))
    record = Record(
        container.ids.new("req"), container.ids.new("acct"), "key_1", "trace", "chat.completions", False,
        int(time.time()), 5, "v/m", "v", 1, NOTHING, {}, False, "skip", request=small, answer=large,
    )  # fmt: skip
    await records._table.transact(records.put_actions(record))
    assert await records.get(record.account_id, record.id) == (replace(record, answer=None), ("answer",))


async def test_a_call_is_found_by_the_id_that_its_answer_had(chat: App, requests: App, container: Container) -> None:
    account = await an_account(container)
    answer = await chat.ask(account, headers={"x-aig-tag": "search"}, temperature=0.5)
    record = await one(requests, account, answer.headers["x-request-id"])
    assert record["request"] == {
        "model": "sandbox/echo", "messages": [{"role": "user", "content": PROMPT}], "temperature": 0.5
    }  # fmt: skip
    assert record["answer"]["choices"] == answer.json()["choices"]
    assert record["answer"]["model"] == answer.json()["model"] == "sandbox/echo"
    assert (record["status"], record["error"], record["cost"]) == ("completed", None, answer.headers["x-aig-cost"])
    assert (record["tag"], record["stream"], record["left_out"]) == ("search", False, [])
    assert record["units"] == {"input_tokens": 1, "output_tokens": 2}
    (entry,) = await listed(requests, account)
    assert entry == {name: value for name, value in record.items() if name not in ("request", "answer", "left_out")}


async def test_an_id_of_the_clients_own_is_kept_beside_ours(chat: App, requests: App, container: Container) -> None:
    account = await an_account(container)
    for _ in range(2):  # the same id twice is two requests
        answer = await chat.ask(account, headers={"x-request-id": "mine"})
        assert answer.headers["x-request-id"] == "mine"
    entries = await listed(requests, account)
    assert [entry["trace_id"] for entry in entries] == ["mine", "mine"]
    assert len({entry["id"] for entry in entries}) == 2


async def test_a_stream_is_recorded_as_the_message_it_makes(chat: App, requests: App, container: Container) -> None:
    account = await an_account(container)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    for more in ({}, {"tools": [tool]}, {"n": 2}):
        whole = await chat.ask(account, **more)
        streamed = await chat.ask(account, stream=True, **more)
        first, second = [
            (await one(requests, account, answer.headers["x-request-id"]))["answer"] for answer in (whole, streamed)
        ]
        for choice in (*first["choices"], *second["choices"]):
            choice.pop("logprobs", None)
            choice["message"].pop("refusal", None)
            for made in choice["message"].get("tool_calls", ()):
                made.pop("id")
        assert second["choices"] == first["choices"]
        assert second["object"] == "chat.completion"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failed_call_is_recorded_with_what_it_was_told(
    chat: App, requests: App, container: Container, streamed: bool
) -> None:
    account = await an_account(container)
    answer = await chat.ask(account, model="sandbox/fail-500", stream=streamed)
    record = await one(requests, account, answer.headers["x-request-id"])
    assert (record["status"], record["error"], record["cost"]) == ("failed", "provider_unavailable", "0.00")
    assert (record["model"], record["provider"], record["answer"]) == ("sandbox/fail-500", None, None)
    assert record["request"]["model"] == "sandbox/fail-500"


async def test_a_stream_that_broke_is_failed(chat: App, requests: App, container: Container) -> None:
    account = await an_account(container)
    answer = await chat.ask(account, model="sandbox/cut", stream=True)
    record = await one(requests, account, answer.headers["x-request-id"])
    assert (record["status"], record["error"]) == ("failed", "provider_unavailable")


async def test_what_is_refused_before_it_holds_anything_leaves_nothing(
    chat: App, requests: App, container: Container
) -> None:
    account = await an_account(container, "0")
    assert (await chat.ask(account)).status_code == 402
    assert await listed(requests, account) == []


class TestRetention:
    @pytest.mark.parametrize("value", ["none", "None", " none "])
    async def test_a_header_keeps_bodies_out(self, chat: App, requests: App, container: Container, value: str) -> None:
        account = await an_account(container)
        for stream in (False, True):
            answer = await chat.ask(account, headers={"x-aig-retain": value}, stream=stream)
            record = await one(requests, account, answer.headers["x-request-id"])
            assert (record["request"], record["answer"], record["left_out"]) == (None, None, [])
            assert record["cost"] == "0.00000525"
        rows = await container.table.query("pk = :pk", {":pk": account.id})
        assert PROMPT not in str(rows)

    async def test_a_setting_of_the_account_keeps_them_out_of_its_sub_accounts_too(
        self, chat: App, accounts: App, requests: App, container: Container
    ) -> None:
        account = await an_account(container)
        _, customer = await sub_account(accounts, account, scopes=["inference", "usage:read", "admin"])
        assert (await call(accounts, account, "GET", "/v1/account")).json()["request_retention"] == "full"
        changed = await call(accounts, account, "PATCH", "/v1/account", {"request_retention": "none", "name": "Acme"})
        assert (changed.json()["request_retention"], changed.json()["name"]) == ("none", "Acme")
        for caller in (account, customer):
            answer = await chat.ask(caller)
            assert (await one(requests, caller, answer.headers["x-request-id"]))["request"] is None
        assert problem(await call(accounts, customer, "PATCH", "/v1/account", {}))[:2] == (403, "insufficient_scope")

    async def test_another_word_is_refused(self, chat: App, container: Container) -> None:
        refused = await chat.ask(await an_account(container), headers={"x-aig-retain": "some"})
        assert problem(refused) == (400, "invalid_value", "x-aig-retain")

    async def test_a_body_that_is_too_large_is_left_out_and_the_call_goes_well(
        self, chat: App, requests: App, container: Container
    ) -> None:
        account = await an_account(container)
        answer = await chat.ask(account, x_unknown="x" * MAX_JSON_BYTES)
        assert answer.status_code == 200
        record = await one(requests, account, answer.headers["x-request-id"])
        assert (record["request"], record["left_out"]) == (None, ["request"])
        assert record["answer"] is not None

    async def test_it_goes_after_thirty_days(self, chat: App, container: Container) -> None:
        account = await an_account(container)
        await chat.ask(account)
        ((record,), more) = await container.records.page(account.id, limit=5)
        table = container.records._table
        item = await table.get(account.id, f"req#{record.id}")
        bodies = await table.get(f"{account.id}#{record.id}", "bodies")
        assert item is not None
        assert bodies is not None
        assert {item["ttl"], bodies["ttl"]} == {record.created_at + 30 * 24 * 3600}
        assert not more


async def test_embeddings_are_recorded_without_their_vectors(
    embeddings: App, requests: App, container: Container
) -> None:
    account = await an_account(container)
    body = {"model": "sandbox/embed", "input": ["one two", "three"]}
    answer = await embeddings.client.post("/v1/embeddings", json=body, headers=account.authorization)
    record = await one(requests, account, answer.headers["x-request-id"])
    assert (record["operation"], record["request"], record["answer"]) == ("embeddings", body, None)


async def test_an_account_reads_its_sub_accounts_records_and_nobody_elses(
    chat: App, accounts: App, requests: App, container: Container
) -> None:
    account, stranger = await an_account(container), await an_account(container)
    told, customer = await sub_account(accounts, account)
    answer = await chat.ask(customer)
    request_id, of_sub = answer.headers["x-request-id"], f"?sub_account={told['id']}"
    assert [entry["id"] for entry in await listed(requests, customer)] == [request_id]
    assert [entry["id"] for entry in await listed(requests, account, of_sub)] == [request_id]
    seen = await call(requests, account, "GET", f"/v1/requests/{request_id}{of_sub}")
    assert seen.json() == await one(requests, customer, request_id)
    assert await listed(requests, account) == []
    for path in (f"/v1/requests/{request_id}", f"/v1/requests{of_sub}", f"/v1/requests/{request_id}{of_sub}"):
        refused = await call(requests, stranger, "GET", path)
        assert problem(refused)[:2] == (404, "not_found")
    assert problem(await call(requests, account, "GET", f"/v1/requests/{request_id}"))[:2] == (404, "not_found")


@pytest.mark.parametrize("request_id", ["x", "req_1", "req_" + "0" * 26, "x" * 2000, "%2e%2e", "req%23"])
async def test_what_is_no_request_is_a_404(requests: App, container: Container, request_id: str) -> None:
    refused: httpx.Response = await call(requests, await an_account(container), "GET", f"/v1/requests/{request_id}")
    assert refused.status_code == 404
    assert json.loads(refused.text)["error"]["type"] == "not_found_error"
