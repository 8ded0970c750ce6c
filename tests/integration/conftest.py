"""The functions' apps over moto, with everything that they log in sight."""

import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
from aws_lambda_powertools import Logger

from aig import wiring
from aig.aws.jobs import PLATFORM
from aig.wiring import Container
from local.template import Stack
from tests import apps
from tests.apps import App, Handler
from tests.builders import PROVIDER_KEY, SECRETS, Account, an_account
from tests.jobs import MAKER, SPARE, Lane, Shop
from tests.logs import Log
from tests.stripe_account import API_KEY, WEBHOOK_SECRET, StripeAccount, stripe_account
from tests.unit.clock import FixedClock
from tests.upstream import FakeUpstream, fake_upstream

_SERVICES: Final = (
    "accounts", "aigateway", "audio", "chat", "dispatcher", "drift", "embeddings", "files", "generations", "images",
    "jobs", "jobworker", "models", "payments", "requests", "rollup", "summary", "sweeper", "text", "usage", "vision",
    "webhooks", "webhookworker",
)  # fmt: skip


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """Collects logs, metrics and prints; the test fails if a key, a prompt, a provider's key or the pepper is there."""
    log = Log(capsys)
    for service in _SERVICES:
        Logger(service=service, level="DEBUG")
        for handler in logging.getLogger(service).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(log)
    root = logging.getLogger()
    plain, level = logging.StreamHandler(log), root.level
    root.addHandler(plain)
    root.setLevel(logging.INFO)
    yield log
    root.setLevel(level)
    root.removeHandler(plain)
    text = log.text
    print(text)  # noqa: T201 (pytest shows it where the test failed)
    assert not [secret for secret in SECRETS if secret in text]


@pytest.fixture(autouse=True)
def breakers_of_its_own(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The table outlives a test, and would tell the next one of the breakers that this one has opened."""
    monkeypatch.setattr("aig.aws.health._BREAKERS", f"breakers of {request.node.nodeid}"[-900:])


@pytest.fixture
async def chat(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The chat function, just started."""
    app = App(apps.start(deployed.functions["ChatFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def embeddings(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The embeddings function's app, just started."""
    app = App(apps.start(deployed.functions["EmbeddingsFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def text(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The text function's app, just started."""
    app = App(apps.start(deployed.functions["TextFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def vision(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The vision function's app, just started."""
    app = App(apps.start(deployed.functions["VisionFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def audio(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The audio function's app, just started."""
    app = App(apps.start(deployed.functions["AudioFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def images(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The images function's app, just started."""
    app = App(apps.start(deployed.functions["ImagesFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def files(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The files function's app, just started."""
    app = App(apps.start(deployed.functions["FilesFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def generations(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The generations function's app, just started; `module.queue` keeps what it sends to the worker."""
    app = App(module := apps.start(deployed.functions["GenerationsFunction"]))
    module.queue = Lane()  # type: ignore[attr-defined]
    yield app
    await app.close()


@pytest.fixture
async def jobs(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The jobs function's app, just started."""
    app = App(apps.start(deployed.functions["JobsFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def models(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The models function's app, just started."""
    app = App(apps.start(deployed.functions["ModelsFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def accounts(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The accounts function's app, just started."""
    app = App(apps.start(deployed.functions["AccountsFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def requests(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The requests function's app, just started."""
    app = App(apps.start(deployed.functions["RequestsFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def stripe() -> AsyncIterator[StripeAccount]:
    """A Stripe on loopback."""
    async with stripe_account() as account:
        yield account


@pytest.fixture
async def payments(deployed: Stack, container: Container, logged: Log, stripe: StripeAccount) -> AsyncIterator[App]:
    """The payments function's app, with keys to the Stripe on loopback."""
    app = App(
        apps.start(
            deployed.functions["PaymentsFunction"],
            AIG_STRIPE_BASE_URL=stripe.base_url,
            STRIPE_API_KEY=API_KEY,
            STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET,
        )
    )
    yield app
    await app.close()


@pytest.fixture
async def usage(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The usage function's app, just started."""
    app = App(apps.start(deployed.functions["UsageFunction"]))
    yield app
    await app.close()


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A provider on loopback."""
    async with fake_upstream() as fake:
        yield fake


@pytest.fixture
async def openai_chat(deployed: Stack, container: Container, logged: Log, upstream: FakeUpstream) -> AsyncIterator[App]:
    """The chat function with a key for OpenAI, whose place `upstream` takes."""
    app = App(
        apps.start(
            deployed.functions["ChatFunction"], AIG_OPENAI_BASE_URL=upstream.base_url, OPENAI_API_KEY=PROVIDER_KEY
        )
    )
    yield app
    await app.close()


@pytest.fixture
async def rollup(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[Handler]:
    """The rollup function's handler, just started."""
    handler = Handler(deployed.functions["RollupFunction"])
    yield handler
    await handler.close()


@pytest.fixture
async def webhooks(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The webhooks function's app, just started, on one's own machine."""
    app = App(apps.start(deployed.functions["WebhooksFunction"], AIG_ALLOW_LOOPBACK="true"))
    yield app
    await app.module.queue.close()
    await app.close()


@pytest.fixture
async def shop(dynamodb: str) -> AsyncIterator[Shop]:
    """Jobs in the test's own time, at makers all of whose places are free."""
    clock = FixedClock(float(int(time.time())))
    opened = wiring.container(clock=clock)
    found = Shop(opened, clock)
    for provider in (MAKER, SPARE):  # the table outlives a test, and so do the places that it leaves taken
        if taken := await found.slots(provider):
            given = opened.table.update_action(PLATFORM, f"slots#{provider}", "ADD used :less", {":less": -taken})
            assert not await opened.table.transact([given])
    yield found
    await opened.close()


@pytest.fixture
async def buyer(shop: Shop) -> Account:
    """Who orders there."""
    return await an_account(shop.container)
