"""What has changed between two catalogs."""

from dataclasses import replace
from typing import Any

from aig.catalog import model as catalog
from aig.catalog.model import Catalog
from aig.drift import changes, digest, seen

WHOLE = catalog.builtin()
ONE, OTHER = sorted(slug for slug, model in WHOLE.models.items() if not model.sandbox)[:2]
SANDBOX = next(slug for slug, model in WHOLE.models.items() if model.sandbox)


def of(*slugs: str, **fields: Any) -> Catalog:
    return Catalog(WHOLE.providers, {slug: replace(WHOLE.models[slug], **fields) for slug in slugs})


def told(before: Catalog, after: Catalog) -> list[tuple[str, str, str | None]]:
    return [(one.type, one.data["model"], one.data["deprecated"]) for one in changes(seen(before), after)]


def test_nothing_has_changed() -> None:
    assert told(WHOLE, WHOLE) == []


def test_a_model_came() -> None:
    assert told(of(ONE, deprecated=None), of(ONE, OTHER, deprecated=None)) == [("model.added", OTHER, None)]


def test_a_model_came_that_is_to_go() -> None:
    assert told(of(), of(ONE, deprecated="2099-01-01")) == [("model.added", ONE, "2099-01-01")]


def test_a_model_got_its_last_day() -> None:
    assert told(of(ONE, deprecated=None), of(ONE, deprecated="2099-01-01")) == [("model.deprecated", ONE, "2099-01-01")]


def test_a_model_got_another_last_day() -> None:
    assert told(of(ONE, deprecated="2099-01-01"), of(ONE, deprecated="2099-02-01")) == [
        ("model.deprecated", ONE, "2099-02-01")
    ]


def test_a_model_stays_after_all() -> None:
    assert told(of(ONE, deprecated="2099-01-01"), of(ONE, deprecated=None)) == []


def test_a_model_went() -> None:
    assert told(of(ONE, deprecated=None), of()) == [("model.deprecated", ONE, None)]
    assert told(of(ONE, deprecated="2026-01-01"), of()) == []


def test_test_models_are_nobodys_news() -> None:
    assert told(of(), of(SANDBOX)) == []


def test_a_change_has_one_name() -> None:
    names = [change.name for change in changes(seen(of(ONE)), of(OTHER, deprecated="2099-01-01"))]
    assert names == [change.name for change in changes(seen(of(ONE)), of(OTHER, deprecated="2099-01-01"))]
    assert len(set(names)) == 2


def test_the_same_changes_have_the_same_name_and_others_another() -> None:
    came = changes(seen(of(ONE)), of(ONE, OTHER, deprecated=None))
    assert digest(came) == digest(list(came))
    assert digest(came) != digest(changes(seen(of(ONE, deprecated=None)), of(ONE, deprecated="2099-03-31")))
