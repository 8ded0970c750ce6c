"""Files that requests give, brought in and looked at: what a model gets is of a type and a size that are known."""

from collections.abc import Sequence
from dataclasses import dataclass

from aig.errors import InvalidRequest, RequestTooLarge
from aig.keys import Caller
from aig.modalities.files import Document, Picture, Sound
from aig.modalities.given import Given
from aig.modalities.media import check, limits, pdf
from aig.modalities.media.inline import from_base64, from_data_url
from aig.ports import Fetch, Uploads

MAX_FETCHED = 4  # pictures of one request by URL, each of which may take a quarter of a minute


@dataclass(frozen=True, slots=True)
class Inputs:
    """Raises InvalidRequest for what cannot be had or is not what it should be, RequestTooLarge for too much of it."""

    fetch: Fetch
    uploads: Uploads

    async def picture(self, given: Given, caller: Caller) -> Picture:
        return _picture(await self._bytes(given, caller, limits.MAX_IMAGE_BYTES), given.param)

    async def pictures(self, given: Sequence[Given], caller: Caller) -> list[Picture]:
        """In their order. In all they may be as large as one."""
        by_url = [one for one in given if one.kind == "url" and one.elsewhere]
        if len(by_url) > MAX_FETCHED:
            raise InvalidRequest(
                f"A request takes at most {MAX_FETCHED} pictures by URL. Send the others inline.",
                param=by_url[-1].param,
            )
        found: list[Picture] = []
        room = limits.MAX_IMAGE_BYTES
        for one in given:  # one after the other: what is there at once is never more than there may be in all
            found.append(await self.picture(one, caller))
            room -= len(found[-1].data)
            if room < 0:
                raise RequestTooLarge(
                    f"In all the pictures are larger than {limits.MAX_IMAGE_BYTES >> 20} MB. Send less.",
                    param=one.param,
                )
        return found

    async def picture_or_document(self, given: Given, caller: Caller) -> Picture | Document:
        data = await self._bytes(given, caller, max(limits.MAX_IMAGE_BYTES, limits.MAX_DOCUMENT_BYTES))
        if not pdf.is_pdf(data):
            return _picture(data, given.param)
        found = check.document(data, given.param)
        return Document(data, found.media_type, limits.MAX_PAGES if found.pages is None else found.pages)

    async def sound(self, given: Given, caller: Caller) -> Sound:
        data = await self._bytes(given, caller, limits.MAX_AUDIO_BYTES)
        clip = check.audio(data, given.param)
        seconds = limits.longest_by_bytes(len(data)) if clip.seconds is None else clip.seconds
        return Sound(data, clip.media_type, seconds)

    async def _bytes(self, given: Given, caller: Caller, limit: int) -> bytes:
        value = given.value
        if isinstance(value, bytes):
            return value
        if given.kind == "base64":
            return from_base64(value, given.param, limit)
        if not given.elsewhere:
            return from_data_url(value, given.param, limit)
        if given.kind == "url":
            return (await self.fetch.fetch(value, given.param, limit)).data
        uploaded = await self.uploads.upload(caller.account_id, value)
        if uploaded is None:
            raise InvalidRequest(
                "There is no such upload: nothing was PUT to its URL, or a day has passed. POST /v1/uploads again.",
                code="upload_not_found",
                param=given.param,
            )
        return uploaded


def _picture(data: bytes, param: str) -> Picture:
    header = check.image(data, param)
    return Picture(data, header.media_type, header.width, header.height)
