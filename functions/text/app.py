"""POST /v1/moderations, /v1/translations, /v1/classifications and /v1/rerank."""

from starlette.requests import Request
from starlette.responses import Response

from aig import pipeline, wiring
from aig.http.app import DirectRoute, create_app
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.headers import call_options, receipt_headers
from aig.http.json_answer import JsonAnswer
from aig.inputs import Inputs
from aig.modalities import classify_body, moderate_body, rerank_body, translate_body
from aig_providers.fetch import GuardedFetcher
from aig_providers.registry import Registry
from aig_providers.wire import CLIENT
from functions.text.reference import CLASSIFICATIONS, MODERATIONS, RERANK, TRANSLATIONS

container = wiring.container()
gateway = container.gateway(Registry())
inputs = Inputs(GuardedFetcher(gateway.resolver), container.files)
authenticated = Authenticator(container.keys, container.secrets, container.clock)
authenticate = authenticated("inference")
app = create_app(
    "AIgateway text", container.ids, container.telemetry, CLIENT.close, container.close, route_class=DirectRoute
)


@app.post("/v1/moderations", **MODERATIONS)
async def create_moderation(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    checked = moderate_body.checked(sent)
    given = moderate_body.pictures(checked)
    await pipeline.admit(gateway, caller, checked, frozenset({"moderate", "vision"}), given)
    body = moderate_body.request(checked, await inputs.pictures(given, caller))
    options = call_options(request, caller, "moderations", sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda to, at: to.moderate.moderate(at, body))
    return JsonAnswer({"id": f"modr_{options.trace_id}", **answer.body}, receipt_headers(answer.receipt))


@app.post("/v1/translations", **TRANSLATIONS)
async def create_translation(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    body = translate_body.parse(sent)
    options = call_options(request, caller, "translations", sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda to, at: to.translate.translate(at, body))
    return JsonAnswer(answer.body, receipt_headers(answer.receipt))


@app.post("/v1/classifications", **CLASSIFICATIONS)
async def create_classification(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    body = classify_body.parse(sent)
    options = call_options(request, caller, "classifications", sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda to, at: to.classify.classify(at, body))
    return JsonAnswer(answer.body, receipt_headers(answer.receipt))


@app.post("/v1/rerank", **RERANK)
async def create_rerank(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    body = rerank_body.parse(sent)
    options = call_options(request, caller, "rerank", sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda to, at: to.rerank.rerank(at, body))
    return JsonAnswer(answer.body, receipt_headers(answer.receipt))
