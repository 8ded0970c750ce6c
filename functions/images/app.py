"""POST /v1/images/generations and /v1/images/edits."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aig import links, pipeline, wiring
from aig.call import Receipt
from aig.errors import InvalidRequest
from aig.http.app import DirectRoute, create_app
from aig.http.auth import Authenticator
from aig.http.base_url import base_url
from aig.http.body import read_json
from aig.http.form import Form, FormShape, is_form, read_form
from aig.http.headers import call_options, receipt_headers
from aig.http.json_answer import JsonAnswer
from aig.inputs import Inputs
from aig.keys import Caller
from aig.modalities import image_body
from aig.modalities.image import ImageRequest
from aig.ports import StoreBusy
from aig.records import Operation
from aig_providers.fetch import GuardedFetcher
from aig_providers.registry import Registry
from aig_providers.wire import CLIENT
from functions.images.reference import EDITS, GENERATIONS

LINK_S = 24 * 3600
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}

container = wiring.container()
gateway = container.gateway(Registry())
inputs = Inputs(GuardedFetcher(gateway.resolver), container.files)
authenticated = Authenticator(container.keys, container.secrets, container.clock)
authenticate = authenticated("inference")
app = create_app(
    "AIgateway images", container.ids, container.telemetry, CLIENT.close, container.close, route_class=DirectRoute
)

_FORM = FormShape(
    {"image": image_body.MAX_PICTURES, "mask": 1},
    numbers={"n", "seed", "steps", "guidance", "output_compression"},
    flags={"stream"},
    lists={"models", "image_url", "upload_id"},
)


@app.post("/v1/images/generations", **GENERATIONS)
async def create_image(request: Request) -> Response:
    caller = await authenticate(request)
    sent = await read_json(request)
    checked = image_body.checked(sent)
    return await _made(request, caller, "images.generations", sent, image_body.request(checked))


@app.post("/v1/images/edits", **EDITS)
async def create_image_edit(request: Request) -> Response:
    caller = await authenticate(request)
    form = await read_form(request, _FORM) if is_form(request) else Form(await read_json(request), {})
    checked = image_body.checked_edit(form.fields)
    given = [*form.given("image"), *image_body.pictures(checked)]
    masks = [*form.given("mask"), *image_body.masks(checked)]
    if not 1 <= len(given) <= image_body.MAX_PICTURES or len(masks) > 1:
        raise InvalidRequest(
            f"Send 1 to {image_body.MAX_PICTURES} pictures as image, image_url or upload_id, and one mask at most.",
            code="invalid_value" if given else "missing_required_parameter",
            param="image",
        )
    await pipeline.admit(gateway, caller, checked, frozenset({"image", "edit"}), [*given, *masks])
    loaded = await inputs.pictures([*given, *masks], caller)
    body = image_body.request(checked, loaded[: len(given)], loaded[-1] if masks else None)
    return await _made(request, caller, "images.edits", form.fields, body)


async def _made(
    request: Request, caller: Caller, operation: Operation, sent: dict[str, Any], body: ImageRequest
) -> Response:
    options = call_options(request, caller, operation, sent)
    answer = await pipeline.operate(gateway, caller, body, options, lambda to, at: to.image.image(at, body))
    inline = _is_inline(sent.get("response_format"), answer.receipt)
    made = answer.body["data"]
    data = [_inline(one) for one in made] if inline else await _linked(request, caller, made)
    body_ = {"created": int(container.clock.now()), **answer.body, "data": data}
    return JsonAnswer(body_, receipt_headers(answer.receipt))


def _is_inline(asked: str | None, receipt: Receipt) -> bool:
    """As it was asked for; else as the clients of the model expect it: some of them know no links."""
    if asked is not None:
        return asked == "b64_json"
    offers = gateway.catalog.models[receipt.model].offers
    return any(
        offer.provider.name == receipt.provider and "no_response_format" in offer.quirks | offer.provider.quirks
        for offer in offers
    )


def _inline(picture: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in picture.items() if name != "media_type"}


async def _linked(request: Request, caller: Caller, pictures: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """With a link of a day in place of the bytes."""
    key = (await container.link_keys())[0]
    expires_at = int(container.clock.now()) + LINK_S
    base = f"{container.media_url or base_url(request, container.stage)}/media/"

    def link(path: str) -> str:
        return f"{base}{path}?{links.signed_query(path, expires_at, key)}"

    return await asyncio.gather(*(_kept(caller, picture, link) for picture in pictures))


async def _kept(caller: Caller, picture: dict[str, Any], link: Callable[[str], str]) -> dict[str, Any]:
    """With the bytes where no file can be kept, for they are paid for."""
    name = f"{container.ids.new('file')}.{_ENDINGS.get(picture['media_type'], 'bin')}"
    try:
        path = await container.files.keep(caller.account_id, name, base64.b64decode(picture["b64_json"]))
    except StoreBusy:
        container.telemetry.alarm("FileNotKept", file=name)
        return _inline(picture)
    revised = {"revised_prompt": picture["revised_prompt"]} if "revised_prompt" in picture else {}
    return {"url": link(path), **revised}
