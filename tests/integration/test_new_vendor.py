"""A vendor of OpenAI's wire is one row and its models: the two blocks of CONTRIBUTING.md, compiled and called.

A third, which may follow the second, has other prices for some hours.
"""

import re
import tomllib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from aig.catalog import model as catalog
from aig.catalog.compile import compile_catalog
from aig.wiring import Container
from local.template import ROOT
from tests.apps import App
from tests.builders import Account, an_account
from tests.unit.clock import NOON, FixedClock
from tests.upstream import FakeUpstream, Script, completion


def _blocks(*, hours: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The provider and the model of the page."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    row, model, by_hour = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    return tomllib.loads(row), tomllib.loads(model + by_hour if hours else model)


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


@pytest.fixture(params=[False, True], ids=["", "with hours"])
async def with_acme(chat: App, upstream: FakeUpstream, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    """The chat app whose catalog has what the page adds, the vendor's server being the scripted one. It is noon."""
    rows, models = _blocks(hours=request.param)
    compiled = compile_catalog(rows, [{**row, "offer": row["offer"]} for row in models["model"]])
    compiled["providers"]["acme"]["base_url"] = upstream.base_url
    before = chat.module.gateway.catalog
    chat.replace(
        clock=FixedClock(NOON),
        catalog=catalog.parse(compiled),
        secrets=_With(chat.module.gateway.secrets, {"ACME_API_KEY": "acme-key"}),
    )
    yield chat
    chat.replace(catalog=before)


class _With:
    """Secrets, and some more."""

    def __init__(self, secrets: Any, more: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._more = more

    async def get(self, name: str) -> str | None:
        found: str | None = self._more.get(name) or await self._secrets.get(name)
        return found


async def test_a_vendor_is_two_blocks_of_toml(with_acme: App, upstream: FakeUpstream, account: Account) -> None:
    upstream.script = Script(200, [completion("hello from acme", prompt_tokens=1000, completion_tokens=100)])
    response = await with_acme.ask(account, model="acme/thinker-2", max_tokens=200)
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == "hello from acme"
    assert response.headers["x-aig-provider"] == "acme"
    # (1000 x 0.75 + 100 x 4.50) / 1e6 x 1.05
    assert response.headers["x-aig-cost"] == "0.00126"
    (asked,) = upstream.asked
    assert asked.headers["authorization"] == "Bearer acme-key"
    assert (asked.body["model"], asked.body["max_tokens"]) == ("thinker-2-0317", 200)


@pytest.mark.parametrize("with_acme", [True], indirect=True)
async def test_it_costs_what_its_hours_say(with_acme: App, upstream: FakeUpstream, account: Account) -> None:
    upstream.script = Script(200, [completion("hello", prompt_tokens=1000, completion_tokens=100)])
    with_acme.replace(clock=FixedClock(NOON - 4 * 3600))
    response = await with_acme.ask(account, model="acme/thinker-2", max_tokens=200)
    assert response.headers["x-aig-cost"] == "0.00252"  # twice as much


async def test_it_takes_what_its_row_says_it_takes(with_acme: App, upstream: FakeUpstream, account: Account) -> None:
    """The row's one quirk: reasoning of earlier turns goes back."""
    upstream.script = Script(200, [completion("four")])
    turn = {"role": "assistant", "content": "2", "reasoning_content": "one and one"}
    messages = [{"role": "user", "content": "1+1"}, turn, {"role": "user", "content": "2+2"}]
    assert (await with_acme.ask(account, model="acme/thinker-2", messages=messages)).status_code == 200
    assert upstream.asked[0].body["messages"][1] == turn
