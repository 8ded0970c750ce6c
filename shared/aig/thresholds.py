"""When an account is told that its money runs low or out: once each, until money comes in again. Pure."""

from typing import Literal

from aig.events import Event
from aig.money.ledger import Wallet
from aig.money.units import usd

Marker = Literal["low", "exhausted"]


def is_low(wallet: Wallet) -> bool:
    """Whether a wallet is below its threshold and its account has not been told so."""
    return wallet.total < wallet.low_threshold and not wallet.low


def event(marker: Marker, event_id: str, account_id: str, wallet: Wallet, now: int) -> Event:
    """`balance.low` or `balance.exhausted`, with the wallet as it was seen."""
    data = {
        "balance": usd(wallet.available),
        "in_flight": usd(wallet.held),
        "low_balance_threshold": usd(wallet.low_threshold),
        "currency": "usd",
    }
    return Event(event_id, "balance.low" if marker == "low" else "balance.exhausted", account_id, data, now)
