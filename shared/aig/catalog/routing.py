"""Who may serve a request, and in which order. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aig.catalog.model import OPERATIONS, Catalog, Model, Offer
from aig.errors import AIGError, Forbidden, InvalidRequest, ProviderUnavailable
from aig.health import State
from aig.modalities.demand import UNBOUNDED_TOKENS, UNSAID, Demand
from aig.modalities.usage import OUTPUT_UNITS, Unit
from aig.money.pricing import has_price, price_of

Routing = Literal["auto", "cost", "speed", "quality"]

MAX_CANDIDATES = 3
EXPECTED_OUTPUT = 800  # tokens of a chat answer whose length nobody has said
# What `auto` weighs. Each figure is a rank between 0 and 1 among those that could serve.
_WEIGHTS = {"cost": 0.4, "quality": 0.4, "speed": 0.2}
_STATE_RANK: Mapping[State, int] = {"healthy": 0, "unknown": 0, "degraded": 1, "down": 2}
_FIELD = {
    "tools": "tools",
    "json_schema": "response_format",
    "vision": "messages",
    "audio": "messages",
    "files": "messages",
    "token_ids": "input",
    "dimensions": "dimensions",
    "edit": "image",
    "mask": "mask",
    "words": "timestamp_granularities",
    "segments": "timestamp_granularities",
    "into_english": "model",
    "texts": "input",
    "labels": "labels",
    "detect_language": "source_lang",
    "from_picture": "image_url",
    "from_text": "prompt",
    "lyrics": "lyrics",
}
_DOES = {
    "image": "make pictures",
    "ocr": "read pictures",
    "video": "make videos",
    "music": "make music",
    "three_d": "make 3D models",
}
_OWN_PRICES = frozenset({"flex", "priority"})  # service tiers that only an offer with a price for them serves


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model at one of its providers, at the prices of the hour. `key` names the pair: `provider/vendor/model`."""

    model: Model
    offer: Offer

    @property
    def key(self) -> str:
        return f"{self.offer.provider.name}/{self.model.slug}"

    def billed(self, counts: Mapping[Unit, int]) -> Mapping[Unit, int]:
        """With the seconds that the model makes where nobody says how many, and the credits that all of it costs."""
        billed = dict(counts)
        if billed.get("seconds") == UNSAID:
            billed["seconds"] = self.model.usual_seconds or self.model.most_seconds or 0
        if self.offer.credits:
            billed["credits"] = sum(each * billed.get(unit, 0) for unit, each in self.offer.credits.items())
        return billed

    @property
    def context(self) -> int:
        """Tokens of a prompt; of a model that is not told to bound it, as many as there are."""
        return self.offer.context or self.model.context or UNBOUNDED_TOKENS

    @property
    def max_output(self) -> int:
        return self.offer.max_output or self.model.max_output


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a candidate from real traffic: state, median time to the first byte, tokens a second."""

    state: State = "unknown"
    latency_ms: int | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What a choice depends on beside the request: who is asking, who is set up, how they are, what time it is.

    `missing` has what the operator would have to set for a provider; nothing for one that is set up.
    """

    may_use: Callable[[str], bool]
    missing: Mapping[str, Collection[str]]
    standing: Callable[[Candidate], Standing]
    now: float  # unix seconds
    today: str

    def is_set_up(self, offer: Offer) -> bool:
        return not self.missing.get(offer.provider.name, ())


def needed(missing: Iterable[Collection[str]]) -> str:
    """Several providers' missing settings, of which one provider's are enough: `A_KEY and A_URL, or B_KEY`."""
    each = dict.fromkeys(" and ".join(names) for names in missing)
    return (", or " if any(" and " in names for names in each) else " or ").join(each)


def _not_set_up(models: Sequence[Model], demand: Demand, situation: Situation) -> ProviderUnavailable:
    """For models of which no provider that the client lets serve is set up: what is missing, for each."""
    needs = [needed(situation.missing[offer.provider.name] for offer in _allowed(model, demand)) for model in models]
    each = (
        needs if len(models) == 1 else [f"for {model.slug} {need}" for model, need in zip(models, needs, strict=True)]
    )
    names = " or ".join(model.slug for model in models)
    return ProviderUnavailable(
        f"No provider of {names} that may serve this request is set up here. Choose another model; "
        f"the operator sets {'; '.join(each)}.",
        code="provider_not_configured",
    )


