"""ElevenLabs' requests and answers."""

import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Sound
from aig.modalities.speak import SpeakRequest
from aig.modalities.transcribe import TranscribeRequest
from aig.modalities.usage import Usage
from aig_providers.elevenlabs import USUAL_VOICE, build_speak, build_transcribe, parse, read_detail
from tests.unit.providers.replies import upstream

SOUND = Sound(b"ID3...", "audio/mpeg", 40)


def speak(**fields: Any) -> Any:
    return build_speak(upstream("eleven_v3", api_key="k"), SpeakRequest(("m",), "Hello.", **fields))


def hear(**fields: Any) -> Any:
    return build_transcribe(upstream("scribe_v1", api_key="k"), TranscribeRequest(("m",), SOUND, **fields))


def test_speech() -> None:
    http = speak()
    url = f"https://acme.example/v1/text-to-speech/{USUAL_VOICE}/stream?output_format=mp3_44100_128"
    assert http.url == url
    assert http.headers["xi-api-key"] == "k"
    assert "Authorization" not in http.headers
    assert json.loads(http.body) == {"text": "Hello.", "model_id": "eleven_v3"}


@pytest.mark.parametrize(("form", "told"), [("pcm", "pcm_24000"), ("opus", "opus_48000_96")])
def test_formats_voice_and_speed(form: Any, told: str) -> None:
    http = speak(form=form, voice="abcDEF123", speed=1.1)
    assert http.url.endswith(f"/text-to-speech/abcDEF123/stream?output_format={told}")
    assert json.loads(http.body)["voice_settings"] == {"speed": 1.1}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"form": "wav"}, "response_format"),
        ({"form": "flac"}, "response_format"),
        ({"voice": "../../v1/user"}, "voice"),
        ({"voice": "a b"}, "voice"),
        ({"instructions": "softly"}, "instructions"),
    ],
)
def test_what_speech_does_not_take(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        speak(**fields)
    assert (raised.value.unasked, raised.value.param) == (True, param)


def test_a_recording_goes_in_a_form() -> None:
    http = hear(language="de", temperature=0.0)
    assert http.url == "https://acme.example/v1/speech-to-text"
    assert (http.headers["xi-api-key"], "Authorization" in http.headers) == ("k", False)
    assert http.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    for part in (b"scribe_v1", b'name="language_code"\r\n\r\nde', b'name="temperature"\r\n\r\n0.0', SOUND.data):
        assert part in http.body


@pytest.mark.parametrize(("fields", "param"), [({"prompt": "x"}, "prompt"), ({"into_english": True}, "model")])
def test_what_a_transcription_does_not_take(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        hear(**fields)
    assert (raised.value.unasked, raised.value.param) == (True, param)


def answered(**more: Any) -> bytes:
    words = [
        {"text": "Hello", "type": "word", "start": 0.2, "end": 0.5},
        {"text": " ", "type": "spacing", "start": 0.5, "end": 0.5},
        {"text": "(laughter)", "type": "audio_event", "start": None, "end": None},
    ]
    return json.dumps({"language_code": "eng", "text": "Hello", "words": words, **more}).encode()


def test_an_answer() -> None:
    result = parse(answered())
    assert (result.text, result.language, result.seconds, result.usage) == ("Hello", "en", None, None)
    assert [(word.word, word.start, word.end) for word in result.words] == [("Hello", 0.2, 0.5)]


def test_a_length_is_billed_where_it_is_told() -> None:
    result = parse(answered(audio_duration_secs=12.1))
    assert (result.seconds, result.usage) == (12.1, Usage({"seconds": 13}))


@pytest.mark.parametrize(
    ("code", "language"),
    [("deu", "de"), ("fra", "fr"), ("en", "en"), ("zho", "zh"), ("swe", "sv"), ("kor", "ko"), ("tlh", None), (5, None)],
)
def test_languages(code: Any, language: str | None) -> None:
    assert parse(answered(language_code=code)).language == language


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", answered(text=None), answered(words=5), answered(words=[{}]), answered(words=[5]),
     answered(words=[{"type": "word", "text": "a", "start": None, "end": 1}]), answered(audio_duration_secs="1")],
)  # fmt: skip
def test_what_is_no_answer(payload: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse(payload)
    assert raised.value.kind == "malformed"


@pytest.mark.parametrize(
    ("detail", "kind", "param"),
    [
        ({"status": "quota_exceeded", "message": "m"}, "auth", None),
        ({"status": "voice_not_found", "message": "m"}, None, None),
        ("prose", None, None),
        ([{"loc": ["body", "voice_settings", "speed"], "msg": "m", "type": "t"}], None, "speed"),
    ],
)
def test_errors(detail: Any, kind: str | None, param: str | None) -> None:
    found = read_detail({"detail": detail})
    assert (found.kind, found.code, found.param) == (kind, None if kind else "invalid_request_error", param)
