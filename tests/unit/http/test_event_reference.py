"""What the OpenAPI document says of events is what is written of them."""

import json
from collections.abc import Mapping
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from aig import drift, summaries, thresholds
from aig.catalog import model as catalog
from aig.deliveries import disabled_event
from aig.events import EVENT_TYPES, Event, EventType
from aig.http.event_reference import EVENTS, webhooks_section
from aig.http.jobs_reference import COMPLETED
from aig.money.ledger import Wallet
from aig.money.units import Nano
from aig.summaries import Span
from aig.usage import Counts
from aig.webhooks.endpoint import Endpoint, disabled
from aig.webhooks.payload import payload
from local.template import ROOT

NOW = 1_795_000_000
_WALLET = Wallet(available=Nano(5), held=Nano(0), low_threshold=Nano(10), era=0, low=False, exhausted=False)
_DAY = summaries.Day(NOW - NOW % 86_400)
_ENDPOINT = Endpoint("hook_1", "acct_1", "https://a.example/", ("*",), "key_1", NOW)
_SLUG = next(slug for slug, model in catalog.builtin().models.items() if not model.sandbox)
_CHANGES = [
    *drift.changes({"gone/model": ""}, catalog.builtin()),
    *drift.changes({**drift.seen(catalog.builtin()), _SLUG: "2001-01-01"}, catalog.builtin()),
]


def written() -> list[tuple[EventType, Mapping[str, Any]]]:
    """Events as those parts of the gateway make them that can do so without a store."""
    threshold = summaries.threshold(Span("monthly", NOW, NOW + 5), 5, Counts())
    gone = disabled_event("evt_1", disabled(_ENDPOINT, "gone", NOW), NOW)
    return [
        ("balance.low", thresholds.event("low", "evt_1", "acct_1", _WALLET, NOW).data),
        ("balance.exhausted", thresholds.event("exhausted", "evt_1", "acct_1", _WALLET, NOW).data),
        (threshold.type, threshold.data),
        ("usage.daily.summary", _DAY.notice().data),
        (gone.type, gone.data),
        *((change.type, change.data) for change in _CHANGES),
    ]


def test_a_job_is_told_with_all_that_its_own_page_shows_but_where_it_is_told() -> None:
    shown = set(COMPLETED) - {"webhook_url"}
    for event_type in ("job.completed", "job.failed"):
        assert EVENTS[event_type].properties.keys() == shown


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_the_example_of_each_type_is_valid(event_type: EventType) -> None:
    Draft202012Validator.check_schema(EVENTS[event_type].data)
    Draft202012Validator(EVENTS[event_type].data).validate(EVENTS[event_type].example)


@pytest.mark.parametrize(("event_type", "data"), written())
def test_what_is_written_is_what_the_reference_says(event_type: EventType, data: Mapping[str, Any]) -> None:
    told = EVENTS[event_type]
    Draft202012Validator(told.data).validate(json.loads(json.dumps(data)))
    assert data.keys() <= told.properties.keys()


def test_every_type_is_in_the_document_with_its_headers() -> None:
    section: Mapping[str, Any] = webhooks_section()
    document = json.loads((ROOT / "functions" / "models" / "openapi.json").read_text(encoding="utf-8"))
    assert document["webhooks"] == section
    assert section.keys() == set(get_args(EventType))
    for event_type, item in section.items():
        operation = item["post"]
        assert [header["name"] for header in operation["parameters"]] == [
            "x-aig-signature",
            "x-aig-event-type",
            "x-aig-delivery-id",
            "x-aig-attempt",
        ]
        content = operation["requestBody"]["content"]["application/json"]
        Draft202012Validator(content["schema"]).validate(content["example"])
        assert content["example"]["type"] == event_type


def test_the_payload_is_what_the_document_says() -> None:
    event = Event("evt_1", "key.rotated", "acct_1", EVENTS["key.rotated"].example, NOW)
    content = webhooks_section()["key.rotated"]["post"]["requestBody"]["content"]["application/json"]
    Draft202012Validator(content["schema"]).validate(json.loads(payload(event)))
