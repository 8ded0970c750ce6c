"""GET /v1/models, /v1/health/providers and /openapi.json, all public; HEAD /; a typed 404 for every other path."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import Request
from mangum import Mangum
from starlette.responses import Response

from aig import health, pipeline, wiring
from aig.catalog.model import Catalog, Model, Provider
from aig.http.app import create_app
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation, query
from aig.money.units import usd
from aig_providers.registry import Registry

OPENAPI_FILE = Path(__file__).with_name("openapi.json")

container = wiring.container()
gateway = container.gateway(Registry())
app = create_app("AIgateway models", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")

_EXAMPLE = {
    "id": "sandbox/echo",
    "object": "model",
    "created": 1795305600,
    "owned_by": "sandbox",
    "title": "Echo",
    "modality": "text",
    "capabilities": ["chat", "stream"],
    "context_window": 131072,
    "max_output_tokens": 16384,
    "released": "2026-11-22",
    "licence": None,
    "sandbox": True,
    "available": True,
    "offers": [
        {
            "provider": "sandbox",
            "available": True,
            "usd_per_million": {"input_tokens": "1.00", "output_tokens": "2.00"},
            "source": "set by us",
            "date": "2026-11-22",
        }
    ],
}
_CATALOG_DATE = 1_795_305_600  # OpenAI's clients expect `created`; the day the catalog format began stands in for all


def _list(data: Sequence[dict[str, Any]], name: str) -> Response:
    """A whole list; `name` is the field that identifies an entry."""
    first, last = (data[0][name], data[-1][name]) if data else (None, None)
    return JsonAnswer({"object": "list", "data": data, "has_more": False, "first_id": first, "last_id": last})


async def _available(catalog: Catalog) -> frozenset[str]:
    """Names of the providers that are set up."""
    providers = list(catalog.providers.values())
    reaches = await asyncio.gather(*(pipeline.reach(gateway, provider) for provider in providers))
    return frozenset(provider.name for provider, found in zip(providers, reaches, strict=True) if found is not None)


def _describe(model: Model, available: frozenset[str]) -> dict[str, Any]:
    return {
        "id": model.slug,
        "object": "model",
        "created": _CATALOG_DATE,
        "owned_by": model.vendor,
        "title": model.title,
        "modality": model.modality,
        "capabilities": sorted(model.capabilities),
        "context_window": model.context,
        "max_output_tokens": model.max_output,
        "released": model.released,
        "licence": model.licence,
        "sandbox": model.sandbox,
        "available": any(offer.provider.name in available for offer in model.offers),
        "offers": [
            {
                "provider": offer.provider.name,
                "available": offer.provider.name in available,
                # pico-USD per unit is nano-USD per thousand units: a million units cost a thousand times as many nanos
                "usd_per_million": {unit: usd(price * 1000) for unit, price in offer.prices.items()},
                "source": offer.source,
                "date": offer.date,
            }
            for offer in model.offers
        ],
    }


@app.get(
    "/v1/models",
    **operation(
        "listModels",
        "List the models, with prices and whether they can be called here",
        "models",
        public=True,
        answer={
            "object": "list",
            "data": [_EXAMPLE],
            "has_more": False,
            "first_id": "sandbox/echo",
            "last_id": "sandbox/echo",
        },
        parameters=(
            query("modality", "Only models of this modality, such as text."),
            query("provider", "Only models by this vendor or served by this provider."),
            query("capability", "Only models that can do this, such as tools or vision."),
        ),
    ),
)
async def list_models(request: Request) -> Response:
    wanted = request.query_params
    available = await _available(gateway.catalog)

    def matches(model: Model) -> bool:
        names = {model.vendor, *(offer.provider.name for offer in model.offers)}
        return (
            wanted.get("modality", model.modality) == model.modality
            and ("provider" not in wanted or wanted["provider"] in names)
            and ("capability" not in wanted or wanted["capability"] in model.capabilities)
        )

    data = [_describe(model, available) for model in gateway.catalog.models.values() if matches(model)]
    return _list(data, "id")


@app.get(
    "/v1/models/{model:path}",
    **operation("retrieveModel", "One model, by its slug", "models", public=True, answer=_EXAMPLE, errors=(404,)),
)
async def retrieve_model(model: str) -> Response:
    return JsonAnswer(_describe(gateway.catalog.model(model), await _available(gateway.catalog)))


def _window(window: health.Window) -> dict[str, Any]:
    return {
        "state": window.state,
        "requests": window.requests,
        "success_rate": window.success_rate,
        "p50_ms": window.p50_ms,
        "p95_ms": window.p95_ms,
        "last_error": window.last_error,
    }


async def _provider_health(provider: Provider, available: bool, now: float) -> dict[str, Any]:
    first = int(now) // 60 - max(health.WINDOWS_MIN) + 1
    by_model: dict[str, list[health.Minute]] = defaultdict(list)
    for minute in await container.health.since(provider.name, first):
        by_model[minute.model].append(minute)

    def windows(minutes: list[health.Minute]) -> dict[str, Any]:
        return {f"{length}m": _window(health.summarise(minutes, now, length)) for length in health.WINDOWS_MIN}

    everything = [minute for minutes in by_model.values() for minute in minutes]
    return {
        "provider": provider.name,
        "title": provider.title,
        "available": available,
        "state": health.summarise(everything, now, 5).state,
        "windows": windows(everything),
        "models": [{"model": model, "windows": windows(by_model[model])} for model in sorted(by_model)],
    }


_WINDOW_EXAMPLE = {
    "state": "healthy",
    "requests": 12,
    "success_rate": 1.0,
    "p50_ms": 250,
    "p95_ms": 380,
    "last_error": None,
}


@app.get(
    "/v1/health/providers",
    **operation(
        "listProviderHealth",
        "How the providers are, from real traffic over 1, 5 and 60 minutes",
        "models",
        public=True,
        answer={
            "object": "list",
            "data": [
                {
                    "provider": "sandbox",
                    "title": "Sandbox",
                    "available": True,
                    "state": "healthy",
                    "windows": {"5m": _WINDOW_EXAMPLE},
                    "models": [{"model": "sandbox/echo", "windows": {"5m": _WINDOW_EXAMPLE}}],
                }
            ],
            "has_more": False,
            "first_id": "sandbox",
            "last_id": "sandbox",
        },
    ),
)
async def list_provider_health() -> Response:
    now = container.clock.now()
    available = await _available(gateway.catalog)
    providers = gateway.catalog.providers.values()
    data = await asyncio.gather(*(_provider_health(p, p.name in available, now) for p in providers))
    return _list(data, "provider")


@app.get("/openapi.json", include_in_schema=False)
async def openapi() -> Response:
    return Response(OPENAPI_FILE.read_bytes(), media_type="application/json")


@app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def root() -> Response:
    return JsonAnswer({"object": "gateway", "name": "AIgateway", "openapi": "/openapi.json", "models": "/v1/models"})
