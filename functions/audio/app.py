"""POST /v1/audio/transcriptions, /v1/audio/translations and /v1/audio/speech."""

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from aig import pipeline, speech, wiring
from aig.http.app import DirectRoute, create_app
from aig.http.audio import AudioStream
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.form import FormShape, is_form, read_form
from aig.http.headers import call_options, receipt_headers
from aig.http.json_answer import JsonAnswer
from aig.inputs import Inputs
from aig.keys import Caller
from aig.modalities import given, speak_body, transcribe_body, transcript
from aig.modalities.given import Given
from aig.modalities.transcript import Segment
from aig.pipeline import Answer
from aig.records import Operation
from aig_providers.fetch import GuardedFetcher
from aig_providers.registry import Registry
from aig_providers.wire import CLIENT
from functions.audio.reference import SPEECH, TRANSCRIPTIONS, TRANSLATIONS

container = wiring.container()
gateway = container.gateway(Registry())
inputs = Inputs(GuardedFetcher(gateway.resolver), container.files)
authenticated = Authenticator(container.keys, container.secrets, container.clock)
authenticate = authenticated("inference")
app = create_app(
    "AIgateway audio", container.ids, container.telemetry, CLIENT.close, container.close, route_class=DirectRoute
)

_FORM = FormShape({"file": 1}, numbers={"temperature"}, flags={"stream"}, lists={"timestamp_granularities", "models"})


@app.post("/v1/audio/transcriptions", **TRANSCRIPTIONS)
async def create_transcription(request: Request) -> Response:
    caller = await authenticate(request)
    return await _heard(request, caller, "audio.transcriptions")


@app.post("/v1/audio/translations", **TRANSLATIONS)
async def create_audio_translation(request: Request) -> Response:
    caller = await authenticate(request)
    return await _heard(request, caller, "audio.translations")


async def _heard(request: Request, caller: Caller, operation: Operation) -> Response:
    sent, files = await _sent(request)
    checked = transcribe_body.checked(sent)
    recording = given.given(checked, ("url",), form=files)
    await pipeline.admit(gateway, caller, checked, frozenset({"transcribe"}), [recording])
    sound = await inputs.sound(recording, caller)
    body = transcribe_body.request(checked, sound, into_english=operation == "audio.translations")
    options = call_options(request, caller, operation, sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda to, at: to.transcribe.transcribe(at, body))
    return _rendered(answer, checked.get("response_format") or "json", body.granularities)


async def _sent(request: Request) -> tuple[dict[str, Any], list[Given] | None]:
    """The fields, and the files of a form."""
    if not is_form(request):
        return await read_json(request), None
    form = await read_form(request, _FORM)
    return form.fields, form.given("file")


def _rendered(answer: Answer, form: str, granularities: frozenset[str]) -> Response:
    """As OpenAI renders each `response_format`."""
    body, headers = answer.body, receipt_headers(answer.receipt)
    segments = [Segment(one["start"], one["end"], one["text"]) for one in body["segments"]]
    if form == "text":
        return PlainTextResponse(body["text"] + "\n", headers=headers)
    if form == "srt":
        return PlainTextResponse(transcript.srt(segments), headers=headers, media_type="application/x-subrip")
    if form == "vtt":
        return PlainTextResponse(transcript.vtt(segments), headers=headers, media_type="text/vtt")
    if form == "json":
        return JsonAnswer({name: body[name] for name in ("text", "usage", "model")}, headers)
    left_out = {"segments": "segment" not in granularities, "words": "word" not in granularities}
    return JsonAnswer({name: value for name, value in body.items() if not left_out.get(name)}, headers)


@app.post("/v1/audio/speech", **SPEECH)
async def create_speech(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    body = speak_body.parse(sent)
    options = call_options(request, caller, "audio.speech", sent, streamed=True)
    answer = await speech.speak(gateway, caller, body, options)
    return AudioStream(answer.pieces, answer.media_type, receipt_headers(answer.receipt))
