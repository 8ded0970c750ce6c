"""POST /v1/chat/completions."""

from starlette.requests import Request
from starlette.responses import Response

from aig import pipeline, stream, wiring
from aig.http.app import DirectRoute, create_app
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.headers import call_options, receipt_headers
from aig.http.json_answer import JsonAnswer
from aig.http.sse import EventStream
from aig.modalities import chat_body
from aig_providers.registry import Registry
from aig_providers.wire import CLIENT
from functions.chat.reference import COMPLETIONS

container = wiring.container()
gateway = container.gateway(Registry())
authenticated = Authenticator(container.keys, container.secrets, container.clock)
authenticate = authenticated("inference")
app = create_app(
    "AIgateway chat", container.ids, container.telemetry, CLIENT.close, container.close, route_class=DirectRoute
)


@app.post("/v1/chat/completions", **COMPLETIONS)
async def create_chat_completion(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    body = chat_body.parse(sent)
    options = call_options(request, caller, "chat.completions", sent, streamed=body.stream)
    if body.stream:
        streamed = await stream.run(gateway, caller, body, options)
        return EventStream(streamed.chunks, receipt_headers(streamed.receipt))
    answer = await pipeline.complete_chat(gateway, caller, body, options)
    return JsonAnswer(answer.body, receipt_headers(answer.receipt))
