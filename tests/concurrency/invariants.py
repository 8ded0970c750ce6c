"""The laws of the ledger, checked over all rows of a Core table.

money in            credits - debits - refunds + adjustments == available + held, and nothing is below zero
refunds             what went back of a credit is no more than the credit, and what is counted of it
held                a wallet's `held` is the sum of its open holds
caps                room + spent + what the key's open holds took == cap
one charge          a request has one hold; a posted one has exactly one debit, of what it charged; no other has any
the index           a hold is in the index `expiry` exactly while it is open
losses              at most one row per request and reason, and only such as the hold's phase allows
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]

_PHASE_OF_LOSS = {"expired_hold": "void", "broken_stream": "void", "over_hold": "posted"}


@dataclass(slots=True)
class Books:
    """One account's rows by what they are: keys by key id, holds by request id, losses from the platform's rows."""

    wallet: Row = field(default_factory=dict)
    keys: dict[str, Row] = field(default_factory=dict)
    holds: dict[str, Row] = field(default_factory=dict)
    credits: list[Row] = field(default_factory=list)
    debits: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    adjustments: list[Row] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)  # what went back, by the credit's id
    top_ups: dict[str, Row] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    losses: list[Row] = field(default_factory=list)

    @property
    def available(self) -> int:
        return int(self.wallet["available"])

    @property
    def held(self) -> int:
        return int(self.wallet["held"])

    def entries(self, kind: str) -> list[Row]:
        """The ledger's rows of a kind."""
        return {
            "credit": self.credits,
            "debit": self.debits,
            "refund": self.refunds,
            "adjustment": self.adjustments,
        }[kind]

    def phases(self) -> Counter[str]:
        """How many holds there are of each phase."""
        return Counter(hold["phase"] for hold in self.holds.values())


def books(rows: Iterable[Row]) -> dict[str, Books]:
    """The rows of all accounts, by account id. Rows that are not about money are left out."""
    accounts: defaultdict[str, Books] = defaultdict(Books)
    for row in rows:
        owner, (kind, _, name) = accounts[row["pk"]], row["sk"].partition("#")
        if kind == "wallet":
            owner.wallet = row
        elif kind == "key":
            owner.keys[name] = row
        elif kind == "hold":
            owner.holds[name] = row
        elif kind == "txn":
            owner.entries(row["kind"]).append(row)
        elif kind == "refunds":
            owner.counted[name] = row["refunded"]
        elif kind == "topup":
            owner.top_ups[name] = row
        elif kind == "event":
            owner.events.append(row)
        elif kind == "loss":
            accounts[row["account_id"]].losses.append(row)
    return {account: found for account, found in accounts.items() if found.wallet}


def violations(rows: Iterable[Row]) -> list[str]:
    """What the rows break, in words; nothing for books that are in order."""
    return [
        f"{account}: {broken}"
        for account, found in books(rows).items()
        for check in (_wallet, _refunds, _top_ups, _caps, _charges, _index, _losses)
        for broken in check(found)
    ]


def _open(found: Books) -> list[Row]:
    return [hold for hold in found.holds.values() if hold["phase"] == "held"]


def _wallet(found: Books) -> Iterable[str]:
    available, held = found.available, found.held
    came = sum(row["amount"] for row in (*found.credits, *found.adjustments))
    went = sum(row["amount"] for row in (*found.debits, *found.refunds))
    if came - went != available + held:
        yield f"{came} came in and {went} went out, but {available} is available and {held} held"
    if available < 0 or held < 0:
        yield f"{available} available, {held} held"
    if held != (holds := sum(hold["amount"] for hold in _open(found))):
        yield f"{held} held, but the open holds are {holds}"


def _refunds(found: Books) -> Iterable[str]:
    paid = {row["sk"].partition("#")[2]: row for row in found.credits}
    back: Counter[str] = Counter()
    for row in found.refunds:
        back[row["credit_id"]] += row["amount"]
    for name in back.keys() | found.counted.keys():
        credit = paid.get(name)
        if credit is None or back[name] > credit["amount"]:
            yield f"{back[name]} of {name} went back, and its credit is {credit and credit['amount']}"
        elif credit["origin"] == "manual" and back[name] != found.counted.get(name):
            yield f"{back[name]} of {name} went back, but {found.counted.get(name)} is counted"


def _top_ups(found: Books) -> Iterable[str]:
    paid = {row["sk"].partition("#")[2]: row for row in found.credits}
    for name, row in found.top_ups.items():
        credit = paid.get(row.get("credit_id", ""))
        if (row["phase"] == "paid") != (credit is not None):
            yield f"{name} is {row['phase']} with the credit {credit}"
        elif credit is not None:
            if credit["amount"] != row["amount"]:
                yield f"{name} is {row['amount']}, but its credit {credit['amount']}"
            back = [refund for refund in found.refunds if refund["credit_id"] == row["credit_id"]]
            told = min(row["amount"], row["refunded"] + row["disputed"])
            if told != (booked := sum(refund["amount"] + refund["uncovered"] for refund in back)):
                yield f"{told} of {name} went back, but {booked} is booked"


def _caps(found: Books) -> Iterable[str]:
    for key_id, key in found.keys.items():
        debits = sum(row["amount"] for row in found.debits if row["key_id"] == key_id)
        if key["spent"] != debits:
            yield f"{key_id} has spent {key['spent']}, but its debits are {debits}"
        if "cap" not in key:
            continue
        held = sum(hold["amount"] for hold in _open(found) if hold["key_id"] == key_id and hold["capped"])
        if key["room"] < 0 or key["room"] + key["spent"] + held != key["cap"]:
            yield f"{key_id} has room {key['room']}, spent {key['spent']}, held {held} of its cap {key['cap']}"


def _charges(found: Books) -> Iterable[str]:
    debits: defaultdict[str, list[int]] = defaultdict(list)
    for row in found.debits:
        debits[row["request_id"]].append(row["amount"])
    for request in debits.keys() | found.holds.keys():
        hold = found.holds.get(request, {})
        phase, amounts = hold.get("phase"), debits[request]
        if amounts != ([hold["charged"]] if phase == "posted" else []):
            yield f"{request} is {phase} with debits of {amounts}"
        if phase == "posted" and not 0 <= hold["charged"] <= hold["amount"]:
            yield f"{request} was charged {hold['charged']} on a hold of {hold['amount']}"


def _index(found: Books) -> Iterable[str]:
    for request, hold in found.holds.items():
        if (hold["phase"] == "held") != ("expiry_bucket" in hold) or (hold["phase"] == "held") == ("ttl" in hold):
            yield f"{request} is {hold['phase']} with the attributes {sorted(hold)}"


def _losses(found: Books) -> Iterable[str]:
    for (request, reason), count in Counter((row["request_id"], row["reason"]) for row in found.losses).items():
        phase = found.holds.get(request, {}).get("phase")
        if count > 1 or phase != _PHASE_OF_LOSS[reason]:
            yield f"{request} is {phase} with {count} losses for {reason}"
