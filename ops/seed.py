"""The account that `make run` starts with."""

from aig import keys
from aig.money.units import Nano
from aig.wiring import Container
from ops.accounts import create_account, create_key, top_up

BALANCE = Nano(10 * 10**9)


async def seed(container: Container, wanted: str | None = None) -> str:
    """A key with 10.00 USD behind it: the `wanted` one, or a new one. Raises ValueError if that has not a key's form.

    A wanted key that is there already, because the database outlived an earlier start, is left as it is.
    """
    secret = keys.parse(wanted) if wanted else keys.make()
    if secret is None:
        raise ValueError("a key is sk-aig-, 8 characters of a-z0-9 and 32 to 64 of A-Za-z0-9")
    if wanted and await container.keys.find(secret.public_id) is not None:
        return secret.text
    account_id = await create_account(container, "development")
    await create_key(container, account_id, secret=secret)
    await top_up(container, account_id, BALANCE, note="make run")
    return secret.text
