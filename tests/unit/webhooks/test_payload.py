"""The bytes that tell of an event."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aig.events import Event
from aig.webhooks.payload import MAX_BYTES, payload


def event(data: dict[str, Any]) -> Event:
    return Event("evt_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "balance.low", "acct_1", data, 1_795_000_000)


def test_the_bytes_of_an_event() -> None:
    assert (
        payload(event({"balance": "0.97", "note": "é"}))
        == (
            '{"id":"evt_01KAP6V3J8Q0ZB5N7E2XWY4T9C","object":"event","type":"balance.low","created":1795000000,'
            '"data":{"balance":"0.97","note":"é"}}'
        ).encode()
    )


@given(st.dictionaries(st.text(max_size=300), st.text(max_size=20_000), max_size=50))
def test_w10_a_payload_is_small_whatever_the_event_holds(data: dict[str, str]) -> None:
    sent = payload(event(data))
    assert len(sent) <= MAX_BYTES
    told = json.loads(sent)["data"]
    left_out = told.pop("left_out", [])
    assert all(data[name] == value for name, value in told.items())
    assert told == data or left_out


def test_the_largest_fields_are_left_out_first_and_named() -> None:
    told = json.loads(payload(event({"id": "job_1", "huge": "x" * MAX_BYTES, "status": "completed"})))["data"]
    assert told == {"id": "job_1", "status": "completed", "left_out": ["huge"]}


def test_one_field_that_is_too_large_leaves_its_name() -> None:
    assert json.loads(payload(event({"huge": "x" * MAX_BYTES})))["data"] == {"left_out": ["huge"]}
