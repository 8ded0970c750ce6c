"""POST /v1/videos/generations, /v1/audio/music and /v1/3d/generations: each answers 202 and a job."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from mangum import Mangum
from starlette.requests import Request
from starlette.responses import Response

from aig import generation, pipeline, wiring
from aig.aws.jobs import DynamoJobs
from aig.errors import InvalidRequest, Overloaded
from aig.generation import Asked
from aig.http.app import DirectRoute, create_app
from aig.http.auth import Authenticator
from aig.http.base_url import base_url
from aig.http.body import read_json
from aig.http.errors import rate_headers
from aig.http.headers import call_options
from aig.http.idempotency import Idempotent
from aig.inputs import Inputs
from aig.jobs.job import Job
from aig.jobs.kinds import OPERATIONS
from aig.jobs.kinds import request as request_of
from aig.jobs.view import job_json, links_of
from aig.keys import Caller
from aig.limits import Rate
from aig.modalities import music_body, three_d_body, video_body
from aig.modalities.files import Picture
from aig.modalities.given import Given
from aig.modalities.job import JobKind
from aig.webhooks.receiver import checked_url
from aig_providers.fetch import GuardedFetcher
from aig_providers.registry import Registry
from aig_providers.wire import CLIENT
from functions.generations.reference import MUSIC, THREE_D, VIDEOS

_NOT_KEPT = (*video_body.PICTURE_FIELDS, "webhook_url")  # kept beside the body of a job, or not at all
_DURATION = re.compile(r"\d{1,4}", re.ASCII)
USUAL_DURATION = "3"
PICTURE_S, KEEPING_S = 15.0, 6.0  # of the 29 seconds that API Gateway gives an answer

container = wiring.container()
gateway = container.gateway(Registry())
jobs = DynamoJobs(container.table)
queue = wiring.queue("AIG_JOB_QUEUE")
inputs = Inputs(GuardedFetcher(gateway.resolver), container.files)
authenticated = Authenticator(container.keys, container.secrets, container.clock)
authenticate = authenticated("inference")
idempotent = Idempotent(container.idempotency, container.clock)
allow_loopback = wiring.allow_loopback()
app = create_app(
    "AIgateway generations",
    container.ids,
    container.telemetry,
    CLIENT.close,
    queue.close,
    container.close,
    route_class=DirectRoute,
)
handler = Mangum(app, lifespan="off")


@app.post("/v1/videos/generations", **VIDEOS)
async def create_video(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    checked = video_body.checked(sent)
    return await _taken_on(request, caller, "video", sent, checked, video_body.picture(checked))


@app.post("/v1/audio/music", **MUSIC)
async def create_music(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    return await _taken_on(request, caller, "music", sent, music_body.checked(sent), None)


@app.post("/v1/3d/generations", **THREE_D)
async def create_three_d(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    checked = three_d_body.checked(sent)
    return await _taken_on(request, caller, "three_d", sent, checked, three_d_body.picture(checked))


async def _taken_on(
    request: Request, caller: Caller, kind: JobKind, sent: dict[str, Any], checked: Any, given: Given | None
) -> Response:
    """202 with the job: the same one for the same Idempotency-Key."""
    options = call_options(request, caller, OPERATIONS[kind], sent)
    here = base_url(request, container.stage)
    kept = {name: value for name, value in sent.items() if name not in _NOT_KEPT}
    recording = options.recording
    assert recording is not None
    retain = recording.request is not None
    options = replace(options, recording=replace(recording, request=kept if retain else None))
    asked = Asked(
        job_id="",
        kind=kind,
        body=kept,
        request=request_of(kind, checked),
        media_url=container.media_url or here,
        webhook_url=_webhook_url(checked, here),
        sandbox_seconds=_sandbox_seconds(request.headers),
        retain=retain,
    )
    rates: list[Rate | None] = []

    async def work(job_id: str) -> Mapping[str, Any]:
        job = await jobs.get(caller.account_id, job_id)
        if job is None:
            picture = await _picture(caller, kind, checked, given)
            whole = replace(asked, job_id=job_id, request=request_of(kind, checked, picture))
            candidates = await generation.able(gateway, caller, whole, options)
            await _keep(caller, job_id, picture)
            job, rate = await generation.take_on(gateway, jobs, caller, whole, options, candidates)
            rates.append(rate)
        await _queue(job)
        return job_json(job, links_of(job, link_key), container.clock.now())

    link_key = (await container.link_keys())[0]

    response = await idempotent.once(request, caller.account_id, kind, sent, container.ids.new("job"), work, status=202)
    for rate in rates:
        response.headers.update(rate_headers(rate) if rate else {})
    return response


async def _picture(caller: Caller, kind: JobKind, checked: Any, given: Given | None) -> Picture | None:
    """For who can pay for anything at all: it is going to be kept. Raises AIGError."""
    if given is None:
        return None
    await pipeline.admit(gateway, caller, checked, frozenset({kind, "from_picture"}), [given], kept=True)
    try:
        async with asyncio.timeout(PICTURE_S):
            return await inputs.picture(given, caller)
    except TimeoutError:
        raise _late() from None


async def _keep(caller: Caller, job_id: str, picture: Picture | None) -> None:
    """Where the worker finds it. Raises AIGError, StoreBusy."""
    if picture is None:
        return
    try:
        async with asyncio.timeout(KEEPING_S):
            await container.files.keep_upload(caller.account_id, job_id, picture.data)
    except TimeoutError:
        raise _late() from None


def _late() -> Overloaded:
    return Overloaded("The picture could not be taken in in time. Send the request again.", retry_after=1)


async def _queue(job: Job) -> None:
    """A job that is not brought to the worker now, the sweeper brings to it within minutes: it is taken on already."""
    try:
        await queue.send({"tenant": job.order.account_id, "job_id": job.id})
    except Exception as error:
        container.telemetry.alarm("JobNotQueued", request_id=job.order.request_id, error=type(error).__name__)


def _webhook_url(checked: Any, here: str) -> str | None:
    url = checked.get("webhook_url")
    return checked_url(url, urlsplit(here).netloc, allow_loopback=allow_loopback) if url else None


def _sandbox_seconds(headers: Mapping[str, str]) -> int:
    sent = headers.get("x-sandbox-duration", USUAL_DURATION)
    if not _DURATION.fullmatch(sent) or int(sent) > 3600:
        raise InvalidRequest(
            "x-sandbox-duration is how many seconds a job of the sandbox takes, from 0 to 3600.",
            param="x-sandbox-duration",
        )
    return int(sent)
