"""Accounts and keys for tests, and what the store holds of them afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aig.events import Event
from aig.keys import Key, Scope, Secret, digest, hint_of, make
from aig.limits import Limits, Reset
from aig.money.ledger import Credit, Wallet
from aig.money.units import parse_usd
from aig.sub_accounts import SubAccount
from aig.wiring import Container
from ops import accounts
from tests import stripe_account

PEPPER: Final = "pepper-that-no-log-may-hold"
PROVIDER_KEY: Final = "sk-provider-key-that-no-log-may-hold"
PROMPT: Final = "prompt-that-no-log-may-hold"

# What must never be logged. Every key that is made here joins.
SECRETS: Final = {PEPPER, PROVIDER_KEY, PROMPT, stripe_account.API_KEY, stripe_account.WEBHOOK_SECRET}


@dataclass(frozen=True)
class Account:
    """An account with one key. `key` is the key's text, as a client sends it."""

    id: str
    key_id: str
    key: str

    @property
    def authorization(self) -> dict[str, str]:
        """The header that the key travels in."""
        return {"Authorization": f"Bearer {self.key}"}


async def an_account(container: Container, balance: str = "10.00", **key: Any) -> Account:
    """An account with a balance in USD and a key; `key` is what ops.accounts.create_key takes."""
    account_id = await accounts.create_account(container, "test")
    if amount := parse_usd(balance):
        # Not by ops.accounts.top_up, which takes no less than 5.00 USD.
        await container.wallets.credit(account_id, Credit(container.ids.new("topup"), amount, created_at=0))
    return await a_key(container, account_id, **key)


async def a_key(container: Container, account_id: str, **key: Any) -> Account:
    """One more key of an account."""
    secret = await accounts.create_key(container, account_id, **key)
    SECRETS.add(secret.text)
    credential = await container.table.get(f"credential#{secret.public_id}", "credential")
    assert credential is not None
    return Account(account_id, credential["key_id"], secret.text)


async def a_sub_account(
    container: Container,
    parent_id: str,
    *,
    cap: int | None = None,
    reset: Reset = "never",
    rpm: int | None = None,
    keys: int = 1,
    scopes: Sequence[Scope] = accounts.ALL_SCOPES,
) -> list[Account]:
    """A sub-account of an account, as each of its keys sees it."""
    sub_id = container.ids.new("sub")
    made: list[tuple[Key, Secret]] = []
    for _ in range(keys):
        secret = make()
        SECRETS.add(secret.text)
        limits = Limits(container.ids.new("key"))
        key = Key(sub_id, "test", hint_of(secret), frozenset(scopes), limits, created_at=0, parent_id=parent_id)
        made.append((key, secret))
    sub = SubAccount(parent_id, "test", Limits(sub_id, rpm, cap, reset), made[0][0].id, created_at=0)
    event = Event(container.ids.new("evt"), "subaccount.created", parent_id, {}, 0)
    actions = [
        action
        for key, secret in made
        for action in container.keys.creation(key, secret, digest(secret, PEPPER.encode()))
    ]
    assert await container.sub_accounts.create(sub, actions, event)
    return [Account(sub_id, key.id, secret.text) for key, secret in made]


async def wallet_of(container: Container, account: Account) -> Wallet:
    """The account's wallet."""
    return await container.wallets.wallet(account.id)


async def debits_of(container: Container, account: Account) -> list[dict[str, Any]]:
    """The account's charges as the table holds them, by id."""
    return [row for row in await _items(container, account.id, "txn#") if row["kind"] == "debit"]


async def holds_of(container: Container, account: Account) -> list[dict[str, Any]]:
    """All holds that were ever taken on the account's wallet."""
    return await _items(container, account.id, "hold#")


async def losses_of(container: Container, account: Account) -> list[dict[str, Any]]:
    """The platform's losses by this account's calls."""
    return [row for row in await _items(container, "platform", "loss#") if row["account_id"] == account.id]


async def _items(container: Container, pk: str, prefix: str) -> list[dict[str, Any]]:
    return await container.table.query("pk = :pk AND begins_with(sk, :prefix)", {":pk": pk, ":prefix": prefix})
