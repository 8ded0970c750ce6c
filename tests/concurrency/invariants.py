"""The laws of the ledger, checked over all rows of a Core table.

money in            credits - debits == available + held, and nothing is below zero
held                a wallet's `held` is the sum of its open holds
caps                room + spent + what the key's open holds took == cap
one charge          a request has one hold; a posted one has exactly one debit, of what it charged; no other has any
cache hits          a hit has cost us nothing, and its hold was its charge
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
    losses: list[Row] = field(default_factory=list)

    @property
    def available(self) -> int:
        return int(self.wallet["available"])

    @property
    def held(self) -> int:
        return int(self.wallet["held"])

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
            (owner.credits if row["kind"] == "credit" else owner.debits).append(row)
        elif kind == "loss":
            accounts[row["account_id"]].losses.append(row)
    return {account: found for account, found in accounts.items() if found.wallet}


def violations(rows: Iterable[Row]) -> list[str]:
    """What the rows break, in words; nothing for books that are in order."""
    return [
        f"{account}: {broken}"
        for account, found in books(rows).items()
        for check in (_wallet, _caps, _charges, _hits, _index, _losses)
        for broken in check(found)
    ]


def _open(found: Books) -> list[Row]:
    return [hold for hold in found.holds.values() if hold["phase"] == "held"]


def _wallet(found: Books) -> Iterable[str]:
    available, held = found.available, found.held
    came, went = sum(row["amount"] for row in found.credits), sum(row["amount"] for row in found.debits)
    if came - went != available + held:
        yield f"{came} came in and {went} went out, but {available} is available and {held} held"
    if available < 0 or held < 0:
        yield f"{available} available, {held} held"
    if held != (holds := sum(hold["amount"] for hold in _open(found))):
        yield f"{held} held, but the open holds are {holds}"


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


def _hits(found: Books) -> Iterable[str]:
    for row in found.debits:
        held = found.holds.get(row["request_id"], {}).get("amount")
        if type(row.get("cache_hit")) is not bool:
            yield f"{row['request_id']} does not say whether it was a hit"
        elif row["cache_hit"] and (row["upstream_cost"] != 0 or held != row["amount"]):
            yield f"{row['request_id']} is a hit that cost {row['upstream_cost']}, with {held} held for {row['amount']}"


def _index(found: Books) -> Iterable[str]:
    for request, hold in found.holds.items():
        if (hold["phase"] == "held") != ("expiry_bucket" in hold) or (hold["phase"] == "held") == ("ttl" in hold):
            yield f"{request} is {hold['phase']} with the attributes {sorted(hold)}"


def _losses(found: Books) -> Iterable[str]:
    for (request, reason), count in Counter((row["request_id"], row["reason"]) for row in found.losses).items():
        phase = found.holds.get(request, {}).get("phase")
        if count > 1 or phase != _PHASE_OF_LOSS[reason]:
            yield f"{request} is {phase} with {count} losses for {reason}"
