"""POST /v1/embeddings."""

from starlette.requests import Request
from starlette.responses import Response

from aig import pipeline, wiring
from aig.http.app import DirectRoute, create_app
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.headers import call_options, receipt_headers
from aig.http.json_answer import JsonAnswer
from aig.modalities import embed_body
from aig_providers.registry import Registry
from aig_providers.wire import CLIENT
from functions.embeddings.reference import EMBEDDINGS

container = wiring.container()
gateway = container.gateway(Registry())
authenticated = Authenticator(container.keys, container.secrets, container.clock)
authenticate = authenticated("inference")
app = create_app(
    "AIgateway embeddings", container.ids, container.telemetry, CLIENT.close, container.close, route_class=DirectRoute
)


@app.post("/v1/embeddings", **EMBEDDINGS)
async def create_embeddings(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    body = embed_body.parse(sent)
    options = call_options(request, caller, "embeddings", sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda adapter, at: adapter.embed.embed(at, body))
    return JsonAnswer(answer.body, receipt_headers(answer.receipt))
