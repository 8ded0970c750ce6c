"""Accounts, keys and top-ups, as the operator makes them."""

from collections.abc import Sequence

from aig import keys
from aig.keys import Caller, Scope, Secret
from aig.money.ledger import Credit
from aig.money.units import Nano, usd
from aig.payments import MIN_TOP_UP
from aig.wiring import Container

MAX_RPM = 1_000_000
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
    caller = Caller(
        account_id=account_id,
        key_id=container.ids.new("key"),
        key_name=title,
        hint=f"sk-aig-{secret.public_id}…",
        scopes=frozenset(scopes),
        rpm=rpm,
        capped=cap is not None,
        default_tag=default_tag,
        allowed_models=tuple(allowed_models),
        expires_at=expires_at,
    )
    digest = keys.digest(secret, pepper.encode())
    if not await container.keys.create_key(caller, secret, digest, cap, int(container.clock.now())):
        raise ValueError("a key with this public id exists already")
    return secret


async def top_up(container: Container, account_id: str, amount: Nano, note: str = "") -> str:
    """The id of the payment. Raises ValueError below 5.00 USD and for an account that is not there."""
    if amount < MIN_TOP_UP:
        raise ValueError(f"the least top-up is {usd(MIN_TOP_UP)} USD")
    if await container.keys.account(account_id) is None:
        raise ValueError(f"there is no account {account_id}")
    payment = container.ids.new("topup")
    await container.wallets.credit(
        account_id, Credit(id=payment, amount=amount, created_at=int(container.clock.now()), note=note)
    )
    return payment
