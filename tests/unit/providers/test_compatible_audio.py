"""Sound on OpenAI's wire: forms with a recording, transcripts as verbose as the model can, and speech as it comes."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Sound
from aig.modalities.speak import SpeakChunk, SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.transcript import Segment, Word
from aig.modalities.usage import Usage
from aig_providers.aigateway import parse_totals
from aig_providers.compatible_audio import CompatibleSpeak, build_speech, build_transcription, parse_transcription
from tests.multipart import parts
from tests.unit.providers.replies import event, posting, upstream

SOUND = Sound(b"RIFF....WAVE", "audio/wav", 3.2)
PLAIN = upstream(quirks=frozenset({"plain_transcripts"}))
TEN_SECONDS = upstream(quirks=frozenset({"ten_seconds_least"}))
EVENTS = upstream(quirks=frozenset({"speech_events"}))
VERBOSE = {
    "task": "transcribe", "language": "english", "duration": 3.1, "text": "Ever tried. Ever failed.",
    "segments": [
        {"id": 0, "seek": 0, "start": 0.0, "end": 1.4, "text": " Ever tried.", "tokens": [1], "avg_logprob": -0.2},
        {"id": 1, "seek": 0, "start": 1.4, "end": 3, "text": " Ever failed.", "no_speech_prob": 0.01},
    ],
    "words": [{"word": "Ever", "start": 0, "end": 0.4}],
}  # fmt: skip


def heard(**fields: Any) -> TranscribeRequest:
    return TranscribeRequest(("acme/one",), SOUND, **fields)


def fields_of(where: Any, **fields: Any) -> list[tuple[str, str]]:
    http = build_transcription(where, heard(**fields))
    found = parts(http.headers["Content-Type"], http.body)
    assert [(one.filename, one.media_type, one.data) for one in found if one.name == "file"] == [
        ("file.wav", "audio/wav", SOUND.data)
    ]
    return [(one.name, one.data.decode()) for one in found if one.name != "file"]


def transcript(where: Any = None, **body: Any) -> TranscribeResult:
    return parse_transcription(json.dumps(body).encode(), where or upstream(), heard())


class TestARequestForATranscript:
    def test_it_is_verbose(self) -> None:
        assert fields_of(upstream()) == [("model", "one-v1"), ("response_format", "verbose_json")]

    def test_with_all_settings(self) -> None:
        granularities = frozenset({"word", "segment"})
        assert fields_of(upstream(), prompt="p", temperature=0.0, language="en", granularities=granularities) == [
            ("model", "one-v1"), ("response_format", "verbose_json"), ("prompt", "p"), ("temperature", "0.0"),
            ("language", "en"), ("timestamp_granularities[]", "segment"), ("timestamp_granularities[]", "word"),
        ]  # fmt: skip

    def test_a_model_that_knows_json_only(self) -> None:
        assert fields_of(PLAIN) == [("model", "one-v1"), ("response_format", "json")]

    def test_the_addresses(self) -> None:
        assert build_transcription(upstream(), heard()).url == "https://acme.example/v1/audio/transcriptions"
        english = build_transcription(upstream(), heard(into_english=True))
        assert english.url == "https://acme.example/v1/audio/translations"

    def test_a_translation_is_not_told_the_language_and_comes_in_segments(self) -> None:
        made = fields_of(upstream(), into_english=True, language="de", granularities=frozenset({"segment"}))
        assert made == [("model", "one-v1"), ("response_format", "verbose_json")]

    @pytest.mark.parametrize(
        ("where", "fields"),
        [
            (PLAIN, {"granularities": frozenset({"segment"})}),
            (upstream(), {"granularities": frozenset({"word"}), "into_english": True}),
        ],
    )
    def test_times_that_it_cannot_tell_are_refused_unasked(self, where: Any, fields: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            build_transcription(where, heard(**fields))
        assert (raised.value.param, raised.value.unasked) == ("timestamp_granularities", True)


class TestATranscript:
    def test_verbose(self) -> None:
        result = transcript(**VERBOSE, usage={"type": "duration", "seconds": 4})
        assert result == TranscribeResult(
            "Ever tried. Ever failed.",
            [Segment(0.0, 1.4, "Ever tried."), Segment(1.4, 3.0, "Ever failed.")],
            [Word("Ever", 0.0, 0.4)],
            "english",
            3.1,
            Usage({"seconds": 4}),
        )

    def test_plain(self) -> None:
        usage = {
            "type": "tokens", "input_tokens": 40, "input_token_details": {"text_tokens": 10, "audio_tokens": 30},
            "output_tokens": 7, "total_tokens": 47,
        }  # fmt: skip
        result = transcript(PLAIN, text="Hi.", usage=usage)
        consumed = Usage({"input_tokens": 10, "input_audio_tokens": 30, "output_tokens": 7})
        assert result == TranscribeResult("Hi.", [], [], None, None, consumed)

    def test_silence_is_an_empty_text(self) -> None:
        assert transcript(text="", segments=None, words=None, language=None, duration=None).text == ""

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"text": None},
            {"text": "a", "segments": {"0": {}}},
            {"text": "a", "segments": [5]},
            {"text": "a", "segments": [{"start": 0, "end": 1}]},
            {"text": "a", "segments": [{"start": -1, "end": 1, "text": "a"}]},
            {"text": "a", "words": [{"word": "a", "start": "0", "end": 1}]},
            {"text": "a", "words": [{"word": 5, "start": 0, "end": 1}]},
            {"text": "a", "duration": "long"},
            {"text": "a", "duration": -1},
            {"text": "a", "duration": 1e18},
        ],
    )
    def test_what_is_none(self, body: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            transcript(**body)
        assert raised.value.kind == "malformed"


class TestWhatATranscriptCosts:
    @pytest.mark.parametrize("usage", [None, "much", {}, {"type": "duration"}, {"type": "duration", "seconds": -1},
                                       {"type": "duration", "seconds": "9"}, {"type": "smells", "smells": 5},
                                       {"type": "tokens", "input_tokens": "9"}])  # fmt: skip
    def test_without_usage_the_length_counts_every_second_begun(self, usage: Any) -> None:
        assert transcript(**VERBOSE, usage=usage).usage == Usage({"seconds": 4})
        assert transcript(text="Hi.", usage=usage).usage is None

    def test_a_told_fraction_is_a_second(self) -> None:
        assert transcript(text="a", usage={"type": "duration", "seconds": 8.01}).usage == Usage({"seconds": 9})

    @pytest.mark.parametrize(("duration", "seconds"), [(0.2, 10), (10.0, 10), (10.2, 11), (61.0, 61)])
    def test_a_short_one_is_ten_seconds_where_that_is_so(self, duration: float, seconds: int) -> None:
        assert transcript(TEN_SECONDS, text="a", duration=duration).usage == Usage({"seconds": seconds})

    def test_and_is_estimated_so_where_nothing_is_told(self) -> None:
        assert transcript(TEN_SECONDS, text="a").usage == Usage({"seconds": 10}, estimated=True)

    def test_another_gateway_tells_units(self) -> None:
        told = {"type": "tokens", "input_tokens": 40, "input_audio_tokens": 30, "output_tokens": 7, "total_tokens": 47}
        result = parse_transcription(
            json.dumps({"text": "a", "usage": told}).encode(), upstream(), heard(), parse_totals
        )
        assert result.usage == Usage({"input_tokens": 10, "input_audio_tokens": 30, "output_tokens": 7})


def said(**fields: Any) -> SpeakRequest:
    return SpeakRequest(("acme/one",), "Hello.", **fields)


async def spoken(where: Any, *pieces: bytes, status: int = 200) -> Sequence[SpeakChunk]:
    return [chunk async for chunk in CompatibleSpeak(posting(*pieces, status=status)).speak(where, said())]


def delta(audio: bytes) -> bytes:
    return event({"type": "speech.audio.delta", "audio": base64.b64encode(audio).decode()})


DONE = event({"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 40, "total_tokens": 43}})


class TestARequestForSpeech:
    def test_the_least_names_a_voice(self) -> None:
        http = build_speech(upstream(), said())
        assert http.url == "https://acme.example/v1/audio/speech"
        assert json.loads(http.body) == {
            "model": "one-v1", "input": "Hello.", "voice": "alloy", "response_format": "mp3"
        }  # fmt: skip

    def test_our_own_wire_leaves_the_voice_to_the_model(self) -> None:
        assert "voice" not in json.loads(build_speech(upstream(), said(), None).body)

    @pytest.mark.parametrize("form", ["mp3", "wav", "opus", "flac", "pcm"])
    def test_every_format_is_known_by_its_name(self, form: Any) -> None:
        assert json.loads(build_speech(upstream(), said(form=form)).body)["response_format"] == form

    def test_with_all_settings(self) -> None:
        made = json.loads(build_speech(EVENTS, said(voice="coral", speed=1.5, instructions="Whisper.")).body)
        assert made.items() >= {"voice": "coral", "speed": 1.5, "instructions": "Whisper."}.items()
        assert made["stream_format"] == "sse"

    def test_a_model_that_is_not_told_how_to_speak(self) -> None:
        with pytest.raises(UpstreamError) as raised:
            build_speech(upstream(quirks=frozenset({"no_instructions"})), said(instructions="Whisper."))
        assert (raised.value.param, raised.value.unasked) == ("instructions", True)


class TestSpeech:
    async def test_bytes_are_handed_on_as_they_come(self) -> None:
        assert await spoken(upstream(), b"ID3", b"\x00\x01") == [SpeakChunk(b"ID3"), SpeakChunk(b"\x00\x01")]

    async def test_events_tell_what_they_consumed(self) -> None:
        chunks = await spoken(EVENTS, delta(b"ID3") + event({"type": "from.the.future"}), delta(b"\x01"), DONE)
        assert b"".join(chunk.audio for chunk in chunks) == b"ID3\x01"
        assert chunks[-1].usage == Usage({"input_tokens": 3, "output_audio_tokens": 40})

    @pytest.mark.parametrize("usage", [None, 5, {}, {"input_tokens": 3}, {"input_tokens": 3, "output_tokens": -4}])
    async def test_events_that_tell_no_usage_are_speech_all_the_same(self, usage: Any) -> None:
        chunks = await spoken(EVENTS, delta(b"ID3"), event({"type": "speech.audio.done", "usage": usage}))
        assert (b"".join(chunk.audio for chunk in chunks), chunks[-1].usage) == (b"ID3", None)

    @pytest.mark.parametrize(
        "pieces",
        [
            (),
            (delta(b"ID3"),),
            (DONE,),
            (b"data: [1]\n\n",),
            (event({"type": "speech.audio.delta"}), DONE),
            (event({"type": "speech.audio.delta", "audio": "***"}), DONE),
        ],
    )
    async def test_events_that_are_no_speech(self, pieces: Sequence[bytes]) -> None:
        with pytest.raises(UpstreamError) as raised:
            await spoken(EVENTS, *pieces)
        assert raised.value.kind == "malformed"

    async def test_an_error_among_the_events(self) -> None:
        with pytest.raises(UpstreamError) as raised:
            await spoken(EVENTS, delta(b"ID3"), event({"error": {"code": "rate_limit_exceeded"}}))
        assert raised.value.kind == "rate_limited"

    @pytest.mark.parametrize("where", [upstream(), EVENTS])
    async def test_a_status(self, where: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            await spoken(where, b'{"error": {"code": "invalid_value", "param": "voice"}}', status=400)
        assert (raised.value.kind, raised.value.code, raised.value.param) == ("rejected", "invalid_value", "voice")
