"""Speech on the wire: parse and check a request, cut the text into what is spoken in one breath, send the sound on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from local.models import fields
from local.models.errors import BadRequestError
from local.models.hangup import StreamedAnswer, unless_gone
from local.models.slot import Emit
from local.models.slots import Slots

PATHS = ("/v1/audio/speech",)

MAX_CHARS = 4096
"""OpenAI's limit."""

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""The formats and what an answer calls them; opus is in Ogg, and pcm is 16-bit little-endian mono at 24 kHz."""

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")
_BREATH_CHARS = 300


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A checked request. `speed` 2 is twice as fast."""

    model: str
    text: str
    voice: str
    response_format: str
    speed: float


class SpeechEngine(Protocol):
    """A loaded voice."""

    def speak(self, request: SpeechRequest) -> Iterator[bytes]:
        """The sound in the format asked for, sentence by sentence, together one file.

        Raises `BadRequestError` for a voice that it does not have.
        """
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """The sound, sent as it is made. The HTTP status is decided when the first sentence has been spoken."""
    wanted = parse(await fields.json_object(request))

    def work(engine: SpeechEngine, emit: Emit[bytes]) -> None:
        for sound in engine.speak(wanted):
            if emit(sound):
                return

    pieces = slots.find("speak", wanted.model).run(work)
    first = await unless_gone(request, anext(pieces))
    return StreamedAnswer(first, pieces, MEDIA_TYPES[wanted.response_format])


def parse(body: Mapping[str, Any]) -> SpeechRequest:
    """Check a decoded JSON body. Raises `BadRequestError` naming the field."""
    speed = fields.number(body, "speed", 0.25, 4)
    if body.get("stream_format") not in (None, "audio"):
        raise BadRequestError("`stream_format` must be audio: the sound itself is streamed.", param="stream_format")
    return SpeechRequest(
        model=fields.model(body),
        text=_input(body),
        voice=fields.text(body.get("voice", "joe"), "voice"),
        response_format=_response_format(body),
        speed=1.0 if speed is None else float(speed),
    )


def _input(body: Mapping[str, Any]) -> str:
    if body.get("input") is None:
        raise BadRequestError("`input` is required.", param="input", code="missing_required_parameter")
    text = fields.text(body["input"], "input")
    if len(text) > MAX_CHARS:
        raise BadRequestError(
            f"`input` has {len(text)} characters; at most {MAX_CHARS} are spoken at once. Send it in parts.",
            param="input",
            code="string_above_max_length",
        )
    if not any(char.isalnum() for char in text):
        raise BadRequestError("`input` has no word in it that could be spoken.", param="input")
    return text


def _response_format(body: Mapping[str, Any]) -> str:
    name = "response_format"
    wanted = "mp3" if body.get(name) is None else body[name]
    if not isinstance(wanted, str) or wanted not in MEDIA_TYPES:
        raise BadRequestError(f"`{name}` must be one of {', '.join(MEDIA_TYPES)}.", param=name)
    return wanted


def breaths(text: str) -> Iterator[str]:
    """Sentence by sentence; a longer one than 300 characters is cut at a comma, a space or, without any, anywhere.

    A voice's memory grows with the square of what it speaks at once: 4096 characters take 800 MB.
    """
    for sentence in _SENTENCE_END.split(text):
        rest = sentence.strip()
        while len(rest) > _BREATH_CHARS:
            cut = _cut(rest[:_BREATH_CHARS])
            yield rest[:cut].strip()
            rest = rest[cut:].strip()
        if rest:
            yield rest


def _cut(start: str) -> int:
    """Where to end a breath: never before its middle, so that the pieces do not become too small."""
    for mark in (", ", " "):
        if (found := start.rfind(mark)) >= _BREATH_CHARS // 2:
            return found + len(mark)
    return len(start)
