"""POST /v1/uploads, the files of jobs at /v1/files, and the signed links at /media."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request
from mangum import Mangum
from pydantic import Field, TypeAdapter, with_config
from starlette.responses import RedirectResponse, Response
from typing_extensions import TypedDict

from aig import links, wiring
from aig.aws.files import UPLOAD_S
from aig.aws.jobs import DynamoJobs
from aig.errors import Forbidden, InvalidRequest, NotFound, Overloaded
from aig.http import pages
from aig.http.app import create_app
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.json_answer import JsonAnswer
from aig.ids import has_form
from aig.jobs.job import Job
from aig.jobs.view import expires_at, link_to
from aig.keys import Caller
from aig.modalities.media.limits import MAX_AUDIO_BYTES
from aig.modalities.steering import STRICT, check
from aig.ports import StoreBusy
from functions.files.reference import FILE, MEDIA, RESULT, SIGNED, UPLOADS

container = wiring.container()
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway files", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")
jobs = DynamoJobs(container.table)

Asker = Annotated[Caller, Depends(authenticated("inference"))]
USUAL_LINK_S = 3600
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_HEADERS = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
_GONE = "The file is no longer there: files are kept for seven days. Make it again."


@with_config(STRICT)
class UploadBody(TypedDict):
    """Body of POST /v1/uploads: how many bytes are going to be sent."""

    bytes: Annotated[int, Field(ge=1, le=MAX_AUDIO_BYTES)]


_UPLOAD: TypeAdapter[UploadBody] = TypeAdapter(UploadBody)


@app.post("/v1/uploads", **UPLOADS)
async def create_upload(request: Request, caller: Asker) -> Response:
    """The file itself goes to the URL, past this API and its limit of 6 MB."""
    size = check(_UPLOAD, await read_json(request))["bytes"]
    upload_id, now = container.ids.new("upload"), int(container.clock.now())
    answer: dict[str, Any] = {
        "id": upload_id,
        "object": "upload",
        "bytes": size,
        "created_at": now,
        "expires_at": now + UPLOAD_S,
        "method": "PUT",
        "url": container.files.upload_link(caller.account_id, upload_id, size),
    }
    return JsonAnswer(answer)


@app.head("/v1/files/jobs/{job_id}/{name}", include_in_schema=False)
@app.get("/v1/files/jobs/{job_id}/{name}", **FILE)
async def retrieve_file(request: Request, job_id: str, name: str, caller: Asker) -> Response:
    """The key opens it; S3 sends it, past this API and its limits."""
    job = await _with_file(caller, job_id, name)
    path = links.result_path(job.order.account_id, job.id, name)
    return RedirectResponse(container.files.download_link(path, request.method), 302, _HEADERS)


@app.get("/v1/files/jobs/{job_id}/{name}/signed", **SIGNED)
async def sign_file(request: Request, job_id: str, name: str, caller: Asker) -> Response:
    """A link that needs no key; it ends with the file, if that goes before."""
    pages.check_known(request, ("expires_in",))
    job = await _with_file(caller, job_id, name)
    asked = request.query_params.get("expires_in", str(USUAL_LINK_S))
    if not _SECONDS.fullmatch(asked) or not 1 <= int(asked) <= links.LONGEST_S:
        raise InvalidRequest(
            f"expires_in is a whole number of seconds from 1 to {links.LONGEST_S}.", param="expires_in"
        )
    until = min(int(container.clock.now()) + int(asked), expires_at(job))
    key = (await container.link_keys())[0]
    return JsonAnswer({"url": link_to(job, name, until, key), "expires_at": until})


async def _with_file(caller: Caller, job_id: str, name: str) -> Job:
    """The caller's job, of which there is such a file. Raises NotFound."""
    job = await jobs.get(caller.account_id, job_id) if has_form(job_id, "job") else None
    if job is None or job.status != "completed" or name not in {file.name for file in job.files}:
        raise NotFound("There is no such file. GET /v1/jobs/{id} names those of a job that is completed.")
    there = await container.files.there(links.result_path(job.order.account_id, job.id, name))
    if there is None or container.clock.now() >= expires_at(job):
        raise NotFound(_GONE, code="expired")
    return job


@app.head("/media/{account}/{name}", include_in_schema=False)
@app.get("/media/{account}/{name}", **MEDIA)
async def open_link(request: Request, account: str, name: str) -> Response:
    """No key: whoever has the link may follow it until its time."""
    return await _opened(request, f"{account}/{name}")


@app.head("/media/{account}/{job}/{name}", include_in_schema=False)
@app.get("/media/{account}/{job}/{name}", **RESULT)
async def open_result_link(request: Request, account: str, job: str, name: str) -> Response:
    """The same for a file of a job's."""
    return await _opened(request, links.result_path(account, job, name))


async def _opened(request: Request, path: str) -> Response:
    signed = {part: _only(request.query_params.getlist(part)) for part in ("exp", "kid", "sig")}
    if not links.opens(path, **signed, keys=await container.link_keys(), now=container.clock.now()):
        raise Forbidden("The link is not valid, or its time is over. Ask for the file again.", code="link_not_valid")
    try:
        size = await container.files.there(path)
    except StoreBusy:
        raise Overloaded("The file cannot be looked up now. Try again.", retry_after=1) from None
    if size is None:
        raise NotFound(_GONE, code="expired")
    return RedirectResponse(container.files.download_link(path, request.method), 302, _HEADERS)


def _only(values: Sequence[str]) -> str:
    """What is said once; of two, nobody knows which is meant."""
    return values[0] if len(values) == 1 else ""
