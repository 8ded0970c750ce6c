"""The local speech models as their own process: what the one says, the other hears."""

import asyncio
import io
import re
import struct
import wave
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.model_server import needs, serving

VOICE, EAR = "piper-joe", "whisper-tiny-en"
SENTENCE = "The quick brown fox jumps over the lazy dog."
HEARD = "the quick brown fox jumps over the lazy dog"

pytestmark = needs(VOICE, EAR)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("audio") / "stderr.log"
    with serving(log, f"{VOICE},{EAR}") as (_, url):
        yield url
    assert log.read_text() == ""


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def spoken(base_url: str) -> bytes:
    """The sentence as an MP3 file."""
    answer = httpx.post(f"{base_url}/audio/speech", json=say(SENTENCE), timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.content


def say(text: str, **fields: object) -> dict[str, Any]:
    return {"model": VOICE, "input": text, "voice": "joe", **fields}


async def hear(client: httpx.AsyncClient, recording: bytes, status: int = 200, **form: object) -> httpx.Response:
    files = {"file": ("recording", recording)}
    answer = await client.post("/audio/transcriptions", data={"model": EAR, **form}, files=files)
    assert answer.status_code == status, answer.text
    return answer


def words(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower()).strip()


def silence(seconds: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(2 * 8000 * seconds))
    return file.getvalue()


@pytest.mark.parametrize(
    ("response_format", "start", "media_type"),
    [
        ("mp3", b"\xff", "audio/mpeg"),
        ("wav", b"RIFF", "audio/wav"),
        ("opus", b"OggS", "audio/ogg"),
        ("flac", b"fLaC", "audio/flac"),
        ("aac", b"\xff\xf1", "audio/aac"),
    ],
)
async def test_every_format_can_be_heard_again(
    client: httpx.AsyncClient, response_format: str, start: bytes, media_type: str
) -> None:
    answer = await client.post("/audio/speech", json=say(SENTENCE, response_format=response_format))
    assert answer.headers["content-type"] == media_type
    assert answer.content.removeprefix(b"ID3").startswith(start) or answer.content.startswith(b"ID3")
    assert words((await hear(client, answer.content)).json()["text"]) == HEARD


async def test_pcm_is_16_bits_at_24_khz(client: httpx.AsyncClient) -> None:
    answer = await client.post("/audio/speech", json=say(SENTENCE, response_format="pcm"))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 24_000, 0, "NONE", ""))
        writer.writeframes(answer.content)
    heard = (await hear(client, file.getvalue(), response_format="verbose_json")).json()
    assert words(heard["text"]) == HEARD
    assert heard["duration"] == pytest.approx(len(answer.content) / 48_000, abs=0.01)


async def test_a_wav_file_can_be_read_while_it_grows(client: httpx.AsyncClient) -> None:
    answer = await client.post("/audio/speech", json=say(SENTENCE, response_format="wav"))
    with wave.open(io.BytesIO(answer.content)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 24_000)
        assert len(reader.readframes(reader.getnframes())) == len(answer.content) - 44
    assert struct.unpack_from("<I", answer.content, 4) == (0xFFFFFFFF,)


async def test_speed_changes_how_long_it_takes(client: httpx.AsyncClient) -> None:
    sizes = [
        len((await client.post("/audio/speech", json=say(SENTENCE, response_format="pcm", speed=speed))).content)
        for speed in (0.5, 2)
    ]
    assert 2 < sizes[0] / sizes[1] < 5


async def test_the_first_sentence_comes_before_the_last_is_spoken(client: httpx.AsyncClient) -> None:
    body = say("One sentence comes after another. " * 60, response_format="pcm")
    async with client.stream("POST", "/audio/speech", json=body) as answer:
        sound = answer.aiter_bytes()
        assert await anext(sound)
        health = await client.get(str(client.base_url).removesuffix("/v1/") + "/health")
        assert health.json()["models"][VOICE]["running"]


async def test_hanging_up_lets_the_next_one_speak(client: httpx.AsyncClient) -> None:
    async with client.stream("POST", "/audio/speech", json=say("This is said again and again. " * 130)) as answer:
        await anext(answer.aiter_bytes())
    async with asyncio.timeout(20):
        assert (await client.post("/audio/speech", json=say("Hello."))).status_code == 200


@pytest.mark.parametrize(
    ("change", "param"),
    [({"voice": "nova"}, "voice"), ({"input": "?!"}, "input"), ({"speed": 5}, "speed"), ({"input": None}, "input")],
)
async def test_bad_speech_requests_name_the_field(
    client: httpx.AsyncClient, change: dict[str, Any], param: str
) -> None:
    answer = await client.post("/audio/speech", json={**say("Hello."), **change})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_an_unknown_voice_is_told_which_there_are(client: httpx.AsyncClient) -> None:
    answer = await client.post("/audio/speech", json=say("Hello.", voice="nova"))
    assert "joe" in answer.json()["error"]["message"]
    assert (await client.post("/audio/speech", json=say("Hello.", voice="alloy"))).status_code == 200


