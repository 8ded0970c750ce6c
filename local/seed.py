"""The account, key and wallet that `make run` starts with."""

import asyncio

from aig import wiring
from local.errors import StartError
from ops.seed import seed


def seed_account(secret_key: str | None) -> str:
    """Makes sure that a key with 10.00 USD behind it exists and returns it; None makes a key.

    Raises StartError when the key does not have a key's form.
    """
    try:
        return asyncio.run(_seed(secret_key))
    except ValueError as error:
        raise StartError(f"AIG_DEV_KEY is not a key: {error}") from error


async def _seed(secret_key: str | None) -> str:
    container = wiring.container()
    try:
        return await seed(container, secret_key)
    finally:
        await container.close()
