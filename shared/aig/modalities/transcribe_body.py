"""The fields of a request for a transcription: OpenAI's, which come as a form or, with a URL or an upload, as JSON."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, with_config

from aig.errors import InvalidRequest
from aig.modalities.files import Sound
from aig.modalities.given import UploadId
from aig.modalities.steering import STRICT, Steered, check, named_models, schema
from aig.modalities.transcribe import Granularity, TranscribeRequest
from aig.modalities.translate_body import Language

_Text = Annotated[str, StringConstraints(min_length=1)]


@with_config(STRICT)
class TranscribeBody(Steered):
    """Body of POST /v1/audio/transcriptions beside the file. `url` or `upload_id` may stand in the file's place."""

    url: NotRequired[_Text | None]
    upload_id: NotRequired[UploadId | None]
    language: NotRequired[Language | None]
    prompt: NotRequired[Annotated[str, StringConstraints(max_length=8_192)] | None]
    response_format: NotRequired[Literal["json", "text", "srt", "vtt", "verbose_json"] | None]
    temperature: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]
    # What OpenAI's clients may send, at the value that changes nothing.
    stream: NotRequired[Literal[False] | None]
    chunking_strategy: NotRequired[Literal["auto"] | None]
    timestamp_granularities: NotRequired[Annotated[list[Granularity], Field(min_length=1, max_length=2)] | None]


_ADAPTER: TypeAdapter[TranscribeBody] = TypeAdapter(TranscribeBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def checked(body: dict[str, Any]) -> TranscribeBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    found = check(_ADAPTER, body)
    if found.get("timestamp_granularities") and found.get("response_format") != "verbose_json":
        raise InvalidRequest(
            "timestamp_granularities needs response_format: verbose_json.", param="timestamp_granularities"
        )
    return found


def request(body: TranscribeBody, sound: Sound, *, into_english: bool = False) -> TranscribeRequest:
    """The times that the answer's form needs are asked for, whether or not the client names them."""
    form = body.get("response_format") or "json"
    granularities = set(body.get("timestamp_granularities") or ())
    if form in ("srt", "vtt") or (form == "verbose_json" and not granularities):
        granularities.add("segment")
    temperature = body.get("temperature")
    return TranscribeRequest(
        models=named_models(body),
        sound=sound,
        language=(body.get("language") or "").partition("-")[0] or None,  # nobody tells regions apart by ear
        prompt=body.get("prompt") or None,
        temperature=None if temperature is None else float(temperature),
        granularities=frozenset(granularities),
        into_english=into_english,
        preferences=body.get("provider") or {},
    )
