"""Music by ElevenLabs, MiniMax and Stability: what is asked for, what is refused unasked, and what an answer says."""

import base64
import json
from collections.abc import Callable, Mapping
from email.parser import BytesParser
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.job import Finished, Inline, Linked
from aig.modalities.music import MusicRequest
from aig.modalities.usage import Usage
from aig_providers import elevenlabs, minimax, sandbox_audio, stability
from aig_providers.minimax_music import build_music, parse_music
from aig_providers.wire import HttpRequest
from tests.unit.providers.replies import upstream

MP3 = b"".join(sandbox_audio.mp3(sandbox_audio.Tune((0, None, 4, 7), 4_000, "c")))  # two seconds
WAV = b"".join(sandbox_audio.wav(sandbox_audio.Tune((0, 4), 4_000, "c")))
ODD = [b"", b"<html>", b"[]", b"null", b"{}", b'{"audio": 5}', b'{"data": []}', b'{"base_resp": {"status_code": "0"}}']


def request(**fields: Any) -> MusicRequest:
    return MusicRequest((), "a slow waltz", **fields)


def body(http: HttpRequest) -> Any:
    return json.loads(http.body)


def fields(http: HttpRequest) -> dict[str, Any]:
    head = f"Content-Type: {http.headers['Content-Type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + http.body).get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload() for part in parts}


def refusal(adapter: Any, model: str, asked: MusicRequest) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        adapter.ADAPTER.music.check(upstream(model), asked)
    assert raised.value.unasked
    return raised.value


class TestElevenLabs:
    def test_what_is_sent(self) -> None:
        at = upstream("music_v1", base_url="https://acme.example/v1", api_key="k")
        http = elevenlabs.build_music(at, request(seconds=30, instrumental=True))
        assert http.url == "https://acme.example/v1/music?output_format=mp3_44100_128"
        assert http.headers["xi-api-key"] == "k"
        assert "Authorization" not in http.headers
        assert body(http) == {
            "prompt": "a slow waltz", "model_id": "music_v1", "music_length_ms": 30_000, "force_instrumental": True,
        }  # fmt: skip
        assert body(elevenlabs.build_music(at, request())) == {"prompt": "a slow waltz", "model_id": "music_v1"}

    @pytest.mark.parametrize(
        ("asked", "param"),
        [
            ({"lyrics": "la la"}, "lyrics"),
            ({"seed": 0}, "seed"),
            ({"form": "wav"}, "response_format"),
            ({"seconds": 9}, "duration"),
            ({"seconds": 301}, "duration"),
        ],
    )
    def test_what_it_cannot_do(self, asked: Mapping[str, Any], param: str) -> None:
        error = refusal(elevenlabs, "music_v1", request(**asked))
        assert error.param == param
        assert param != "duration" or "10 to 300 seconds" in str(error.message)

    def test_what_it_can_do(self) -> None:
        for asked in (request(), request(seconds=10), request(seconds=300, form="mp3", instrumental=True)):
            elevenlabs.ADAPTER.music.check(upstream("music_v1"), asked)

    def test_seconds_are_those_asked_for_or_those_there_are(self) -> None:
        assert elevenlabs.parse_music(MP3, request(seconds=30)) == Finished(
            [Inline(MP3)], Usage({"seconds": 30}, estimated=True)
        )
        assert elevenlabs.parse_music(MP3, request()).usage == Usage({"seconds": 3}, estimated=True)  # a started one

    @pytest.mark.parametrize("payload", [*ODD, WAV, b"ID3"])
    def test_what_is_no_mp3(self, payload: bytes) -> None:
        with pytest.raises(UpstreamError) as raised:
            elevenlabs.parse_music(payload, request())
        assert raised.value.kind == "malformed"

    def test_a_prompt_that_names_what_is_protected(self) -> None:
        detail = elevenlabs.read_detail({"detail": {"status": "bad_prompt", "message": "no artists"}})
        assert (detail.kind, detail.code) == (None, "content_policy_violation")


