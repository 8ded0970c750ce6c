"""Wallets as the operator keeps them: top-ups, refunds, adjustments, and the ledger as lines of text."""

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import get_args

from aig.money.ledger import Adjustment, Entry, Kind, Refund
from aig.money.units import Nano, parse_usd, usd
from aig.payments import MIN_TOP_UP
from aig.ports import NotCovered
from aig.wiring import Container
from ops import accounts

MAX_LINES = 1000


def add_parsers(groups: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`wallet top-up | refund | adjust | show | transactions`."""
    wallet = groups.add_parser("wallet", help="wallets").add_subparsers(dest="action", required=True)
    top_up = wallet.add_parser("top-up", help="add money; prints the payment's id")
    top_up.add_argument("account")
    top_up.add_argument("amount", help=f"USD such as 25.00, at least {usd(MIN_TOP_UP)}")
    top_up.add_argument("--payment", help="your id of it, such as a bank's reference: it is credited once")
    top_up.add_argument("--note", default="")
    refund = wallet.add_parser("refund", help="take a top-up by hand back, or a part of it; prints the refund's id")
    refund.add_argument("account")
    refund.add_argument("payment", help="the id that top-up printed")
    refund.add_argument("amount", help="USD; no more than is left of the payment and of the balance")
    refund.add_argument("--note", default="")
    adjust = wallet.add_parser("adjust", help="correct a balance by a row of its own; prints the row's id")
    adjust.add_argument("account")
    adjust.add_argument("amount", help="USD, below zero to take away: 1.50 or -1.50")
    adjust.add_argument("--note", required=True, help="why; the account sees it")
    show = wallet.add_parser("show", help="balance and what is in flight")
    show.add_argument("account")
    listed = wallet.add_parser("transactions", help="the ledger, newest first")
    listed.add_argument("account")
    listed.add_argument("--kind", choices=get_args(Kind))
    listed.add_argument("--limit", type=int, default=50, help=f"how many rows, at most {MAX_LINES}")
    listed.add_argument("--after", help="the id of the last row that was seen")


def signed_usd(text: str) -> Nano:
    """Raises ValueError."""
    return Nano(-parse_usd(text[1:]) if text.startswith("-") else parse_usd(text))


async def _existing(container: Container, account_id: str) -> str:
    if await container.keys.account(account_id) is None:
        raise ValueError(f"there is no account {account_id}")
    return account_id


async def refund(container: Container, account_id: str, payment: str, amount: Nano, note: str = "") -> str:
    """The refund's id. Raises ValueError for what cannot be taken back here."""
    await _existing(container, account_id)
    if amount <= 0:
        raise ValueError("a refund is more than nothing")
    credit = await container.ledger.entry(account_id, payment)
    if credit is None or credit.kind != "credit":
        raise ValueError(f"account {account_id} has no payment {payment}")
    if (origin := credit.more["origin"]) != "manual":
        raise ValueError(f"{payment} was paid with {origin}: refund it there, and the gateway books what it is told")
    made = Refund(container.ids.new("refund"), payment, amount, int(container.clock.now()), note=note)
    try:
        await container.ledger.refund(account_id, made)
    except NotCovered:
        raise ValueError("that is more than is left of the payment, or of the balance") from None
    return made.id


async def adjust(container: Container, account_id: str, amount: Nano, note: str) -> str:
    """The row's id. Raises ValueError for nothing, and for more than the balance."""
    await _existing(container, account_id)
    if not amount:
        raise ValueError("an adjustment is more or less than nothing")
    made = Adjustment(container.ids.new("adj"), amount, int(container.clock.now()), note)
    try:
        await container.ledger.adjust(account_id, made)
    except NotCovered:
        raise ValueError("the balance has less than that; what calls in flight hold cannot be taken") from None
    return made.id


def lines(entries: Iterable[Entry]) -> Iterable[str]:
    """A row a line: time, id, kind, amount, and what it was for. The operator sees what a call cost upstream too."""
    for entry in entries:
        time = datetime.fromtimestamp(entry.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        more = entry.more
        if entry.kind == "debit":
            words = [more["model"], more["provider"], f"upstream {usd(more['upstream_cost'])}", more.get("tag")]
        else:
            words = [more.get("origin"), more.get("credit_id"), more.get("payment"), more.get("note")]
            words += [f"uncovered {usd(more['uncovered'])}"] if more.get("uncovered") else []
        yield "  ".join([time, entry.id, entry.kind, usd(entry.amount), *filter(None, words)])


async def transactions(
    container: Container, account_id: str, kind: Kind | None, limit: int, after: str | None
) -> list[Entry]:
    """Raises ValueError."""
    if not 1 <= limit <= MAX_LINES:
        raise ValueError(f"limit must be from 1 to {MAX_LINES}")
    found, _ = await container.ledger.page(await _existing(container, account_id), limit=limit, after=after, kind=kind)
    return found


async def run(container: Container, args: argparse.Namespace) -> None:
    """Does what the command line says and prints what came of it."""
    match args.action:
        case "top-up":
            print(await accounts.top_up(container, args.account, parse_usd(args.amount), args.note, args.payment))
        case "refund":
            print(await refund(container, args.account, args.payment, parse_usd(args.amount), args.note))
        case "adjust":
            print(await adjust(container, args.account, signed_usd(args.amount), args.note))
        case "show":
            wallet = await container.wallets.look(args.account)
            print(f"balance {usd(wallet.available)} USD, in flight {usd(wallet.held)} USD")
        case "transactions":
            found = await transactions(container, args.account, args.kind, args.limit, args.after)
            print("\n".join(lines(found)) or "none")