async def test_json_has_the_text_and_the_seconds(client: httpx.AsyncClient, spoken: bytes) -> None:
    heard = (await hear(client, spoken)).json()
    assert set(heard) == {"text", "usage"}
    assert words(heard["text"]) == HEARD
    assert heard["usage"]["type"] == "duration"
    assert 2 < heard["usage"]["seconds"] < 4


async def test_verbose_json_has_segments_and_words_in_order(client: httpx.AsyncClient, spoken: bytes) -> None:
    form: dict[str, Any] = {
        "response_format": "verbose_json",
        "timestamp_granularities[]": ["word", "segment"],
        "language": "en",
    }
    heard = (await hear(client, spoken, **form)).json()
    assert (heard["task"], heard["language"]) == ("transcribe", "en")
    assert [words(word["word"]) for word in heard["words"]] == HEARD.split()
    times = [time for word in heard["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert times[-1] <= heard["duration"] + 0.1
    assert [segment["id"] for segment in heard["segments"]] == list(range(len(heard["segments"])))
    assert words(" ".join(segment["text"] for segment in heard["segments"])) == HEARD
    assert all(segment["avg_logprob"] < 0 for segment in heard["segments"])


async def test_words_come_only_when_asked_for(client: httpx.AsyncClient, spoken: bytes) -> None:
    heard = (await hear(client, spoken, response_format="verbose_json")).json()
    assert "segments" in heard
    assert "words" not in heard
    form: dict[str, Any] = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    assert "segments" not in (await hear(client, spoken, **form)).json()


async def test_text_subrip_and_webvtt(client: httpx.AsyncClient, spoken: bytes) -> None:
    plain = await hear(client, spoken, response_format="text")
    assert plain.headers["content-type"].startswith("text/plain")
    assert words(plain.text) == HEARD
    subrip = await hear(client, spoken, response_format="srt")
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\nThe quick", subrip.text)
    webvtt = await hear(client, spoken, response_format="vtt")
    assert webvtt.headers["content-type"].startswith("text/vtt")
    assert re.match(r"WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\nThe quick", webvtt.text)


async def test_openais_client_speaks_and_hears(base_url: str) -> None:
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        speech = await client.audio.speech.create(model=VOICE, voice="alloy", input=SENTENCE)
        heard = await client.audio.transcriptions.create(
            model=EAR, file=("a.mp3", speech.content), response_format="verbose_json"
        )
    assert words(heard.text) == HEARD


async def test_silence_has_no_words_in_it(client: httpx.AsyncClient) -> None:
    heard = (await hear(client, silence(5), response_format="verbose_json")).json()
    assert (heard["text"], heard["segments"], heard["duration"]) == ("", [], 5.0)


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"language": "fr"}, "language"),
        ({"response_format": "docx"}, "response_format"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": "2"}, "temperature"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities[]"),
        ({"timestamp_granularities[]": "letter", "response_format": "verbose_json"}, "timestamp_granularities[]"),
        ({"model": ""}, "model"),
    ],
)
async def test_bad_transcription_requests_name_the_field(
    client: httpx.AsyncClient, form: dict[str, object], param: str
) -> None:
    error = (await hear(client, b"RIFF", 400, **form)).json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("recording", [b"", b"nothing to hear" * 100, b"RIFF", PLAYLIST, b"ffconcat version 1.0\n"])
async def test_what_is_no_recording_is_refused(client: httpx.AsyncClient, recording: bytes) -> None:
    assert (await hear(client, recording, 400)).json()["error"]["code"] == "invalid_audio"


async def test_a_damaged_recording_is_heard_as_far_as_it_goes(client: httpx.AsyncClient, spoken: bytes) -> None:
    damaged = spoken[:8000] + bytes(300) + spoken[8300:]
    assert words((await hear(client, damaged)).json()["text"]).startswith("the quick brown fox")


async def test_ten_minutes_are_the_most(client: httpx.AsyncClient) -> None:
    assert (await hear(client, silence(601), 400)).json()["error"]["code"] == "audio_too_long"
    assert (await hear(client, silence(600))).json()["text"] == ""


async def test_a_file_is_needed_and_may_not_be_huge(client: httpx.AsyncClient) -> None:
    answer = await client.post("/audio/transcriptions", data={"model": EAR})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "file"
    assert (await hear(client, bytes(26_000_000 + 300_000), 400)).json()["error"]["code"] == "file_too_large"


async def test_json_instead_of_a_form_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/audio/transcriptions", json={"model": EAR})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_it_translates_nothing(client: httpx.AsyncClient, spoken: bytes) -> None:
    answer = await client.post("/audio/translations", data={"model": EAR}, files={"file": ("a.mp3", spoken)})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_value"
    other = await client.post("/audio/translations", data={"model": "gpt-9"}, files={"file": ("a.mp3", spoken)})
    assert other.status_code == 404
