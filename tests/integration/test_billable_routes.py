"""No route reaches a provider without a hold: every route of a family that has adapters, on an empty wallet.

A family that comes later is found by itself: its routes are missing in BODIES until it is shown here that they hold.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.routing import APIRoute
from typing_extensions import override

from aig.catalog.model import Provider
from aig.modalities.upstream import Upstream
from aig.ports import Adapter
from aig.wiring import Container
from aig_providers.registry import Registry
from local.template import Stack, load
from tests import apps
from tests.apps import App
from tests.builders import an_account, holds_of
from tests.integration.operations import CALLS, in_form
from tests.logs import Log

BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/chat/completions"): {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]},
    ("POST", "/v1/embeddings"): {"model": "sandbox/embed", "input": "hi"},
    **{("POST", call.path): {"model": call.model, **call.body} for call in CALLS},
    ("POST", "/v1/videos/generations"): {"model": "sandbox/video", "prompt": "hi"},
    ("POST", "/v1/audio/music"): {"model": "sandbox/music", "prompt": "hi"},
    ("POST", "/v1/3d/generations"): {"model": "sandbox/3d", "prompt": "hi"},
}
FORMS = {call.path: in_form(call.files) for call in CALLS if call.files}
# Families that have no adapters to reach a provider with, but the gateway's other ports.
READ_ONLY = {"ModelsFunction"}
# Asks adapters what they can do, which is pure; the worker that asks providers serves no route.
CHECKS_ONLY = {"GenerationsFunction"}


def behind_http() -> list[str]:
    return sorted({route.function for route in load().routes})


class Watched:
    """The registry, and whether it was asked for an adapter."""

    def __init__(self) -> None:
        self.asked = 0

    def get(self, provider: Provider) -> Adapter:
        self.asked += 1
        return Registry().get(provider)


class Checks:
    """An adapter of jobs that has nothing but its check: whoever goes on to a provider fails."""

    def check(self, upstream: Upstream, request: Any) -> None:
        """It can do everything."""


class Checking(Watched):
    """A registry of such."""

    @override
    def get(self, provider: Provider) -> Adapter:
        only = Checks()
        return cast("Adapter", SimpleNamespace(video=only, music=only, three_d=only))


def routes(app: App) -> Iterator[tuple[str, str]]:
    for route in app.module.app.routes:
        if isinstance(route, APIRoute):
            yield from ((method, route.path) for method in route.methods or ())


@pytest.mark.parametrize("function", behind_http())
async def test_an_empty_wallet_reaches_no_provider(
    deployed: Stack, container: Container, logged: Log, function: str
) -> None:
    app = App(apps.start(deployed.functions[function]))
    if not hasattr(app.module, "gateway") or function in READ_ONLY:
        # Without a gateway there is nobody to ask a provider; a read-only one answers the public.
        assert not {pair for pair in routes(app) if pair in BODIES}
        await app.close()
        return
    app.replace(adapters=(watched := Checking() if function in CHECKS_ONLY else Watched()))
    billable = [pair for pair in routes(app) if pair[0] != "HEAD"]
    assert billable
    for method, path in billable:
        account = await an_account(container, "0")
        body = BODIES[method, path]
        streams = [{}, {"stream": True}] if path.endswith("completions") else [{}]
        for more in streams:
            sent: dict[str, Any] = {"json": {**body, **more}}
            if path in FORMS:
                sent = {"data": body, "files": FORMS[path]}
            answer = await app.client.request(method, path, **sent, headers=account.authorization)
            assert (answer.status_code, answer.json()["error"]["type"]) == (402, "budget_exceeded")
        assert await holds_of(container, account) == []
    assert watched.asked == 0
    await app.close()


async def test_the_read_only_families_take_no_body(models: App) -> None:
    assert {method for method, _ in routes(models)} <= {"GET", "HEAD"}
