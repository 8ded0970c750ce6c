"""What every operation has in common, through its function's app: price, cache, tag, record, failover, failures."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from aig.catalog import model as catalog
from aig.money.units import Nano, parse_usd, usd
from aig.wiring import Container
from local.template import Stack
from tests import apps
from tests.apps import App, catalog_with
from tests.builders import Account, an_account, debits_of, holds_of, losses_of, wallet_of
from tests.integration.operations import CALLS, Call, error_of
from tests.integration.test_requests import one
from tests.integration.test_sandbox_models import FAILURES
from tests.logs import Log

TEN_DOLLARS = 10 * 10**9


@dataclass(frozen=True)
class Served:
    """A call, its function's app, just started, and an account with ten dollars."""

    call: Call
    app: App
    account: Account

    async def send(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return await self.call.send(self.app, self.account, headers, **body)


@pytest.fixture(params=CALLS, ids=lambda call: call.operation)
async def served(
    request: pytest.FixtureRequest, deployed: Stack, container: Container, logged: Log
) -> AsyncIterator[Served]:
    call: Call = request.param
    app = App(apps.start(deployed.functions[f"{call.family}Function"]))
    yield Served(call, app, await an_account(container, default_tag="by-default"))
    await app.close()


def answered(response: httpx.Response) -> httpx.Response:
    assert response.status_code == 200, response.text
    return response


async def test_it_is_metered_to_the_last_digit(served: Served, container: Container) -> None:
    call = served.call
    response = answered(await served.send({"x-aig-tag": "team/search"}))
    headers = response.headers
    assert headers["x-aig-cost"] == usd(call.cost)
    assert (headers["x-aig-model"], headers["x-aig-provider"]) == (call.model, "sandbox")
    assert headers["x-aig-attempts"] == "1"
    assert headers["x-request-id"].startswith("req_")
    if headers["content-type"] == "application/json":
        assert response.json()["usage"]["cost"] == usd(call.cost)
    wallet = await wallet_of(container, served.account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS - call.cost, 0)
    (debit,) = await debits_of(container, served.account)
    assert (debit["amount"], debit["upstream_cost"] * 105) == (call.cost, call.cost * 100)
    assert (debit["model"], debit["provider"], debit["tag"]) == (call.model, "sandbox", "team/search")
    assert debit["estimated"] is False
    assert json.loads(debit["units"]) == call.units
    (hold,) = await holds_of(container, served.account)
    assert (hold["phase"], hold["charged"]) == ("posted", call.cost)


async def test_the_second_of_two_equal_calls_is_a_hit_at_a_tenth(served: Served, container: Container) -> None:
    call = served.call
    first, second = [answered(await served.send(call.cacheable)) for _ in range(2)]
    assert [first.headers["x-cache"], second.headers["x-cache"]] == ["miss", "hit"]
    assert second.headers["x-aig-cost"] == usd(call.cost // 10)
    assert (second.headers["x-aig-attempts"], second.headers["x-aig-model"]) == ("0", call.model)
    paid, repaid = await debits_of(container, served.account)
    assert (repaid["amount"], repaid["upstream_cost"], repaid["cache_hit"]) == (call.cost // 10, 0, True)
    assert repaid["units"] == paid["units"]
    assert (paid["tag"], repaid["tag"]) == ("by-default", "by-default")
    wallet = await wallet_of(container, served.account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS - call.cost - call.cost // 10, 0)
    if call.family == "Audio" and not call.files:
        assert first.content == second.content
        return
    once, again = first.json(), second.json()
    assert parse_usd(once["usage"].pop("cost")) == 10 * parse_usd(again["usage"].pop("cost")) == call.cost
    own = ("id", "created", "data") if call.family == "Images" else ("id",)  # a hit's links and its id are its own
    assert {k: v for k, v in once.items() if k not in own} == {k: v for k, v in again.items() if k not in own}


async def test_x_cache_skip_neither_takes_nor_leaves_an_answer(served: Served, container: Container) -> None:
    for _ in range(2):
        assert answered(await served.send({"x-cache": "skip"})).headers["x-cache"] == "skip"
    assert answered(await served.send(served.call.cacheable)).headers["x-cache"] == "miss"
    assert answered(await served.send({"x-cache": "skip"})).headers["x-cache"] == "skip"
    assert [row["amount"] for row in await debits_of(container, served.account)] == [served.call.cost] * 4


async def test_another_tenant_is_given_no_answer_of_this_one(served: Served, container: Container) -> None:
    answered(await served.send(served.call.cacheable))
    other = await an_account(container)
    response = answered(await served.call.send(served.app, other, served.call.cacheable))
    assert response.headers["x-cache"] == "miss"


async def test_it_leaves_a_record(served: Served, requests: App) -> None:
    call = served.call
    response = answered(await served.send({"x-aig-tag": "search"}))
    record = await one(requests, served.account, response.headers["x-request-id"])
    assert (record["operation"], record["status"], record["error"]) == (call.operation, "completed", None)
    assert (record["model"], record["provider"], record["attempts"]) == (call.model, "sandbox", 1)
    assert (record["cost"], record["tag"], record["units"]) == (usd(call.cost), "search", call.units)
    assert record["request"] == {"model": call.model, **call.body}
    assert record["stream"] is (call.operation == "audio.speech")
    if not call.keeps_answer:
        assert record["answer"] is None
    else:
        assert record["answer"]["model"] == call.model
        shown = {name: value for name, value in response.json().items() if name not in ("id", "usage")}
        assert shown.items() <= record["answer"].items()


async def test_a_record_that_was_to_be_none_has_no_bodies(served: Served, requests: App) -> None:
    response = answered(await served.send({"x-aig-retain": "none"}))
    record = await one(requests, served.account, response.headers["x-request-id"])
    assert (record["request"], record["answer"]) == (None, None)
    assert (record["operation"], record["cost"]) == (served.call.operation, usd(served.call.cost))


async def test_another_model_answers_where_one_fails(served: Served, container: Container) -> None:
    call = served.call
    response = answered(await served.send(model=None, models=["sandbox/fail-500", call.model]))
    assert (response.headers["x-aig-model"], response.headers["x-aig-attempts"]) == (call.model, "2")
    assert response.headers["x-aig-cost"] == usd(call.cost)
    (debit,) = await debits_of(container, served.account)
    assert (debit["model"], debit["amount"]) == (call.model, call.cost)
    assert await losses_of(container, served.account) == []


async def test_a_failure_costs_nothing(served: Served, container: Container, requests: App) -> None:
    served.app.replace(catalog=catalog_with({"sandbox": {"first_byte": 0.2, "idle": 0.2, "total": 0.3}}))
    for model, refusal in FAILURES.items():
        response = await served.send(model=model)
        error = error_of(response)
        assert (response.status_code, error["type"], error["code"]) == refusal, model
        record = await one(requests, served.account, response.headers["x-request-id"])
        assert (record["operation"], record["status"]) == (served.call.operation, "failed")
        assert (record["error"], record["cost"]) == (error["code"], usd(Nano(0)))
    wallet = await wallet_of(container, served.account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)
    assert await debits_of(container, served.account) == []
    assert await losses_of(container, served.account) == []


async def test_the_second_attempt_of_fail_once_answers(served: Served) -> None:
    response = answered(await served.send({"x-sandbox-id": served.account.id}, model="sandbox/fail-once-500"))
    assert (response.headers["x-aig-attempts"], response.headers["x-aig-cost"]) == ("2", usd(served.call.cost))


async def test_a_model_of_another_modality_is_refused_and_the_capability_named(
    served: Served, container: Container
) -> None:
    error = error_of(await served.send(model="sandbox/echo"))
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "wrong_modality", "model")
    assert f"GET /v1/models?capability={served.call.capability} " in error["message"]
    assert await holds_of(container, served.account) == []


async def test_an_unknown_model_is_not_found(served: Served) -> None:
    response = await served.send(model="sandbox/nothing")
    assert (response.status_code, error_of(response)["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("model", [None, "auto"])
async def test_the_choice_is_the_gateways(served: Served, container: Container, model: str | None) -> None:
    """No provider is set up here, and test models are not chosen: until one of them is no test model any more."""
    call, built = served.call, catalog.builtin()
    response = await served.send(model=model)
    error = error_of(response)
    assert (response.status_code, error["code"]) == (502, "provider_not_configured")
    assert call.capability in error["message"]
    assert await holds_of(container, served.account) == []
    usual = replace(built.models[call.model], sandbox=False)
    served.app.replace(catalog=catalog.Catalog(built.providers, {**built.models, call.model: usual}))
    response = answered(await served.send(model=model))
    assert (response.headers["x-aig-model"], response.headers["x-aig-cost"]) == (call.model, usd(call.cost))


async def test_a_key_without_inference_is_refused(served: Served, container: Container) -> None:
    reader = await an_account(container, scopes=["usage:read"])
    response = await served.call.send(served.app, reader)
    assert (response.status_code, error_of(response)["code"]) == (403, "insufficient_scope")


async def test_a_key_for_other_models_is_refused(served: Served, container: Container) -> None:
    other = await an_account(container, allowed_models=["sandbox/echo"])
    response = await served.call.send(served.app, other)
    assert (response.status_code, error_of(response)["code"]) == (403, "model_not_allowed")
