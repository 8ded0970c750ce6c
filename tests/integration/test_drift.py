"""The scheduled function that tells of models that came or go."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from aig.catalog import model as catalog
from aig.catalog.model import Catalog
from aig.drift import seen
from aig.events import Event
from aig.ports import StoreBusy
from aig.wiring import Container
from local.template import Stack
from tests.apps import Handler, event
from tests.builders import Account, an_account
from tests.logs import Log
from tests.webhooks import World

SLUGS = sorted(slug for slug, model in catalog.builtin().models.items() if not model.sandbox)[:3]


class Told:
    """The function, with a catalog of the test's choice deployed."""

    def __init__(self, handler: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
        self.handler = handler
        self._patch = monkeypatch

    async def of(self, found: Catalog) -> Mapping[str, int]:
        self._patch.setattr(catalog, "builtin", lambda: found)
        answer: Mapping[str, int] = await self.handler.invoke(event("drift"))
        return answer


@pytest.fixture
async def drift(
    deployed: Stack, container: Container, logged: Log, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Told]:
    handler = Handler(deployed.functions["DriftFunction"])
    await container.webhooks.see_catalog(seen(only(*SLUGS)))
    yield Told(handler, monkeypatch)
    await handler.close()


def only(*slugs: str, **changes: Any) -> Catalog:
    """The catalog with these models; `changes` are made to the last of them."""
    whole = catalog.builtin()
    models = {slug: whole.models[slug] for slug in slugs}
    if changes:
        models[slugs[-1]] = replace(models[slugs[-1]], **changes)
    return Catalog(whole.providers, models)


async def subscribed(container: Container, *events: str) -> Account:
    account = await an_account(container)
    await World(container, account, container.clock.now()).endpoint("https://a.example/hook", *events)
    return account


async def events(container: Container, account: Account) -> list[Event]:
    found, _ = await container.events.page(account.id, limit=50)
    return [one for one in found if one.type.startswith("model.")]


async def test_a_model_that_came_is_told_once_to_those_who_want_to_know(drift: Told, container: Container) -> None:
    whole = catalog.builtin()
    extra = sorted(slug for slug, model in whole.models.items() if not model.sandbox and slug not in SLUGS)[0]
    wanted, everything, other = [
        await subscribed(container, *names) for names in (["model.added"], ["*"], ["balance.low"])
    ]
    deployed = only(*SLUGS, extra)
    for _ in range(2):
        await drift.of(deployed)
    for account in (wanted, everything):
        (told,) = await events(container, account)
        assert (told.type, told.data["model"]) == ("model.added", extra)
        row = await container.table.get(account.id, f"event#{told.id}")
        assert row is not None
        assert row["kind"] == "event", "so the dispatcher is brought it"
    assert await events(container, other) == []


async def test_a_day_on_which_a_model_ends_is_told_and_another_day_anew(drift: Told, container: Container) -> None:
    account = await subscribed(container, "model.deprecated", "model.added")
    for day in ("2099-03-31", "2099-03-31", "2099-06-30"):
        await drift.of(only(*SLUGS, deprecated=day))
    told = await events(container, account)
    assert [(one.type, one.data["model"], one.data["deprecated"]) for one in reversed(told)] == [
        ("model.deprecated", SLUGS[-1], "2099-03-31"),
        ("model.deprecated", SLUGS[-1], "2099-06-30"),
    ]
    await drift.of(only(*SLUGS[:-1]))
    assert len(await events(container, account)) == 2, "its end was told before"


async def test_a_model_that_went_without_notice_is_told(drift: Told, container: Container) -> None:
    account = await subscribed(container)
    await drift.of(only(*SLUGS, deprecated=None))
    before = len(await events(container, account))
    await drift.of(only(*SLUGS[:-1]))
    told = (await events(container, account))[: -before or None]
    assert [(one.type, one.data["model"]) for one in told] == [("model.deprecated", SLUGS[-1])]


async def test_the_first_look_only_remembers(
    drift: Told, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await subscribed(container)

    async def nothing(self: object) -> None:
        return None

    with monkeypatch.context() as patch:
        patch.setattr(type(container.webhooks), "seen_catalog", nothing)
        assert await drift.of(only(*SLUGS[:1])) == {"told": 0, "failed": 0}
    assert await events(container, account) == []
    assert await container.webhooks.seen_catalog() == seen(only(*SLUGS[:1]))


async def test_an_account_that_could_not_be_told_is_told_by_the_next_run(
    drift: Told, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await subscribed(container)
    store = type(container.events)
    once = store.once

    async def busy(self: Any, name: str, event: Event) -> bool:
        if event.account_id == account.id:
            raise StoreBusy
        return await once(self, name, event)

    changed = only(*SLUGS, deprecated="2098-01-01")
    with monkeypatch.context() as patch:
        patch.setattr(store, "once", busy)
        assert (await drift.of(changed))["failed"] == 1
    assert await events(container, account) == []
    await drift.of(changed)
    assert len(await events(container, account)) == 1


async def test_who_was_told_is_not_gone_through_again_for_somebody_who_could_not_be(
    drift: Told, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, untold = await subscribed(container), await subscribed(container)
    store = type(container.webhooks)
    endpoints, asked = store.endpoints, list[str]()

    def busy_for(account: Account) -> Any:
        async def read(self: Any, tenant: str) -> Any:
            asked.append(tenant)
            if tenant == account.id:
                raise StoreBusy
            return await endpoints(self, tenant)

        return read

    changed = only(*SLUGS, deprecated="2097-01-01")
    for busy, failed in ((untold, 1), (told, 0)):
        with monkeypatch.context() as patch:
            patch.setattr(store, "endpoints", busy_for(busy))
            assert (await drift.of(changed))["failed"] == failed
    assert len(await events(container, told)) == len(await events(container, untold)) == 1
    assert asked.count(told.id) == 1


async def test_what_a_provider_has_not_is_nobodys_news(
    deployed: Stack, container: Container, logged: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [one for _, one in sorted(catalog.builtin().models.items()) if not one.sandbox and len(one.offers) == 1]
    model, provider = models[0], models[0].offers[0].provider
    others = [one.slug for one in models if one.offers[0].provider != provider][:2]
    await container.webhooks.see_catalog(seen(only(*others)))
    account = await subscribed(container)
    handler = Handler(deployed.functions["DriftFunction"], **{provider.models_variable: "another"})
    await Told(handler, monkeypatch).of(only(*others, model.slug))
    assert [one.data["model"] for one in await events(container, account)] == []
    await handler.close()
