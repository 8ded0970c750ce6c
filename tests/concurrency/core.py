"""A Core table on DynamoDB Local, as any number of functions, processes and tests see it."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aig.aws.json_api import JsonApi
from aig.aws.sigv4 import Credentials
from aig.aws.table import load
from aig.aws.wallets import PLATFORM, DynamoWallets
from aig.call import Gateway, Options
from aig.clock import Clock
from aig.holding import HOLD_TTL_S
from aig.keys import Caller, parse
from aig.limits import Reset
from aig.modalities import chat_body
from aig.modalities.chat import ChatRequest
from aig.money.units import usd
from aig.ports import Adapters
from aig.sweep import CLOCK_SKEW_S, sweep
from aig.wiring import Container, container
from ops.books import Books, Row, books, violations
from tests.builders import PEPPER, Account, a_sub_account, an_account
from tests.unit.clock import FixedClock

OPTIONS: Final = Options(trace_id="trace")
SCAN_PAGE: Final = 1000  # of at most 1 MB: rows are a few hundred bytes


class Alarms:
    """Telemetry that remembers the names of the alarms."""

    def __init__(self) -> None:
        self.raised: list[str] = []

    def request(self, **fields: str | int | None) -> None:
        """Not of interest here."""

    def alarm(self, name: str, **fields: str | int | None) -> None:
        self.raised.append(name)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account with one key, and whom the gateway takes its requests to be from."""

    account: Account
    caller: Caller

    @property
    def id(self) -> str:
        return self.account.id


def past_expiry() -> FixedClock:
    """A clock at which the time of every hold taken until now is over."""
    return FixedClock(time.time() + HOLD_TTL_S + CLOCK_SKEW_S + 1)


def cache_table(core_table: str) -> str:
    return f"{core_table}-cache"


def requests_table(core_table: str) -> str:
    return f"{core_table}-requests"


class Core:
    """The table at an endpoint. Every `container` is a client of its own; all are closed with `close`."""

    def __init__(self, endpoint: str, table: str) -> None:
        self.endpoint = endpoint
        self.table = table
        self.alarms = Alarms()
        self._containers: list[Container] = []
        self._own = self.container()
        self._scans = JsonApi(
            "dynamodb", "DynamoDB_20120810", "1.0", endpoint, "us-east-1", Credentials("local", "local")
        )

    async def close(self) -> None:
        await self._scans.close()
        for opened in self._containers:
            await opened.close()

    def container(self, endpoint: str | None = None, clock: Clock | None = None) -> Container:
        env = {
            **os.environ,
            "AIG_CORE_TABLE": self.table,
            "AIG_CACHE_TABLE": cache_table(self.table),
            "AIG_REQUESTS_TABLE": requests_table(self.table),
            "AIG_DYNAMODB_ENDPOINT": endpoint or self.endpoint,
            "AIG_KEY_PEPPER": PEPPER,
        }
        opened = container(env, clock=clock)
        wallets = DynamoWallets(opened.table, opened.records, settle_patience_s=3.0, clock=opened.clock)
        opened = replace(opened, wallets=wallets, telemetry=self.alarms)
        self._containers.append(opened)
        return opened

    def gateways(
        self, adapters: Adapters, *, endpoint: str | None = None, clock: Clock | None = None
    ) -> Sequence[Gateway]:
        """As of several environments: each has a client of its own."""
        return [self.container(endpoint, clock).gateway(adapters) for _ in range(4)]

    async def tenant(self, balance: int, *, cap: int | None = None, rpm: int | None = None) -> Tenant:
        """An account with this balance and a key with these limits; amounts in nano-USD."""
        account = await an_account(self._own, usd(balance), cap=cap, rpm=rpm)
        return Tenant(account, await self.caller(account.key))

    async def sub_tenant(
        self, parent: Tenant, *, cap: int | None = None, reset: Reset = "never", rpm: int | None = None, keys: int = 1
    ) -> Sequence[Tenant]:
        """A sub-account of a tenant's, as each of its keys sees it."""
        accounts = await a_sub_account(self._own, parent.id, cap=cap, reset=reset, rpm=rpm, keys=keys)
        return [Tenant(account, await self.caller(account.key)) for account in accounts]

    async def caller(self, key: str) -> Caller:
        """Whom a key stands for."""
        secret = parse(key)
        assert secret is not None
        credential = await self._own.keys.find(secret.public_id)
        assert credential is not None
        caller = await self._own.keys.caller(credential)
        assert caller is not None
        return caller

    async def sweep(self, clock: Clock | None = None, endpoint: str | None = None) -> int:
        """One run of the sweeper, by default when the time of every hold is over; how many it voided."""
        ports = self.container(endpoint, clock or past_expiry())
        return await sweep(ports.wallets, self.alarms, ports.clock, ports.ids)

    async def rows(self) -> list[Row]:
        """All rows of the table, read page by page."""
        request: dict[str, Any] = {"TableName": self.table, "ConsistentRead": True, "Limit": SCAN_PAGE}
        found: list[Row] = []
        while True:
            page = await self._scans.call("Scan", request)
            found += [load(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def rows_of(self, tenant: Tenant) -> list[Row]:
        """The rows of one account, the platform's losses by it among them."""
        table = self._own.table
        losses = await table.query("pk = :pk", {":pk": PLATFORM})
        own = await table.query("pk = :pk", {":pk": tenant.id})
        return [*own, *(row for row in losses if row["account_id"] == tenant.id)]

    async def audit(self) -> dict[str, Books]:
        """The books of all accounts, found to be in order."""
        rows = await self.rows()
        assert violations(rows) == []
        return books(rows)

    async def books(self, tenant: Tenant) -> Books:
        """One account's books, after an audit of them all."""
        return (await self.audit())[tenant.id]


def chat(*, max_tokens: int = 8, model: str = "sandbox/echo", **more: Any) -> ChatRequest:
    """A short request."""
    messages = [{"role": "user", "content": "one two three"}]
    return chat_body.parse({"model": model, "messages": messages, "max_tokens": max_tokens, **more})
