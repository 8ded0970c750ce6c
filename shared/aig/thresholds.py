"""When an account is told that its money runs low or out: once each, until money comes in again. Pure."""

from typing import Literal

from aig.events import Event
from aig.money.ledger import Wallet
from aig.money.units import usd

Marker = Literal["low", "exhausted"]


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
