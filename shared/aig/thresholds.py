"""When an account is told that its money runs low or out: once each, until money comes in again. Pure."""

from collections import OrderedDict
from typing import Literal

from aig.events import Event
from aig.money.ledger import Wallet
from aig.money.units import usd

Marker = Literal["low", "exhausted"]
_REMEMBERED = 1024


def falls_low(old: Wallet, new: Wallet) -> bool:
    """Whether a change of the wallet is one to tell of: it lost money and is below its threshold, untold so far."""
    return new.total < new.low_threshold and new.total < old.total and not new.low


def event(marker: Marker, event_id: str, account_id: str, wallet: Wallet, now: int) -> Event:
    """`balance.low` or `balance.exhausted`, with the wallet as it was seen."""
    data = {
        "balance": usd(wallet.available),
        "in_flight": usd(wallet.held),
        "low_balance_threshold": usd(wallet.low_threshold),
        "currency": "usd",
    }
    return Event(event_id, "balance.low" if marker == "low" else "balance.exhausted", account_id, data, now)


class Told:
    """The eras of wallets that one environment has told of already, or tried to."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()

    def first_time(self, account_id: str, era: int) -> bool:
        if (account_id, era) in self._seen:
            return False
        self._seen[account_id, era] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True
