"""The laws of the ledger, checked over rows of a Core table: those of whole accounts and the platform's.

money in            credits - debits - refunds + adjustments == available + held, over all shards of the wallet,
                    and nothing is below zero
refunds             what went back of a credit is no more than the credit, and what is counted of it
held                a shard's `held` is the sum of the open holds that were taken from it
shards              there are as many as the account's row and the first of them say
spent               what an owner has spent, over all periods, is the sum of its debits
caps                a counter's `used` is what is spent in it and what open holds hold of it, and no more than its cap;
                    one that is sharded counts as the sum, and its shards hold nothing
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

# What became of the hold of a call that made a loss, and whether the call may have made several of these.
_PHASES_OF_LOSS = {
    "expired_hold": ({"void"}, False),
    "broken_stream": ({"void"}, False),
    "over_hold": ({"posted"}, False),
    "abandoned_attempt": ({"posted", "void"}, True),
    "abandoned_job": ({"void"}, False),
}


_BY_NAME = {"key": "keys", "sub": "sub_accounts", "spend": "spends", "hold": "holds"}


@dataclass(slots=True)
class Books:
    """One account's rows by what they are, those of its sub-accounts among them.

    The wallet's shards by number, keys and sub-accounts by id, spend counters by owner and period (and shard, where one
    is sharded), holds by request, losses from the platform's rows.
    """

    account: Row = field(default_factory=dict)
    shards: dict[int, Row] = field(default_factory=dict)
    keys: dict[str, Row] = field(default_factory=dict)
    sub_accounts: dict[str, Row] = field(default_factory=dict)
    spends: dict[str, Row] = field(default_factory=dict)
    holds: dict[str, Row] = field(default_factory=dict)
    credits: list[Row] = field(default_factory=list)
    debits: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    adjustments: list[Row] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)  # what went back, by the credit's id
    top_ups: dict[str, Row] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    losses: list[Row] = field(default_factory=list)
    since: int = 0  # from when on the rows of calls have their holds beside them

    @property
    def available(self) -> int:
        return sum(int(shard["available"]) for shard in self.shards.values())

    @property
    def held(self) -> int:
        return sum(int(shard["held"]) for shard in self.shards.values())

    def used(self, owner: str, period: str = "all") -> int:
        """What an owner has spent in a period, and what is held of its cap."""
        return self.counter(f"{owner}#{period}")[0]

    def counter(self, name: str) -> tuple[int, int]:
        """What the items of one counter say together: used and spent."""
        items = [row for key, row in self.spends.items() if key == name or key.startswith(f"{name}#")]
        used, spent = (sum(row.get(what, 0) for row in items) for what in ("used", "spent"))
        return used, spent

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
    rows = list(rows)
    parents: dict[str, str] = {row["sk"].partition("#")[2]: row["pk"] for row in rows if row["sk"].startswith("sub#")}
    accounts: defaultdict[str, Books] = defaultdict(Books)
    for row in rows:
        owner, (kind, _, name) = accounts[parents.get(row["pk"]) or row["pk"]], row["sk"].partition("#")
        if kind == "wallet":
            owner.shards[int(name or 0)] = row
        elif kind == "account":
            owner.account = row
        elif kind == "txn":
            owner.entries(row["kind"]).append(row)
        elif kind == "refunds":
            owner.counted[name] = row["refunded"]
        elif kind == "topup":
            owner.top_ups[name] = row
        elif kind == "event":
            owner.events.append(row)
        elif kind == "loss":
            account = row["account_id"]
            accounts[parents.get(account) or account].losses.append(row)
        elif kind in _BY_NAME:
            getattr(owner, _BY_NAME[kind])[name] = row
    return {account: found for account, found in accounts.items() if found.shards}


def violations(rows: Iterable[Row], since: int = 0) -> list[str]:
    """What the rows break, in words; nothing for books that are in order.

    Debits and losses from before `since`, in unix seconds, are not looked for among the holds: those are not kept.
    """
    kept = books(rows)
    for found in kept.values():
        found.since = since
    return [
        f"{account}: {broken}"
        for account, found in kept.items()
        for check in (_wallet, _shards, _refunds, _top_ups, _spent, _caps, _charges, _hits, _index, _losses)
        for broken in check(found)
    ]


def _recent(found: Books, rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.get("created_at", 0) >= found.since]


def _open(found: Books) -> list[Row]:
    return [hold for hold in found.holds.values() if hold["phase"] == "held"]


def _wallet(found: Books) -> Iterable[str]:
    available, held = found.available, found.held
    came = sum(row["amount"] for row in (*found.credits, *found.adjustments))
    went = sum(row["amount"] for row in (*found.debits, *found.refunds))
    if came - went != available + held:
        yield f"{came} came in and {went} went out, but {available} is available and {held} held"


def _shards(found: Books) -> Iterable[str]:
    holds = Counter[int]()
    for hold in _open(found):
        holds[hold.get("shard", 0)] += hold["amount"]
    for number in found.shards.keys() | holds.keys():
        shard = found.shards.get(number, {"available": 0, "held": 0})
        if shard["available"] < 0 or shard["held"] < 0:
            yield f"shard {number}: {shard['available']} available, {shard['held']} held"
        if shard["held"] != holds[number]:
            yield f"shard {number}: {shard['held']} held, but the open holds are {holds[number]}"
    told = {found.account.get("shards", 1), found.shards.get(0, {}).get("shards", 1)}
    if told != {len(found.shards)} or found.shards.keys() != set(range(len(found.shards))):
        yield f"there are the shards {sorted(found.shards)}, but the account and the wallet say {told}"


def _spent(found: Books) -> Iterable[str]:
    spent, debits = Counter[str](), Counter[str]()
    for name, row in found.spends.items():
        spent[name.partition("#")[0]] += row.get("spent", 0)
    for row in found.debits:
        debits[row["key_id"]] += row["amount"]
        if "sub_account" in row:
            debits[row["sub_account"]] += row["amount"]
    for owner in spent.keys() | debits.keys():
        if spent[owner] != debits[owner]:
            yield f"{owner} has spent {spent[owner]}, but its debits are {debits[owner]}"


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
    held = Counter[str]()
    for hold in _open(found):
        held.update(dict.fromkeys(hold["capped"], hold["amount"]))
    for name in held.keys() | {"#".join(key.split("#")[:2]) for key in found.spends}:
        (used, spent), owner = found.counter(name), name.partition("#")[0]
        if used != spent + held[name]:
            yield f"{name} has used {used}, but {spent} is spent and {held[name]} held of it"
        for key, row in found.spends.items():
            if key.startswith(f"{name}#") and row["used"] != row["spent"]:
                yield f"{key} has used {row['used']}, but {row['spent']} is spent, and it holds nothing"
        limits = found.keys.get(owner) or found.sub_accounts.get(owner) or {}
        if "cap" in limits and "cap_changed_at" not in limits and used > limits["cap"]:
            yield f"{name} has used {used} of its cap {limits['cap']}"


def _charges(found: Books) -> Iterable[str]:
    debits: defaultdict[str, list[int]] = defaultdict(list)
    for row in _recent(found, found.debits):
        debits[row["request_id"]].append(row["amount"])
    recent = {name for name, hold in found.holds.items() if hold.get("created_at", 0) >= found.since}
    for request in debits.keys() | recent:
        hold = found.holds.get(request, {})
        phase, amounts = hold.get("phase"), debits[request]
        if amounts != ([hold["charged"]] if phase == "posted" else []):
            yield f"{request} is {phase} with debits of {amounts}"
        if phase == "posted" and not 0 <= hold["charged"] <= hold["amount"]:
            yield f"{request} was charged {hold['charged']} on a hold of {hold['amount']}"


def _hits(found: Books) -> Iterable[str]:
    for row in _recent(found, found.debits):
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
    losses = Counter((row["request_id"], row["reason"]) for row in _recent(found, found.losses))
    for (request, reason), count in losses.items():
        phase = found.holds.get(request, {}).get("phase")
        phases, several = _PHASES_OF_LOSS[reason]
        if (count > 1 and not several) or phase not in phases:
            yield f"{request} is {phase} with {count} losses for {reason}"
