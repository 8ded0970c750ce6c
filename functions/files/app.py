"""POST /v1/uploads, and the signed links at /media."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request
from mangum import Mangum
from pydantic import Field, TypeAdapter, with_config
from starlette.responses import RedirectResponse, Response
from typing_extensions import TypedDict

from aig import links, wiring
from aig.aws.files import UPLOAD_S, result_path
from aig.errors import Forbidden, NotFound, Overloaded
from aig.http.app import create_app
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.json_answer import JsonAnswer
from aig.keys import Caller
from aig.modalities.media.limits import MAX_AUDIO_BYTES
from aig.modalities.steering import STRICT, check
from aig.ports import StoreBusy
from functions.files.reference import MEDIA, RESULT, UPLOADS

container = wiring.container()
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway files", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")


@with_config(STRICT)
class UploadBody(TypedDict):
    """Body of POST /v1/uploads: how many bytes are going to be sent."""

    bytes: Annotated[int, Field(ge=1, le=MAX_AUDIO_BYTES)]


_UPLOAD: TypeAdapter[UploadBody] = TypeAdapter(UploadBody)


@app.post("/v1/uploads", **UPLOADS)
async def create_upload(request: Request, caller: Annotated[Caller, Depends(authenticated("inference"))]) -> Response:
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


@app.head("/media/{account}/{name}", include_in_schema=False)
@app.get("/media/{account}/{name}", **MEDIA)
async def open_link(request: Request, account: str, name: str) -> Response:
    """No key: whoever has the link may follow it until its time."""
    return await _opened(request, f"{account}/{name}")


@app.head("/media/{account}/{job}/{name}", include_in_schema=False)
@app.get("/media/{account}/{job}/{name}", **RESULT)
async def open_result_link(request: Request, account: str, job: str, name: str) -> Response:
    """The same for a file of a job's."""
    return await _opened(request, result_path(account, job, name))


async def _opened(request: Request, path: str) -> Response:
    signed = {part: _only(request.query_params.getlist(part)) for part in ("exp", "kid", "sig")}
    if not links.opens(path, **signed, keys=await container.link_keys(), now=container.clock.now()):
        raise Forbidden("The link is not valid, or its time is over. Ask for the file again.", code="link_not_valid")
    try:
        size = await container.files.there(path)
    except StoreBusy:
        raise Overloaded("The file cannot be looked up now. Try again.", retry_after=1) from None
    if size is None:
        raise NotFound("The file is no longer there: files are kept for seven days. Make it again.", code="expired")
    headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
    return RedirectResponse(container.files.download_link(path, request.method), 302, headers)


def _only(values: Sequence[str]) -> str:
    """What is said once; of two, nobody knows which is meant."""
    return values[0] if len(values) == 1 else ""
