"""POST /v1/ocr and /v1/detections."""

from starlette.requests import Request
from starlette.responses import Response

from aig import pipeline, wiring
from aig.http.app import DirectRoute, create_app
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.headers import call_options, receipt_headers
from aig.http.json_answer import JsonAnswer
from aig.inputs import Inputs
from aig.modalities import detect_body, ocr_body
from aig_providers.fetch import GuardedFetcher
from aig_providers.registry import Registry
from aig_providers.wire import CLIENT
from functions.vision.reference import DETECTIONS, OCR

container = wiring.container()
gateway = container.gateway(Registry())
inputs = Inputs(GuardedFetcher(gateway.resolver), container.files)
authenticated = Authenticator(container.keys, container.secrets, container.clock)
authenticate = authenticated("inference")
app = create_app(
    "AIgateway vision", container.ids, container.telemetry, CLIENT.close, container.close, route_class=DirectRoute
)


@app.post("/v1/ocr", **OCR)
async def create_ocr(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    checked = ocr_body.checked(sent)
    source = ocr_body.source(checked)
    await pipeline.admit(gateway, caller, checked, frozenset({"ocr"}), [source])
    body = ocr_body.request(checked, await inputs.picture_or_document(source, caller))
    options = call_options(request, caller, "ocr", sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda to, at: to.ocr.ocr(at, body))
    return JsonAnswer(answer.body, receipt_headers(answer.receipt))


@app.post("/v1/detections", **DETECTIONS)
async def create_detection(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    checked = detect_body.checked(sent)
    picture = detect_body.picture(checked)
    await pipeline.admit(gateway, caller, checked, frozenset({"detect"}), [picture])
    body = detect_body.request(checked, await inputs.picture(picture, caller))
    options = call_options(request, caller, "detections", sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda to, at: to.detect.detect(at, body))
    return JsonAnswer(answer.body, receipt_headers(answer.receipt))
