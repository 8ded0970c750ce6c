"""POST /v1/uploads, and the signed links at /media."""

from typing import Annotated, Any

from fastapi import Depends, Request
from mangum import Mangum
from pydantic import Field, TypeAdapter, with_config
from starlette.responses import RedirectResponse, Response
from typing_extensions import TypedDict

from aig import links, wiring
from aig.aws.files import UPLOAD_S
from aig.errors import Forbidden
from aig.http.app import create_app
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.json_answer import JsonAnswer
from aig.keys import Caller
from aig.modalities.media.limits import MAX_AUDIO_BYTES
from aig.modalities.steering import STRICT, check
from functions.files.reference import MEDIA, UPLOADS

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
    path, query = f"{account}/{name}", request.query_params
    signed = {part: query.get(part, "") for part in ("exp", "kid", "sig")}
    if not links.opens(path, **signed, key=await container.link_key(), now=container.clock.now()):
        raise Forbidden("The link is not valid, or its time is over. Ask for the file again.", code="link_not_valid")
    return RedirectResponse(container.files.download_link(path, request.method), 302, {"cache-control": "no-store"})
