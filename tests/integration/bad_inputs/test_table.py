"""The table of bad inputs, through the real apps: the answer, no 500, no call to a provider, and no charge.

Rows 37 to 39 and 55 to 58 need a server: test_wires.py. Rows 111 and 116 to 124 need a provider: test_upstreams.py.
Row 20 is in ../test_sub_accounts.py, row 115 in ../test_free_tier.py, row 151 in ../test_vision.py, row 173 in
../test_deliveries.py, rows 174 to 180 are in ../test_jobs.py and rows 181 to 187 in ../test_job_files.py.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import httpx
import pytest

from aig.catalog.model import Provider
from aig.inputs import Inputs
from aig.money.ledger import Wallet
from aig.money.units import Nano
from aig.ports import Adapter
from aig.wiring import Container
from aig_providers.fetch import GuardedFetcher
from aig_providers.registry import Registry
from local.template import Stack
from tests import apps
from tests.apps import App
from tests.builders import Account, an_account, holds_of, wallet_of
from tests.integration.bad_inputs import bodies, headers, media, orders, pictures, texts
from tests.integration.bad_inputs.case import FAMILIES, GONE, GOOD_FILES, Case, SenderKind, good_body
from tests.logs import Log
from tests.unit.clock import FixedClock

TABLE: Final = [
    *headers.CREDENTIALS,
    *headers.KEYS,
    *headers.OTHERS,
    *bodies.JSON,
    *bodies.MODEL_AND_MESSAGES,
    *pictures.LITERALS,
    *pictures.NAMES,
    *pictures.INLINE,
    *bodies.PARAMETERS,
    *bodies.BUDGETS,
    *texts.TEXTS,
    *media.URLS,
    *media.PICTURES,
    *media.RECORDINGS,
    *orders.ORDERS,
    *orders.WEBHOOKS,
]
METERED: Final = {"chat", *FAMILIES.values()}
ELSEWHERE: Final = {20, 115, 151, 37, 38, 39, 55, 56, 57, 58, 111, *range(116, 125), *range(173, 188)}
NOT_YET: Final = {
    66: "there are no evals yet",
}

_KEYS: Final[Mapping[SenderKind, Mapping[str, Any]]] = {
    "empty": {"balance": "0"},
    "capped": {"cap": Nano(1_000)},
    "rated": {"rpm": 1},
    "expired": {"expires_at": 1},
}


class CountingAdapters:
    """The registry of providers, and how often it was asked for one."""

    def __init__(self) -> None:
        self.calls = 0
        self._registry = Registry()

    def get(self, provider: Provider) -> Adapter:
        """The provider's own adapter."""
        self.calls += 1
        return self._registry.get(provider)


class Names:
    """A resolver that knows what it is told."""

    async def addresses(self, host: str) -> Sequence[str]:
        """Raises OSError for a name that it was not told."""
        if host not in pictures.ADDRESSES:
            raise OSError(f"there is no {host}")
        return pictures.ADDRESSES[host]


@dataclass
class Sender:
    """An account that many cases share, and what its wallet and its holds were after the last of them."""

    account: Account
    wallet: Wallet
    holds: int


class Table:
    """What all cases share: an app of each family and an account of each kind, made when it is first asked for."""

    def __init__(self, deployed: Stack) -> None:
        self._deployed = deployed
        self._modules: dict[str, ModuleType] = {}
        self._senders: dict[SenderKind, Sender] = {}
        self.adapters = CountingAdapters()
        self.clock = FixedClock(time.time())  # a minute that does not end

    def app(self, family: str) -> App:
        """The family's app. Its connections are to be closed before the event loop ends."""
        if family not in self._modules:
            self._modules[family] = apps.start(self._deployed.functions[f"{family.capitalize()}Function"])
        app = App(module := self._modules[family])
        if family in METERED:
            app.replace(adapters=self.adapters, resolver=Names(), clock=self.clock)
        if hasattr(module, "inputs"):
            module.inputs = Inputs(GuardedFetcher(Names()), module.container.files)  # type: ignore[attr-defined]
        return app

    async def sender(self, container: Container, app: App, kind: SenderKind) -> Sender:
        """They have no money to lose but by a case that is wrong."""
        if kind not in self._senders:
            account = await an_account(container, **_KEYS.get(kind, {}))
            if kind == "revoked":
                await container.keys.revoke_key(account.id, account.key_id)
            if kind == "suspended":
                await container.table.update(account.id, "account", "SET active = :no", {":no": False})
            if kind == "rated":
                assert (await app.ask(account)).status_code == 200
            wallet, holds = await wallet_of(container, account), await holds_of(container, account)
            self._senders[kind] = Sender(account, wallet, len(holds))
        return self._senders[kind]


