"""Deepgram's requests and answers."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Sound
from aig.modalities.speak import SpeakRequest
from aig.modalities.transcribe import TranscribeRequest
from aig.modalities.usage import Usage
from aig_providers.deepgram import build_listen, build_speak, parse, read_detail
from tests.unit.providers.replies import upstream

SOUND = Sound(b"ID3...", "audio/mpeg", 40)
WORD = {"word": "hello", "punctuated_word": "Hello,", "start": 0.16, "end": 0.8, "confidence": 0.99}


def listen(**fields: Any) -> Any:
    return build_listen(upstream("nova-3", api_key="k"), TranscribeRequest(("m",), SOUND, **fields))


def speak(model_id: str = "aura-2-thalia-en", **fields: Any) -> Any:
    return build_speak(upstream(model_id, api_key="k"), SpeakRequest(("m",), "Hello.", **fields))


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def answered(duration: Any = 36.744, **channel: Any) -> bytes:
    found = {"alternatives": [{"transcript": "Hello, world.", "words": [WORD]}], **channel}
    utterances = [{"start": 0.16, "end": 1.5, "transcript": "Hello, world.", "channel": 0}]
    return json.dumps(
        {"metadata": {"duration": duration}, "results": {"channels": [found], "utterances": utterances}}
    ).encode()


def test_a_recording_is_the_body() -> None:
    http = listen()
    assert http.url.startswith("https://acme.example/v1/listen?")
    assert query(http.url) == {
        "model": "nova-3", "smart_format": "true", "utterances": "true", "detect_language": "true",
    }  # fmt: skip
    assert (http.headers["Authorization"], http.headers["Content-Type"]) == ("Token k", "audio/mpeg")
    assert http.body == SOUND.data


def test_a_language_is_not_looked_for_when_it_is_said() -> None:
    asked = query(listen(language="de", temperature=0.0).url)
    assert (asked.get("language"), asked.get("detect_language")) == ("de", None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"prompt": "x"}, "prompt"), ({"temperature": 0.3}, "temperature"), ({"into_english": True}, "model")],
)
def test_what_a_transcription_does_not_take(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        listen(**fields)
    assert (raised.value.unasked, raised.value.param) == (True, param)


def test_an_answer() -> None:
    result = parse(answered(detected_language="en"))
    assert (result.text, result.language, result.seconds) == ("Hello, world.", "en", 36.744)
    assert [(word.word, word.start, word.end) for word in result.words] == [("Hello,", 0.16, 0.8)]
    assert [(one.start, one.end, one.text) for one in result.segments] == [(0.16, 1.5, "Hello, world.")]
    assert result.usage == Usage({"seconds": 37})


def test_silence_is_an_answer() -> None:
    result = parse(answered(alternatives=[{"transcript": "", "words": []}]))
    assert (result.text, list(result.words)) == ("", [])


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"results": {"channels": []}}', b'{"results": {"channels": [{"alternatives": []}]}}',
     answered(alternatives=[{"transcript": None}]), answered(alternatives=5), answered(duration="36"),
     answered(duration=-1), answered(duration=1e9), answered(alternatives=[{"transcript": "a", "words": [{}]}])],
)  # fmt: skip
def test_what_is_no_answer(payload: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse(payload)
    assert raised.value.kind == "malformed"


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ("mp3", {"encoding": "mp3"}),
        ("wav", {"encoding": "linear16", "sample_rate": "24000", "container": "wav"}),
        ("pcm", {"encoding": "linear16", "sample_rate": "24000", "container": "none"}),
        ("opus", {"encoding": "opus", "container": "ogg"}),
        ("flac", {"encoding": "flac"}),
    ],
)
def test_formats(form: Any, asked: dict[str, str]) -> None:
    http = speak(form=form)
    assert query(http.url) == {"model": "aura-2-thalia-en", **asked}
    assert json.loads(http.body) == {"text": "Hello."}
    assert (http.headers["Authorization"], http.headers["Content-Type"]) == ("Token k", "application/json")


@pytest.mark.parametrize(
    ("model", "voice", "speaker"),
    [("aura-2-thalia-en", "orion", "aura-2-orion-en"), ("aura-asteria-en", "luna", "aura-luna-en")],
)
def test_a_voice_is_a_part_of_the_model(model: str, voice: str, speaker: str) -> None:
    assert query(speak(model, voice=voice, speed=0.9).url) == {"model": speaker, "encoding": "mp3", "speed": "0.9"}


@pytest.mark.parametrize(
    ("model", "fields", "param"),
    [
        ("aura-2-thalia-en", {"voice": "a&model=b"}, "voice"),
        ("another", {"voice": "luna"}, "voice"),
        ("aura-2-thalia-en", {"instructions": "softly"}, "instructions"),
    ],
)
def test_what_speech_does_not_take(model: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        speak(model, **fields)
    assert (raised.value.unasked, raised.value.param) == (True, param)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"err_code": "INVALID_AUTH", "err_msg": "m"}, "auth"),
        ({"category": "INSUFFICIENT_PERMISSIONS", "message": "m"}, "auth"),
        ({"err_code": "Bad Request", "err_msg": "m"}, None),
    ],
)
def test_errors(body: Any, kind: str | None) -> None:
    assert read_detail(body).kind == kind
