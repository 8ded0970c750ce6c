"""MiniMax's music: songs with lyrics, or without a voice, which are answered at once.

An answer is a 200 whatever became of it: its `base_resp` says so by a number, of which the vendor publishes a list.
"""

from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Finished, Handle, Inline, Linked, State
from aig.modalities.media import audio
from aig.modalities.music import MusicRequest
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.job_results import AtOnce, linked
from aig_providers.minimax_calls import told_failure
from aig_providers.shapes import string, unsupported
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

# The first models sing lyrics that they are given, and do nothing else.
SINGERS_ONLY = frozenset({"music-1.5", "music-2.0"})
SHORTEST_LYRICS = 10


def read_detail(_: Any) -> Detail:
    """Of an answer with another status than 200, which says no more than its status."""
    return Detail(code="invalid_request_error")


def check_music(model_id: str, request: MusicRequest) -> None:
    """Raises UpstreamError of kind rejected for what the API or the model cannot do: how long it is, lyrics decide."""
    singer = model_id in SINGERS_ONLY
    refusals = {
        "duration": request.seconds is not None,
        "seed": request.seed is not None,
        "instrumental": request.instrumental and (singer or bool(request.lyrics)),
    }
    for name, refused in refusals.items():
        if refused:
            raise unsupported(name)
    if singer and len(request.lyrics or "") < SHORTEST_LYRICS:
        raise UpstreamError(
            "rejected",
            code="missing_required_parameter",
            param="lyrics",
            message=f"This model sings lyrics of {SHORTEST_LYRICS} characters or more. Send lyrics.",
        )


def build_music(upstream: Upstream, request: MusicRequest) -> HttpRequest:
    """Minutes of WAV come as a link: in hexadecimal digits they would be too large for an answer."""
    form = request.form or "mp3"
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "prompt": request.prompt,
        "audio_setting": {"sample_rate": 44100, "bitrate": 256000, "format": form},
        "output_format": "url" if form == "wav" else "hex",
    }
    if request.lyrics:
        body["lyrics"] = request.lyrics
    elif request.instrumental:
        body["is_instrumental"] = True
    else:
        body["lyrics_optimizer"] = True  # it writes lyrics of its own
    return post_json(upstream, "v1/music_generation", body)


def parse_music(payload: bytes) -> Finished:
    """Raises UpstreamError."""
    body = parse_object(payload)
    if error := told_failure(body):
        raise error
    try:
        file = _file(string(body["data"]["audio"]))
    except (KeyError, TypeError, ValueError):
        raise UpstreamError("malformed") from None
    return Finished([file], Usage({"tracks": 1}))


def _file(told: str) -> Inline | Linked:
    if told.startswith("https:"):
        return linked(told)
    data = bytes.fromhex(told)
    if audio.kind(data) is None:
        raise ValueError("no music")
    return Inline(data)


class MiniMaxMusic(AtOnce):
    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: MusicRequest) -> None:
        check_music(upstream.model_id, request)

    async def submit(self, upstream: Upstream, request: MusicRequest, reference: str, stage: Handle | None) -> State:
        check_music(upstream.model_id, request)
        return parse_music(await wire.exchange(self._post, build_music(upstream, request), upstream, read_detail))
