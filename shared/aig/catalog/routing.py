"""Which offers may serve a request, and in which order. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aig.catalog.model import Model, Offer
from aig.errors import InvalidRequest, ProviderUnavailable
from aig.money.pricing import Prices

_FIELD = {
    "tools": "tools",
    "json_schema": "response_format",
    "vision": "messages",
    "audio": "messages",
    "files": "messages",
}


def require(model: Model, capabilities: Iterable[str]) -> None:
    """Raises InvalidRequest for what the model cannot do."""
    if "chat" in capabilities and "chat" not in model.capabilities:
        raise InvalidRequest(
            f"{model.slug} does not chat: it is a model of modality {model.modality}.",
            code="wrong_modality",
            param="model",
        )
    missing = sorted(set(capabilities) - model.capabilities)
    if missing:
        raise InvalidRequest(
            f"{model.slug} does not support {', '.join(missing)}. "
            f"GET /v1/models?capability={missing[0]} lists models that do.",
            code="unsupported_parameter",
            param=_FIELD.get(missing[0]),
        )


def _expected_price(prices: Prices) -> int:
    return prices["input_tokens"] * 3 + prices["output_tokens"]  # chat reads about three times what it writes


def order_offers(
    model: Model, available: Iterable[str], preferences: Mapping[str, Any] | None = None
) -> Sequence[Offer]:
    """The offers to try, cheapest first, within the request's `provider: {order, only, ignore}`.

    Raises InvalidRequest if those leave none, ProviderUnavailable if no provider of the model is set up.
    """
    wanted = preferences or {}
    only, ignore, order = wanted.get("only"), wanted.get("ignore", ()), list(wanted.get("order", ()))
    usable = set(available)
    there = [offer for offer in model.offers if offer.provider.name in usable]
    if not there:
        needs = sorted({offer.provider.key_name or offer.provider.base_url_variable for offer in model.offers})
        raise ProviderUnavailable(
            f"No provider of {model.slug} is set up here. Choose another model; the operator sets {' or '.join(needs)}."
        )
    offers = [
        offer for offer in there if offer.provider.name not in ignore and (only is None or offer.provider.name in only)
    ]
    if not offers:
        names = ", ".join(offer.provider.name for offer in there)
        raise InvalidRequest(
            f"provider leaves nobody to serve {model.slug}: it is served by {names}.", param="provider"
        )

    def rank(offer: Offer) -> tuple[int, int]:
        name = offer.provider.name
        return (order.index(name) if name in order else len(order), _expected_price(offer.prices))

    return sorted(offers, key=rank)