@pytest.fixture(scope="module")
def table(deployed: Stack, dynamodb: str) -> Table:
    return Table(deployed)


async def send(app: App, case: Case, key: str) -> httpx.Response:
    """The answer to the case's request. Nothing that httpx would correct is left to it."""
    sent: list[tuple[bytes, bytes]] = [(b"host", b"gateway")]
    is_form = case.path in GOOD_FILES
    if case.method == "POST":
        sent.append((b"content-type", b"multipart/form-data; boundary=b" if is_form else b"application/json"))
    if case.sender != "nobody":
        sent.append((b"authorization", f"Bearer {key}".encode()))
    almost = key[:-1] + ("b" if key.endswith("a") else "a")
    for name, value in case.headers:
        if name in ("host", "content-type"):
            sent = [pair for pair in sent if pair[0] != name.encode()]
        if isinstance(value, str):
            value = value.replace("{key}", key).replace("{almost}", almost).encode()  # noqa: PLW2901
        sent.append((name.encode(), value))
    content = None
    if case.method == "POST":
        fields = {k: v for k, v in {**good_body(case.path), **case.body}.items() if v is not GONE}
        files = GOOD_FILES.get(case.path, ()) if case.files is None else case.files
        content = case.raw() if case.raw else media.form(fields, files) if is_form else json.dumps(fields).encode()
    request = httpx.Request(case.method, f"http://gateway{case.path}", content=content)
    request.headers = httpx.Headers(sent)
    return await app.client.send(request)


def check(case: Case, response: httpx.Response) -> None:
    """The status and the type, and all that belongs to every error."""
    request_id = response.headers["x-request-id"]
    assert response.headers["request-id"] == request_id
    if response.status_code == 200:
        assert case.expected == (200, ""), "it was not refused"
        return
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == case.expected, response.text
    assert set(error) == {"message", "type", "code", "param", "request_id"}
    assert error["request_id"] == request_id
    assert isinstance(error["code"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    assert len(error["message"]) < 1_000
    assert case.says in error["message"]
    if case.code:
        assert error["code"] == case.code
    if response.status_code == 429:
        assert int(response.headers["retry-after"]) >= 1


def test_the_table_is_complete() -> None:
    assert {case.row for case in TABLE} | ELSEWHERE | set(NOT_YET) == set(range(1, 188))


@pytest.mark.parametrize(("row", "reason"), NOT_YET.items())
def test_rows_of_what_is_not_there_yet(row: int, reason: str) -> None:
    pytest.skip(f"row {row}: {reason}")


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.id)
async def test_bad_input(table: Table, container: Container, logged: Log, case: Case) -> None:
    app = table.app(case.family)
    sender = await table.sender(container, app, "usual" if case.sender == "nobody" else case.sender)
    table.adapters.calls = 0

    response = await send(app, case, sender.account.key)

    await app.close()
    before, sender.wallet = sender.wallet, await wallet_of(container, sender.account)
    holds, sender.holds = sender.holds, len(await holds_of(container, sender.account))
    check(case, response)
    assert table.adapters.calls == case.reached
    assert sender.holds == holds + case.reached
    assert sender.wallet.held == 0
    if response.status_code == 200 and case.reached:
        assert sender.wallet.available < before.available
    else:
        assert sender.wallet.available == before.available


@pytest.mark.parametrize("case", headers.CREDENTIALS, ids=lambda case: case.id)
async def test_what_is_no_key_is_refused_without_a_look_at_the_database(
    deployed: Stack, dynamodb: str, logged: Log, case: Case
) -> None:
    function = deployed.functions[f"{case.family.capitalize()}Function"]
    # Port 9 is closed: a look would be a 503.
    app = App(apps.start(function, AIG_DYNAMODB_ENDPOINT="http://127.0.0.1:9"))
    check(case, await send(app, case, ""))
    await app.close()


async def test_a_request_id_that_may_not_be_echoed_is_replaced(chat: App, container: Container) -> None:
    account = await an_account(container)
    for case in headers.OTHERS:
        if case.row in (24, 25):
            response = await send(chat, case, account.key)
            assert response.headers["x-request-id"].startswith("req_")
            assert "set-cookie" not in response.headers
            assert b"Set-Cookie" not in response.content


@pytest.mark.parametrize("host", ["evil.com/v1/models?", "evil.com#", "[::1"])
async def test_the_host_header_opens_no_door(accounts: App, container: Container, host: str) -> None:
    """CVE-2026-48710: starlette once took the path from it."""
    account = await an_account(container)
    statuses = [
        (await accounts.client.get("/v1/wallet", headers={"host": host, **headers})).status_code
        for headers in ({}, account.authorization)
    ]
    assert statuses == [401, 200]
