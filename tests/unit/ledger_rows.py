"""Debit rows as the Core table holds them, and what they come to when they are simply added up."""

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from aig.usage import HOURS_KEPT_S, PERIOD_S, Counts, entry

Row = Mapping[str, Any]
Sums = dict[tuple[Any, ...], Counts]

DAY_S = PERIOD_S["day"]
NOVEMBER = 1_793_491_200  # 2026-11-01T00:00:00Z


def debit(number: int = 1, payer: str = "acct_1", **more: Any) -> dict[str, Any]:
    """A debit of 8,400 nano-USD; None in `more` takes an attribute away."""
    row: dict[str, Any] = {
        "pk": payer,
        "sk": f"txn#txn_{number}",
        "kind": "debit",
        "amount": 8400,
        "upstream_cost": 8000,
        "request_id": f"req_{number}",
        "key_id": "key_1",
        "model": "sandbox/echo",
        "provider": "sandbox",
        "units": '{"input_tokens":2,"output_tokens":3}',
        "estimated": False,
        "created_at": NOVEMBER,
        **more,
    }
    return {name: value for name, value in row.items() if value is not None}


def debits(most: int = 40) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows of two payers with sub-accounts, around two ends of a month."""
    one = st.fixed_dictionaries(
        {
            "payer": st.sampled_from(["acct_1", "acct_2"]),
            "sub_account": st.sampled_from([None, "sub_1", "sub_2"]),
            "tag": st.sampled_from([None, "a", "b", "*"]),
            "model": st.sampled_from(["v/m", "v/n"]),
            "key_id": st.sampled_from(["key_1", "key_2"]),
            "amount": st.integers(0, 10**15),
            "upstream_cost": st.integers(0, 10**15),
            "cache_hit": st.sampled_from([None, False, True]),
            "estimated": st.booleans(),
            "units": st.sampled_from(["{}", '{"input_tokens":1}', '{"input_tokens":5,"seconds":2,"images":0}']),
            "created_at": st.integers(NOVEMBER - 2, NOVEMBER + 2) | st.integers(NOVEMBER, NOVEMBER + 3 * DAY_S),
        }
    )

    def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # A payer's sub-accounts are its own.
        return [
            debit(number, **{**row, "sub_account": row["sub_account"] and f"{row['sub_account']}_of_{row['payer']}"})
            for number, row in enumerate(rows)
        ]

    return st.lists(one, max_size=most).map(numbered)


def added_up(rows: Iterable[Row]) -> Sums:
    """Counts by tenant, granularity, start and dimensions."""
    sums: Sums = {}
    for row in rows:
        sub_account, at = row.get("sub_account"), row["created_at"]
        tenants = [(row["pk"], sub_account), *([(sub_account, None)] if sub_account else [])]
        for tenant, by in tenants:
            for granularity, length in PERIOD_S.items():
                start = at // length * length
                dimensions = (row.get("tag"), row["model"], by, row["key_id"])
                found = entry(row)
                one = Counts(
                    1, found.amount, found.upstream_cost, int(row.get("cache_hit", False)), int(row["estimated"])
                )
                one.units = dict(found.units)
                sums.setdefault((tenant, granularity, start, *dimensions), Counts()).add(one)
    return sums


def expires(granularity: str, start: int) -> int | None:
    """When a cell goes by itself (unix seconds)."""
    return start + PERIOD_S["hour"] + HOURS_KEPT_S if granularity == "hour" else None
