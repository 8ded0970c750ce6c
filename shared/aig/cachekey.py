"""Which requests the cache serves, and the key that equal ones share. Pure.

The key is HMAC-SHA-256 by a secret of the tenant's: nobody can tell from the store what was asked, nor make a key of
somebody else's. Sub-accounts are tenants of their own. What it is made of:

- the modality, whether it is streamed, and every parameter that can change the answer. Not `user`, nor how usage is
  told, nor our headers; but `x-routing`, and the models that the key may use, where no model is named: they choose it;
- the models that may serve, each with its offers' ids at the providers, so that a changed offer misses.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, Literal

from aig.catalog.model import Catalog
from aig.catalog.routing import Routing
from aig.keys import Caller
from aig.modalities.cacheable import Cacheable, CacheForm

CacheChoice = Literal["auto", "force", "skip"]


def wanted(form: CacheForm, choice: CacheChoice) -> bool:
    """Whether the cache is read and written: `auto` does for deterministic answers, `force` whatever is set."""
    return choice == "force" or (choice == "auto" and form.deterministic)


def tenant_secret(pepper: str, account_id: str) -> bytes:
    return hmac.digest(pepper.encode(), b"cache" + account_id.encode(), hashlib.sha256)


def cache_key(secret: bytes, catalog: Catalog, caller: Caller, request: Cacheable, routing: Routing) -> str | None:
    """64 hexadecimal digits, or None for a caller who may not use what it names. Raises ModelNotFound."""
    models = request.demand.models
    offers = _offers(catalog, models)
    if not all(caller.may_use(slug) for slug in models):
        return None
    form = request.cache_form
    parts: dict[str, Any] = {
        "modality": form.modality,
        "streamed": form.streamed,
        "parameters": form.parameters,
        "models": models,
        "offers": offers,
    }
    if not models:
        parts |= {"routing": routing, "allowed": [sorted(one.allowed_models) for one in caller.limits]}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hmac.digest(secret, text.encode(), hashlib.sha256).hex()


def _offers(catalog: Catalog, slugs: Sequence[str]) -> Any:
    """Who serves each of these models, or each of all, and under which id."""
    models = [catalog.model(slug) for slug in slugs] or catalog.models.values()
    return {model.slug: {offer.provider.name: offer.model_id for offer in model.offers} for model in models}
