"""How much an account may have made or sent in a minute: the gateway is nobody's cannon."""

from aig.aws.webhooks import MOST_ACTS
from aig.errors import RateLimited
from aig.keys import Caller
from aig.limits import retry_after
from aig.wiring import Container


async def check_acts(container: Container, caller: Caller) -> None:
    """Counts one more. Raises RateLimited, StoreBusy."""
    now = container.clock.now()
    if not await container.webhooks.may_act(caller.account_id, now):
        raise RateLimited(
            f"Endpoints are made, tested and resent to {MOST_ACTS} times a minute at most. Wait for Retry-After.",
            retry_after=retry_after(now),
        )
