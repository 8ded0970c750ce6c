"""GET /v1/models, /v1/health/providers, /llms.txt and /openapi.json, all public; HEAD /; a typed 404 for the rest."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from mangum import Mangum
from starlette.responses import PlainTextResponse, Response

from aig import health, pipeline, wiring
from aig.breaker import Opening
from aig.catalog.model import Catalog, Model, Provider
from aig.errors import InvalidRequest
from aig.http.app import create_app
from aig.http.base_url import base_url
from aig.http.json_answer import JsonAnswer
from aig.http.pages import list_answer
from aig.http.reference import operation, query
from aig_providers.registry import Registry
from functions.models import listing

OPENAPI_FILE = Path(__file__).with_name("openapi.json")
DOCUMENTED_URL = b"http://127.0.0.1:8787"  # in the file, of the gateway that somebody reads it at

container = wiring.container()
gateway = container.gateway(Registry())
app = create_app("AIgateway models", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")


def _check_filter(name: str, values: Iterable[str], known: Collection[str]) -> None:
    for value in values:
        if value not in known:
            raise InvalidRequest(f"{name} is one of {', '.join(sorted(known))}; not {value[:100]!r}.", param=name)


async def _missing(catalog: Catalog) -> listing.Missing:
    providers = list(catalog.providers.values())
    reaches = await asyncio.gather(*(pipeline.reach(gateway, provider) for provider in providers))
    return {provider.name: found.missing for provider, found in zip(providers, reaches, strict=True)}


@app.get(
    "/v1/models",
    **operation(
        "listModels",
        "List the models, with prices and whether they can be called here",
        "models",
        public=True,
        answer={
            "object": "list",
            "data": [listing.EXAMPLE],
            "has_more": False,
            "first_id": "sandbox/echo",
            "last_id": "sandbox/echo",
        },
        parameters=(
            query("modality", "Only models of this modality, such as text."),
            query("provider", "Only models by this vendor or served by this provider."),
            query("capability", "Only models that can do this, such as tools; several, with commas, for all of them."),
            query("available", "true: only models that can be called here. false: only the others."),
        ),
    ),
)
async def list_models(request: Request) -> Response:
    wanted = request.query_params
    models = gateway.catalog.models.values()
    capabilities = {name for value in wanted.getlist("capability") for name in value.split(",")}
    _check_filter("modality", wanted.getlist("modality"), {model.modality for model in models})
    _check_filter("provider", wanted.getlist("provider"), {*gateway.catalog.providers, *(m.vendor for m in models)})
    _check_filter("capability", capabilities, {name for model in models for name in model.capabilities})
    _check_filter("available", wanted.getlist("available"), ("true", "false"))
    missing = await _missing(gateway.catalog)

    def matches(model: Model) -> bool:
        names = {model.vendor, *(offer.provider.name for offer in model.offers)}
        shown = str(listing.is_available(model, missing)).lower()
        return (
            wanted.get("modality", model.modality) == model.modality
            and ("provider" not in wanted or wanted["provider"] in names)
            and capabilities <= model.capabilities
            and wanted.get("available", shown) == shown
        )

    data = [listing.describe(model, missing) for model in models if matches(model)]
    return list_answer(data)


@app.get(
    "/v1/models/{model:path}",
    **operation(
        "retrieveModel", "One model, by its slug", "models", public=True, answer=listing.EXAMPLE, errors=(404,)
    ),
)
async def retrieve_model(model: str) -> Response:
    return JsonAnswer(listing.describe(gateway.catalog.model(model), await _missing(gateway.catalog)))


def _window(window: health.Window) -> dict[str, Any]:
    return {
        "state": window.state,
        "requests": window.requests,
        "success_rate": window.success_rate,
        "p50_ms": window.p50_ms,
        "p95_ms": window.p95_ms,
        "tokens_per_s": window.tokens_per_s,
        "last_error": window.last_error,
    }


def _left_alone_until(opening: Opening | None, now: float) -> int | None:
    """Until when its breaker lets nobody through, in unix seconds; None if it does."""
    return opening.until if opening is not None and opening.until > now else None


async def _provider_health(
    provider: Provider, available: bool, now: float, openings: Mapping[str, Opening]
) -> dict[str, Any]:
    first = int(now) // 60 - max(health.WINDOWS_MIN) + 1
    by_model: dict[str, list[health.Minute]] = defaultdict(list)
    for minute in await container.health.since(provider.name, first) if available else ():
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
        "models": [
            {
                "model": model,
                "left_alone_until": _left_alone_until(openings.get(f"{provider.name}/{model}"), now),
                "windows": windows(by_model[model]),
            }
            for model in sorted(by_model)
        ],
    }


_WINDOW_EXAMPLE = {
    "state": "healthy",
    "requests": 12,
    "success_rate": 1.0,
    "p50_ms": 250,
    "p95_ms": 380,
    "tokens_per_s": 85.5,
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
                    "models": [{"model": "sandbox/echo", "left_alone_until": None, "windows": {"5m": _WINDOW_EXAMPLE}}],
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
    missing = await _missing(gateway.catalog)
    providers = gateway.catalog.providers.values()
    openings = await container.health.breakers()
    data = await asyncio.gather(*(_provider_health(p, not missing[p.name], now, openings) for p in providers))
    return list_answer(data, name="provider")


@app.get(
    "/llms.txt",
    **operation("readLlms", "What this gateway is, for coding agents", "models", public=True, answer="# AIgateway …"),
)
async def llms(request: Request) -> Response:
    missing = await _missing(gateway.catalog)
    return PlainTextResponse(listing.llms(gateway.catalog, missing, f"{base_url(request, container.stage)}/v1"))


@app.get(
    "/llms-full.txt",
    **operation("readLlmsFull", "Every model, for coding agents", "models", public=True, answer="# Models …"),
)
async def llms_full(request: Request) -> Response:
    missing = await _missing(gateway.catalog)
    return PlainTextResponse(listing.llms_full(gateway.catalog, missing, f"{base_url(request, container.stage)}/v1"))


@app.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    here = base_url(request, container.stage).encode()
    return Response(OPENAPI_FILE.read_bytes().replace(DOCUMENTED_URL, here), media_type="application/json")


@app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def root() -> Response:
    return JsonAnswer({"object": "gateway", "name": "AIgateway", "openapi": "/openapi.json", "models": "/v1/models"})
