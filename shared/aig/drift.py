"""What has changed between two catalogs: models that came, and models that go. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aig.catalog.model import Catalog, Model
from aig.events import EventType

Seen = Mapping[str, str]  # the day each model is switched off, by its slug; empty where there is none


@dataclass(frozen=True, slots=True)
class Change:
    """`name` is the same whenever the same change is found."""

    name: str
    type: EventType
    data: Mapping[str, Any]


def seen(catalog: Catalog) -> Seen:
    """What is to be remembered of a catalog. Test models are nobody's news."""
    return {slug: model.deprecated or "" for slug, model in catalog.models.items() if not model.sandbox}


def changes(before: Seen, catalog: Catalog) -> Sequence[Change]:
    """Models in the order of their slugs: those that came, that got a day, and that are gone without one."""
    now, found = seen(catalog), list[Change]()
    for slug in sorted(before.keys() | now.keys()):
        model = catalog.models.get(slug)
        if slug not in now:
            if not before[slug]:  # of another, its end was told before
                found.append(Change(f"model.deprecated#{slug}#gone", "model.deprecated", _gone(slug)))
        elif slug not in before:
            assert model is not None
            found.append(Change(f"model.added#{slug}#{now[slug]}", "model.added", _data(model)))
        elif now[slug] and now[slug] != before[slug]:
            assert model is not None
            found.append(Change(f"model.deprecated#{slug}#{now[slug]}", "model.deprecated", _data(model)))
    return found


def digest(changes: Sequence[Change]) -> str:
    """A name for all of them together: the same whenever the same changes are found."""
    names = "\n".join(change.name for change in changes)
    return f"models#{hashlib.sha256(names.encode()).hexdigest()[:32]}"


def _data(model: Model) -> Mapping[str, Any]:
    return {
        "model": model.slug,
        "title": model.title,
        "modality": model.modality,
        "deprecated": model.deprecated,
        "successor": model.successor,
    }


def _gone(slug: str) -> Mapping[str, Any]:
    return {"model": slug, "title": slug, "modality": "", "deprecated": None, "successor": None}
