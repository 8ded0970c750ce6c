"""What a call costs shows in the usage reports of the running stack, by itself and soon."""

import time
from decimal import Decimal

import httpx

from tests.e2e.stack import Stack

_PATIENCE_S = 20.0


def test_calls_show_by_tag_as_json_and_as_csv_and_equal_what_the_wallet_paid(stack: Stack) -> None:
    headers = {"authorization": f"Bearer {stack.key}"}
    with httpx.Client(base_url=stack.base_url, headers=headers, timeout=30) as client:
        costs = dict[str, Decimal]()
        for tag in ("e2e-a", "e2e-b", "e2e-a"):
            body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "one two"}]}
            answer = client.post("/chat/completions", json=body, headers={"x-aig-tag": tag})
            costs[tag] = costs.get(tag, Decimal(0)) + Decimal(answer.headers["x-aig-cost"])
        deadline = time.monotonic() + _PATIENCE_S
        shown = dict[str, Decimal]()
        while shown != costs:
            assert time.monotonic() < deadline, shown
            rows = client.get("/usage/by-tag").json()["data"]
            shown = {row["tag"]: Decimal(row["cost"]) for row in rows if str(row["tag"]).startswith("e2e-")}
        table = client.get("/usage/by-tag", params={"tag": "e2e-a"}, headers={"accept": "text/csv"})
    head, row, end = table.text.split("\r\n")
    assert head.startswith("start,end,tag,requests,")
    assert row.split(",")[2:4] == ["e2e-a", "2"]
    assert end == ""