def require(model: Model, demand: Demand) -> None:
    """Raises InvalidRequest for what the model cannot do."""
    for operation in demand.capabilities & OPERATIONS.keys() - model.capabilities:
        raise InvalidRequest(
            f"{model.slug} does not {_DOES.get(operation, operation)}: it is a model of modality {model.modality}. "
            f"GET /v1/models?capability={operation} lists those that do.",
            code="wrong_modality",
            param="model",
        )
    missing = sorted(demand.capabilities - model.capabilities)
    if missing:
        operations = demand.capabilities & OPERATIONS.keys() - {"chat"}
        also = "".join(f"&capability={operation}" for operation in operations)
        raise InvalidRequest(
            f"{model.slug} does not support {', '.join(missing)}. "
            f"GET /v1/models?capability={missing[0]}{also} lists models that do.",
            code="unsupported_parameter",
            param=demand.fields.get(missing[0], _FIELD.get(missing[0])),
        )


def candidates(catalog: Catalog, demand: Demand, routing: Routing, situation: Situation) -> Sequence[Candidate]:
    """Whom to try, best first, three at most. Raises AIGError if there is nobody, saying what would help."""
    if not demand.models:
        return _chosen(catalog, demand, routing, situation)
    ranked: list[Sequence[Candidate]] = []
    failures: list[AIGError] = []
    models = [catalog.model(slug) for slug in demand.models]
    for model in models:
        if not situation.may_use(model.slug):
            raise Forbidden(
                f"This key may not use {model.slug}. Use another model, or ask for a key that allows it.",
                code="model_not_allowed",
            )
        try:
            require(model, demand)
            ranked.append(_order_offers(model, demand, situation))
        except (InvalidRequest, ProviderUnavailable) as error:
            failures.append(error)
    if not ranked:
        all_unset = all(isinstance(failure, ProviderUnavailable) for failure in failures)
        raise _not_set_up(models, demand, situation) if all_unset else failures[0]
    return _first_of_each(ranked)


def _first_of_each(ranked: Sequence[Sequence[Candidate]]) -> Sequence[Candidate]:
    """The models in their order; where room is short, none has its second offer before each has its first."""
    by_turn = sorted((turn, at) for at, offers in enumerate(ranked) for turn in range(len(offers)))
    kept = sorted((at, turn) for turn, at in by_turn[:MAX_CANDIDATES])
    return [ranked[at][turn] for at, turn in kept]


def _expected_cost(candidate: Candidate, demand: Demand) -> int:
    """Pico-USD of a run of the usual size, for comparing."""
    rates = candidate.offer.prices.rates
    usual = candidate.billed(demand.usual_units)
    written = min(demand.output_tokens if demand.output_tokens is not None else EXPECTED_OUTPUT, EXPECTED_OUTPUT)
    cost = sum(price_of(unit, rates) * max(1, count) for unit, count in usual.items() if has_price(unit, rates))
    if written and usual.keys().isdisjoint(OUTPUT_UNITS) and has_price("output_tokens", rates):
        cost += price_of("output_tokens", rates) * written * demand.samples
    return cost


def _allowed(model: Model, demand: Demand) -> Sequence[Offer]:
    """The offers that the client lets serve. Raises InvalidRequest if there are none."""
    wanted: Mapping[str, Any] = demand.preferences
    only, ignore = wanted.get("only"), wanted.get("ignore", ())
    allowed = [
        offer
        for offer in model.offers
        if offer.provider.name not in ignore and (only is None or offer.provider.name in only)
    ]
    if not allowed:
        names = ", ".join(offer.provider.name for offer in model.offers)
        raise InvalidRequest(
            f"provider leaves nobody to serve {model.slug}: it is served by {names}.", param="provider"
        )
    return allowed


def _order_offers(model: Model, demand: Demand, situation: Situation) -> Sequence[Candidate]:
    """A model's offers within the request's `provider: {order, only, ignore}`, the healthy first, then the cheap.

    Raises InvalidRequest if those leave none, ProviderUnavailable if none of those that are left is set up.
    """
    order = list(demand.preferences.get("order", ()))
    there = [offer.at(situation.now) for offer in _allowed(model, demand) if situation.is_set_up(offer)]
    if not there:
        raise _not_set_up([model], demand, situation)
    offered = [Candidate(model, offer) for offer in _able(model, there, demand)]

    def rank(candidate: Candidate) -> tuple[int, int, int]:
        name = candidate.offer.provider.name
        return (
            order.index(name) if name in order else len(order),
            _STATE_RANK[situation.standing(candidate).state],
            _expected_cost(candidate, demand),
        )

    # Where none is large enough, one of them will say so.
    fitting = [candidate for candidate in offered if _is_large_enough(candidate, demand)] or offered
    return sorted(fitting, key=rank) if len(fitting) > 1 else fitting