class TestMiniMax:
    def test_a_song(self) -> None:
        at = upstream("music-2.0", base_url="https://acme.example", api_key="k")
        http = build_music(at, request(lyrics="[Verse]\nla la la"))
        assert (http.url, http.headers["Authorization"]) == ("https://acme.example/v1/music_generation", "Bearer k")
        assert body(http) == {
            "model": "music-2.0", "prompt": "a slow waltz", "lyrics": "[Verse]\nla la la", "output_format": "hex",
            "audio_setting": {"sample_rate": 44100, "bitrate": 256000, "format": "mp3"},
        }  # fmt: skip

    def test_a_voice_that_is_not_there_and_one_that_makes_its_own_words(self) -> None:
        silent, own = (body(build_music(upstream("music-2.6"), request(instrumental=one))) for one in (True, False))
        assert (silent["is_instrumental"], "lyrics_optimizer" in silent) == (True, False)
        assert (own["lyrics_optimizer"], "is_instrumental" in own) == (True, False)

    def test_wav_comes_as_a_link(self) -> None:
        sent = body(build_music(upstream("music-2.6"), request(form="wav")))
        assert (sent["output_format"], sent["audio_setting"]["format"]) == ("url", "wav")

    @pytest.mark.parametrize(
        ("model", "asked", "param"),
        [
            ("music-2.6", {"seconds": 30}, "duration"),
            ("music-2.6", {"seed": 0}, "seed"),
            ("music-2.6", {"instrumental": True, "lyrics": "la la"}, "instrumental"),
            ("music-2.0", {"instrumental": True}, "instrumental"),
            ("music-2.0", {}, "lyrics"),
            ("music-2.0", {"lyrics": "la"}, "lyrics"),
        ],
    )
    def test_what_it_cannot_do(self, model: str, asked: Mapping[str, Any], param: str) -> None:
        error = refusal(minimax, model, request(**asked))
        assert error.param == param
        assert param != "lyrics" or "Send lyrics" in str(error.message)

    def test_what_comes_with_the_answer_and_what_behind_a_link(self) -> None:
        answer = {"data": {"audio": MP3.hex(), "status": 2}, "base_resp": {"status_code": 0, "status_msg": "success"}}
        assert parse_music(json.dumps(answer).encode()) == Finished([Inline(MP3)], Usage({"tracks": 1}))
        url = "https://files.example.com/a.wav?Signature=x%3D"
        answer["data"] = {"audio": url, "status": 2}
        assert parse_music(json.dumps(answer).encode()).files == [Linked(url)]

    @pytest.mark.parametrize(
        "audio", ["", "zz", "00ff", "http://files.example.com/a", "https://127.0.0.1/a", "https://user:x@a.example/", 5]
    )
    def test_no_music(self, audio: Any) -> None:
        answer = {"data": {"audio": audio, "status": 2}, "base_resp": {"status_code": 0}}
        with pytest.raises(UpstreamError) as raised:
            parse_music(json.dumps(answer).encode())
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize(
        ("number", "kind", "code"),
        [
            (1000, "unavailable", None),
            (1001, "unavailable", None),
            (1024, "unavailable", None),
            (1002, "rate_limited", None),
            (1039, "rate_limited", None),
            (1004, "auth", None),
            (1008, "auth", None),
            (2049, "auth", None),
            (1026, "rejected", "content_policy_violation"),
            (1027, "rejected", "content_policy_violation"),
            (2013, "rejected", "invalid_request_error"),
            (999_999, "unavailable", None),
        ],
    )
    def test_an_error_in_a_200(self, number: int, kind: str, code: str | None) -> None:
        answer = {"data": None, "base_resp": {"status_code": number, "status_msg": "our account 17 says no"}}
        with pytest.raises(UpstreamError) as raised:
            parse_music(json.dumps(answer).encode())
        assert (raised.value.kind, raised.value.code) == (kind, code)
        assert not raised.value.unasked
        assert "account" not in str(raised.value)


class TestStability:
    def test_what_is_sent(self) -> None:
        at = upstream("stable-audio-2.5", base_url="https://acme.example", api_key="k")
        http = stability.build_music(at, request(seconds=30, seed=2**32 - 1, form="wav", instrumental=True))
        assert http.url == "https://acme.example/v2beta/audio/stable-audio-2/text-to-audio"
        assert (http.headers["Accept"], http.headers["Authorization"]) == ("application/json", "Bearer k")
        assert fields(http) == {
            "prompt": "a slow waltz", "model": "stable-audio-2.5", "output_format": "wav", "duration": "30",
            "seed": "1",
        }  # fmt: skip
        usual = fields(stability.build_music(at, request()))
        assert usual == {"prompt": "a slow waltz", "model": "stable-audio-2.5", "output_format": "mp3"}

    @pytest.mark.parametrize(("asked", "param"), [({"lyrics": "la la"}, "lyrics"), ({"seconds": 191}, "duration")])
    def test_what_it_cannot_do(self, asked: Mapping[str, Any], param: str) -> None:
        assert refusal(stability, "stable-audio-2", request(**asked)).param == param

    def test_an_answer(self) -> None:
        answer = {"audio": base64.b64encode(WAV).decode(), "finish_reason": "SUCCESS", "seed": 5}
        assert stability.parse_music(json.dumps(answer).encode()) == Finished([Inline(WAV)], Usage({"tracks": 1}))

    def test_one_that_was_filtered(self) -> None:
        answer = {"audio": base64.b64encode(WAV).decode(), "finish_reason": "CONTENT_FILTERED"}
        with pytest.raises(UpstreamError) as raised:
            stability.parse_music(json.dumps(answer).encode())
        assert (raised.value.kind, raised.value.code) == ("rejected", "content_policy_violation")


@pytest.mark.parametrize("payload", [*ODD, b'{"audio": "AAAA"}', b'{"audio": "not base64!"}'])
@pytest.mark.parametrize("parse", [stability.parse_music, parse_music])
def test_what_is_no_answer(parse: Callable[[bytes], Finished], payload: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse(payload)
    assert raised.value.kind == "malformed"


@pytest.mark.parametrize("adapter", [elevenlabs, minimax, stability])
async def test_there_is_nothing_to_ask_for_again(adapter: Any) -> None:
    music = adapter.ADAPTER.music
    assert not music.idempotent
    with pytest.raises(UpstreamError) as raised:
        await music.poll(upstream("m"), {})
    assert raised.value.status == 404
    await music.cancel(upstream("m"), {})
