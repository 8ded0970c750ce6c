"""What refused calls, and debits, tell of: each notice is an event that is written once, however often it is due."""

import asyncio
from collections.abc import Awaitable, Callable

from aig import limits, thresholds
from aig.call import Gateway
from aig.clock import Clock
from aig.events import Event
from aig.ids import Ids
from aig.keys import Caller
from aig.limits import Limits
from aig.money.ledger import Wallet
from aig.money.units import Nano, usd
from aig.ports import StoreBusy, Wallets

_REMEMBERED = 10_000
_MOMENT_S = 0.2  # the roll-up's other accounts wait as long


async def spend_exceeded(gateway: Gateway, caller: Caller, limit: Limits) -> None:
    """`subaccount.spend.exceeded`, to the account that pays: once for each period and cap."""
    now = gateway.clock.now()
    period = limits.period(now, limit.reset)
    event = Event(
        id=gateway.ids.new("evt"),
        type="subaccount.spend.exceeded",
        account_id=caller.payer_id,
        data={
            "sub_account": limit.owner,
            "spend_cap": usd(Nano(limit.cap or 0)),
            "spend_cap_reset": limit.reset,
            "resets_at": period.ends_at,
        },
        created_at=int(now),
    )
    counter = f"{limit.owner}#{period.name}"
    await _once(
        gateway,
        f"spend_exceeded#{counter}#{limit.cap}",
        lambda: gateway.wallets.tell_spend_exceeded(caller.account_id, counter, limit.cap or 0, event),
    )


async def balance_exhausted(gateway: Gateway, account_id: str, wallet: Wallet) -> None:
    """`balance.exhausted`, to the account that pays: once until money comes in."""
    if wallet.exhausted:
        return
    told = thresholds.event("exhausted", gateway.ids.new("evt"), account_id, wallet, int(gateway.clock.now()))
    name = f"exhausted#{account_id}#{wallet.era}"
    await _once(gateway, name, lambda: gateway.wallets.tell("exhausted", wallet, told))


async def balance_low(wallets: Wallets, clock: Clock, ids: Ids, account_id: str) -> bool:
    """`balance.low`, to the account whose debit this was: once until money comes in. Raises StoreBusy."""
    wallet = await wallets.look(account_id)
    if not thresholds.is_low(wallet):
        return False
    wallet = await _confirmed(wallets, account_id, wallet)
    if not thresholds.is_low(wallet):
        return False
    return await wallets.tell(
        "low", wallet, thresholds.event("low", ids.new("evt"), account_id, wallet, int(clock.now()))
    )


async def _confirmed(wallets: Wallets, account_id: str, seen: Wallet) -> Wallet:
    """The wallet at one moment; where calls leave none, what two looks agree that it has at the least is believed.

    A look misses what is being moved while it looks, a second one hardly ever as well; and a wallet so busy that it
    cannot be read is the one whose account must hear of it.
    """
    try:
        async with asyncio.timeout(_MOMENT_S):
            return await wallets.wallet(account_id)
    except (StoreBusy, TimeoutError):
        return max(seen, await wallets.look(account_id), key=lambda wallet: wallet.total)


async def _once(gateway: Gateway, name: str, tell: Callable[[], Awaitable[bool]]) -> None:
    """Not again in this environment, also if it fails: a store that is busy keeps nobody's answer back."""
    if name in gateway.told:
        return
    if len(gateway.told) >= _REMEMBERED:
        gateway.told.clear()
    gateway.told.add(name)
    try:
        await tell()
    except Exception as error:
        gateway.telemetry.alarm("NoticeFailed", notice=name.partition("#")[0], error=type(error).__name__)