def _is_large_enough(candidate: Candidate, demand: Demand) -> bool:
    """As far as can be told beforehand."""
    written = min(demand.output_tokens or 0, candidate.model.max_output)
    return written <= candidate.max_output and demand.usual_input + written <= candidate.context * demand.inputs


def _able(model: Model, offers: Sequence[Offer], demand: Demand) -> Sequence[Offer]:
    """Those that take the request's settings. Raises InvalidRequest, naming the setting, if none does."""
    tier = demand.service_tier
    in_tier = [offer for offer in offers if tier not in _OWN_PRICES or tier in offer.prices.tiers]
    if not in_tier:
        raise InvalidRequest(
            f"{model.slug} has no service tier {tier}. Leave service_tier out, or use another model.",
            code="unsupported_parameter",
            param="service_tier",
        )
    able = [offer for offer in in_tier if not demand.sampling or "fixed_sampling" not in offer.quirks]
    if not able:
        raise InvalidRequest(
            f"{model.slug} takes no {demand.sampling[0]} of its caller's. Leave it out, or use another model.",
            code="unsupported_parameter",
            param=demand.sampling[0],
        )
    return able


def _could_serve(model: Model, demand: Demand, situation: Situation) -> bool:
    """Of the models that nobody named: test models and those switched off are not chosen."""
    if model.sandbox or not model.served or not situation.may_use(model.slug):
        return False
    if model.deprecated is not None and model.deprecated <= situation.today:
        return False
    return any(_is_large_enough(Candidate(model, offer), demand) for offer in model.offers)


def _chosen(catalog: Catalog, demand: Demand, routing: Routing, situation: Situation) -> Sequence[Candidate]:
    """The best three models for a request that names none, each at its best provider."""
    found: list[Candidate] = []
    for model in catalog.models.values():
        if not _could_serve(model, demand, situation):
            continue
        try:
            require(model, demand)
            found.append(_order_offers(model, demand, situation)[0])
        except (InvalidRequest, ProviderUnavailable):
            continue
    if not found:
        wanted = ", ".join(sorted(demand.capabilities))
        raise ProviderUnavailable(
            f"No model that is set up here can do what this request needs ({wanted}). Name a model; "
            "GET /v1/models lists those that are available.",
            code="provider_not_configured",
        )
    weights, unknown = (_WEIGHTS, 0.5) if routing == "auto" else ({routing: 1.0}, 1.0)
    ranks = {name: _ranks(found, figure, unknown) for name, figure in _figures(demand, situation).items()}

    def score(candidate: Candidate) -> tuple[int, float, float, str]:
        weighed = sum(weight * ranks[name][candidate.key] for name, weight in weights.items())
        return (
            _STATE_RANK[situation.standing(candidate).state],
            weighed,
            ranks["cost"][candidate.key],
            candidate.model.slug,
        )

    return sorted(found, key=score)[:MAX_CANDIDATES]


def _figures(demand: Demand, situation: Situation) -> Mapping[str, Callable[[Candidate], float | None]]:
    """What candidates are compared by, the less the better; None where it is not known."""

    def seconds(candidate: Candidate) -> float | None:
        """How long an answer of the usual length takes."""
        standing = situation.standing(candidate)
        if standing.latency_ms is None:
            return None
        writing = EXPECTED_OUTPUT / standing.tokens_per_s if standing.tokens_per_s else 0.0
        return standing.latency_ms / 1000 + writing

    def quality(candidate: Candidate) -> float | None:
        return -candidate.model.quality.score if candidate.model.quality else None

    return {
        "cost": lambda candidate: float(_expected_cost(candidate, demand)),
        "speed": seconds,
        "quality": quality,
    }


def _ranks(
    found: Sequence[Candidate], figure: Callable[[Candidate], float | None], unknown: float
) -> Mapping[str, float]:
    """0 for the best, towards 1 for the worst, `unknown` where nothing is known."""
    figures = {candidate.key: figure(candidate) for candidate in found}
    known = sorted({value for value in figures.values() if value is not None})
    return {key: unknown if value is None else known.index(value) / len(known) for key, value in figures.items()}
