"""Accounts, keys and top-ups, as the operator makes them."""

import re
from collections.abc import Sequence

from aig import keys
from aig.keys import Key, Scope, Secret
from aig.limits import Limits, Reset
from aig.money.ledger import Credit
from aig.money.units import Nano, usd
from aig.payments import MIN_TOP_UP
from aig.wiring import Container

MAX_RPM = 1_000_000
_PAYMENT = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")
ALL_SCOPES: tuple[Scope, ...] = ("inference", "usage:read", "admin")


async def create_account(container: Container, title: str) -> str:
    """The id of an account with an empty wallet."""
    account_id = container.ids.new("acct")
    await container.keys.create_account(account_id, title, int(container.clock.now()))
    return account_id


async def create_key(
    container: Container,
    account_id: str,
    *,
    title: str = "default",
    secret: Secret | None = None,
    scopes: Sequence[Scope] = ALL_SCOPES,
    rpm: int | None = None,
    cap: Nano | None = None,
    reset: Reset = "never",
    default_tag: str | None = None,
    allowed_models: Sequence[str] = (),
    expires_at: int | None = None,
) -> Secret:
    """A key of the account; its text is nowhere but in the answer. Raises ValueError if it cannot be made."""
    if rpm is not None and not 1 <= rpm <= MAX_RPM:
        raise ValueError(f"rpm must be from 1 to {MAX_RPM}")
    pepper = await container.secrets.get("pepper")
    if pepper is None:
        raise ValueError("there is no pepper: set AIG_SECRET_ARN, or AIG_KEY_PEPPER on a laptop")
    if await container.keys.account(account_id) is None:
        raise ValueError(f"there is no account {account_id}")
    secret = secret or keys.make()
    key = Key(
        account_id=account_id,
        name=title,
        hint=keys.hint_of(secret),
        scopes=frozenset(scopes),
        limits=Limits(container.ids.new("key"), rpm, cap, reset, tuple(allowed_models)),
        created_at=int(container.clock.now()),
        default_tag=default_tag,
        expires_at=expires_at,
    )
    if not await container.keys.create_key(key, secret, keys.digest(secret, pepper.encode())):
        raise ValueError("a key with this public id exists already")
    return secret


async def top_up(
    container: Container, account_id: str, amount: Nano, note: str = "", payment: str | None = None
) -> str:
    """The id of the credit. Raises ValueError below 5.00 USD, for an account that is not there, for a payment again."""
    if amount < MIN_TOP_UP:
        raise ValueError(f"the least top-up is {usd(MIN_TOP_UP)} USD")
    if await container.keys.account(account_id) is None:
        raise ValueError(f"there is no account {account_id}")
    if payment is not None and not _PAYMENT.fullmatch(payment):
        raise ValueError("a payment's id is 1 to 200 printable characters without spaces at its ends")
    credit = Credit(container.ids.new("topup"), amount, int(container.clock.now()), note=note, payment=payment)
    if not await container.wallets.credit(account_id, credit):
        raise ValueError(f"the payment {payment} has been credited before")
    return credit.id
