"""Speech at Workers AI: Deepgram's Aura as it comes, and MeloTTS whole."""

import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.speak import SpeakChunk, SpeakRequest
from aig.modalities.upstream import Upstream
from aig_providers import wire
from aig_providers.cloudflare.run import ask, opened_table, read_detail, run_json
from aig_providers.deepgram_results import ENCODINGS
from aig_providers.shapes import string, unsupported
from aig_providers.wire import HttpRequest, Post

_MELO = "@cf/myshell-ai/melotts"
# Its voices are its languages: https://github.com/myshell-ai/MeloTTS
_MELO_VOICES: Mapping[str | None, str] = {
    None: "en",
    **{name: name for name in ("en", "es", "fr", "zh", "jp", "kr")},
    "ja": "jp",
    "ko": "kr",
}


def build_request(upstream: Upstream, request: SpeakRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the model does not take. Names of speakers are passed on."""
    if request.instructions:
        raise unsupported("instructions")
    if request.speed not in (None, 1.0):
        raise unsupported("speed")
    return run_json(upstream, _melo(request) if upstream.model_id == _MELO else _aura(request))


def _aura(request: SpeakRequest) -> dict[str, Any]:
    speaker = {"speaker": request.voice} if request.voice else {}
    return {"text": request.text, **speaker, **ENCODINGS[request.form]}


def _melo(request: SpeakRequest) -> dict[str, Any]:
    if request.form not in ("mp3", "wav"):
        raise unsupported("response_format")
    if request.voice not in _MELO_VOICES:
        raise unsupported("voice")
    return {"prompt": request.text, "lang": _MELO_VOICES[request.voice]}


def parse_melo(payload: bytes, request: SpeakRequest) -> bytes:
    """The audio of either form of an answer. Raises UpstreamError.

    Its page says that it makes MP3, and what it has been seen to send is WAV: which of the two it is only the answer
    tells, and one that is not what was asked for is refused as what the model does not have.
    """
    try:
        told = payload[:1] == b"{"
        audio = base64.b64decode(string(opened_table(payload).get("audio")), validate=True) if told else payload
    except (ValueError, TypeError):
        raise UpstreamError("malformed") from None
    if audio[:4] == b"RIFF" and audio[8:12] == b"WAVE":
        form = "wav"
    elif audio[:3] == b"ID3" or (audio[:1] == b"\xff" and audio[1:2] >= b"\xe0"):
        form = "mp3"
    else:
        raise UpstreamError("malformed")
    if form != request.form:
        raise unsupported("response_format")
    return audio


class CloudflareSpeak:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def speak(self, upstream: Upstream, request: SpeakRequest) -> AsyncGenerator[SpeakChunk, None]:
        http = build_request(upstream, request)
        if upstream.model_id == _MELO:
            yield SpeakChunk(parse_melo(await ask(self._post, http, upstream), request))
            return
        begun = False
        async with aclosing(wire.pieces(self._post, http, upstream, read_detail)) as pieces:
            async for piece in pieces:
                if not begun and piece[:2] == b'{"':  # an envelope in place of audio, which begins so in no format
                    raise UpstreamError("malformed")
                begun = True
                yield SpeakChunk(piece)
