"""POST /v1/audio/transcriptions and /v1/audio/translations: files, their forms, and what comes of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import pytest

from aig.wiring import Container
from tests.apps import App
from tests.builders import Account, an_account, debits_of, holds_of, wallet_of
from tests.integration.operations import EACH, PICTURE, SOUND, error_of, fetches_from_loopback, refusal, uploaded
from tests.unit.modalities.media.made import fmt, riff, wav
from tests.unit.providers.site import running

PATH: Final = "/v1/audio/transcriptions"
MODEL: Final = "sandbox/transcribe"
SAID: Final = "Hello there. It works!"  # 22 characters of 60 ms
VERBOSE: Final[dict[str, Any]] = {"response_format": "verbose_json"}
TWO_SECONDS: Final = 2 * EACH


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


@pytest.fixture
async def spoken(audio: App, account: Account) -> bytes:
    """A WAV of what the sandbox says, for 0.0210 USD."""
    body = {"model": "sandbox/speech", "input": SAID, "response_format": "wav"}
    answer = await audio.client.post("/v1/audio/speech", json=body, headers=account.authorization)
    return answer.content


async def hear(
    app: App,
    account: Account,
    *files: bytes,
    path: str = PATH,
    headers: Mapping[str, str] | None = None,
    name: str = "speech.wav",
    **fields: Any,
) -> httpx.Response:
    """The answer to a form; its fields may have `__` for the `[]` at their end."""
    parts: list[tuple[str, Any]] = [("file", (name, file)) for file in files]
    for key, values in {"model": MODEL, **fields}.items():
        each = values if isinstance(values, list) else [values]
        parts += [(key.replace("__", "[]"), (None, value)) for value in each]
    return await app.client.post(path, files=parts, headers={**account.authorization, **(headers or {})})


async def hear_json(app: App, account: Account, **body: Any) -> httpx.Response:
    return await app.client.post(PATH, json={"model": MODEL, **body}, headers=account.authorization)


async def test_what_was_spoken_is_heard(audio: App, account: Account, spoken: bytes, container: Container) -> None:
    response = await hear(audio, account, spoken)
    usage = {"type": "duration", "seconds": 2, "cost": "0.021"}
    assert response.json() == {"text": SAID, "usage": usage, "model": MODEL}
    assert response.headers["x-aig-cost"] == "0.021"
    assert [row["amount"] for row in await debits_of(container, account)] == [TWO_SECONDS, TWO_SECONDS]


SRT: Final = """1
00:00:00,000 --> 00:00:00,660
Hello there.

2
00:00:00,660 --> 00:00:01,320
It works!

"""
VTT: Final = "WEBVTT\n\n" + SRT.replace(",", ".").replace("1\n00", "00").replace("2\n00", "00")


@pytest.mark.parametrize(
    ("form", "media_type", "text"),
    [
        ("text", "text/plain; charset=utf-8", f"{SAID}\n"),
        ("srt", "application/x-subrip", SRT),
        ("vtt", "text/vtt; charset=utf-8", VTT),
    ],
)
async def test_plain_forms(audio: App, account: Account, spoken: bytes, form: str, media_type: str, text: str) -> None:
    first, second = [await hear(audio, account, spoken, response_format=form) for _ in range(2)]
    assert (first.status_code, first.headers["content-type"]) == (200, media_type)
    assert first.text == second.text == text
    assert (first.headers["x-aig-cost"], second.headers["x-aig-cost"]) == ("0.021", "0.0021")


async def test_an_answer_in_one_form_is_a_hit_in_another(audio: App, account: Account, spoken: bytes) -> None:
    """What the model is asked for is the same, where the times are."""
    told = [await hear(audio, account, spoken, response_format=form) for form in ("json", "text", "srt", "vtt")]
    assert [answer.headers["x-cache"] for answer in told] == ["miss", "hit", "miss", "hit"]


WORDS: Final = [
    {"word": "Hello", "start": 0.0, "end": 0.33},
    {"word": "there.", "start": 0.33, "end": 0.66},
    {"word": "It", "start": 0.66, "end": 0.99},
    {"word": "works!", "start": 0.99, "end": 1.32},
]
SEGMENTS: Final = [
    {"id": 0, "start": 0.0, "end": 0.66, "text": "Hello there."},
    {"id": 1, "start": 0.66, "end": 1.32, "text": "It works!"},
]


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ([], {"segments": SEGMENTS}),
        (["segment"], {"segments": SEGMENTS}),
        (["word"], {"words": WORDS}),
        (["word", "segment"], {"words": WORDS, "segments": SEGMENTS}),
    ],
)
async def test_verbose_json(
    audio: App, account: Account, spoken: bytes, asked: Sequence[str], parts: Mapping[str, Any]
) -> None:
    response = await hear(audio, account, spoken, timestamp_granularities__=asked, **VERBOSE)
    body = response.json()
    assert body.pop("usage")["seconds"] == 2
    told = {"task": "transcribe", "language": "en", "duration": 1.32, "text": SAID, "model": MODEL}
    assert body == {**told, **parts}


async def test_translations_are_into_english(audio: App, account: Account, spoken: bytes) -> None:
    response = await hear(audio, account, spoken, path="/v1/audio/translations", **VERBOSE)
    assert (response.json()["task"], response.json()["text"]) == ("translate", f"[en] {SAID}")
    plain = await hear(audio, account, spoken, **VERBOSE)
    assert plain.headers["x-cache"] == "miss"


async def test_a_temperature_is_not_cached_unless_it_is_zero_or_forced(
    audio: App, account: Account, container: Container
) -> None:
    async def told(temperature: str, cache: str = "auto") -> list[str]:
        headers = {"x-cache": cache}
        sent = [await hear(audio, account, SOUND, temperature=temperature, headers=headers) for _ in range(2)]
        return [answer.headers["x-cache"] for answer in sent]

    assert await told("0.5") == ["skip", "skip"]
    assert await told("0.5", "force") == ["miss", "hit"]
    assert await told("0") == ["miss", "hit"]


@pytest.mark.parametrize("charset", ["punycode", "utf-16", "undefined", '"unicode_escape"'])
async def test_a_form_is_utf_8(audio: App, account: Account, charset: str) -> None:
    media_type = f"multipart/form-data; boundary=x; charset={charset}"
    body = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + b"a" * 1000 + b"-aaaa\r\n--x--\r\n"
    headers = {**account.authorization, "content-type": media_type}
    response = await audio.client.post("/v1/audio/transcriptions", content=body, headers=headers)
    assert (response.status_code, error_of(response)["code"]) == (415, "unsupported_media_type")
    utf_8 = {**headers, "content-type": "multipart/form-data; boundary=x; charset=UTF-8"}
    response = await audio.client.post("/v1/audio/transcriptions", content=body, headers=utf_8)
    assert refusal(response) == (400, "missing_required_parameter", "file")


async def test_a_stream_that_is_not_wanted_and_a_language_with_its_region(
    audio: App, account: Account, spoken: bytes
) -> None:
    usual: dict[str, Any] = {"stream": "false", "chunking_strategy": "auto"}
    response = await hear(audio, account, spoken, language="pt-BR", **usual, **VERBOSE)
    assert (response.json()["text"], response.json()["language"]) == (SAID, "pt")
    assert refusal(await hear(audio, account, spoken, stream="true")) == (400, "invalid_value", "stream")


async def test_a_file_at_a_url(audio: App, account: Account, spoken: bytes) -> None:
    fetches_from_loopback(audio)
    async with running() as site:
        site.says(spoken, "Content-Type: text/html")  # what it is, its first bytes tell
        response = await hear_json(audio, account, url=f"http://127.0.0.1:{site.port}/speech")
    assert response.json()["text"] == SAID


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.wav", "https://127.0.0.1/a.wav", "file:///etc/passwd"])
async def test_a_url_that_leads_inside_is_not_followed(
    audio: App, account: Account, container: Container, url: str
) -> None:
    assert refusal(await hear_json(audio, account, url=url)) == (400, "url_not_allowed", "url")
    assert await holds_of(container, account) == []


async def test_an_upload_as_json_and_as_a_form(audio: App, files: App, account: Account, spoken: bytes) -> None:
    upload_id = await uploaded(files, account, spoken)
    assert (await hear_json(audio, account, upload_id=upload_id)).json()["text"] == SAID
    assert (await hear(audio, account, upload_id=upload_id)).headers["x-cache"] == "hit"


async def test_an_upload_of_another_tenant_is_not_found(
    audio: App, files: App, account: Account, container: Container
) -> None:
    theirs = await uploaded(files, await an_account(container), SOUND)
    assert refusal(await hear_json(audio, account, upload_id=theirs)) == (400, "upload_not_found", "upload_id")
    assert await holds_of(container, account) == []


async def test_a_body_that_is_too_large_is_told_of_uploads(audio: App, account: Account, container: Container) -> None:
    response = await hear(audio, account, bytes(7 * 1024 * 1024))
    assert (response.status_code, error_of(response)["code"]) == (413, "request_too_large")
    assert "POST /v1/uploads" in error_of(response)["message"]
    assert await holds_of(container, account) == []


@pytest.mark.parametrize("name", ["../../x.wav", "x.wav\0.exe", "a" * 4_000, "speech.exe", 'a"b.wav'])
async def test_a_file_name_means_nothing(audio: App, account: Account, spoken: bytes, name: str) -> None:
    assert (await hear(audio, account, spoken, name=name)).json()["text"] == SAID


MISSING: Final = "missing_required_parameter"
LONG: Final = riff((b"fmt ", fmt()), (b"data", bytes(64)), claimed=16_000 * 3 * 3600)


@pytest.mark.parametrize(
    ("files", "fields", "told"),
    [
        ([], {}, (MISSING, "file")),
        ([SOUND, SOUND], {}, ("invalid_value", "file")),
        ([SOUND], {"url": "https://files.example/a.wav"}, ("invalid_value", "url")),
        ([], {"file": "text"}, ("invalid_value", "file")),
        ([b""], {}, ("invalid_audio", "file")),
        ([b"this is no audio, it is a text"], {}, ("invalid_audio", "file")),
        ([PICTURE], {}, ("invalid_audio", "file")),
        ([wav(0)], {}, ("invalid_audio", "file")),
        ([SOUND], {"tone": "kind"}, ("invalid_value", "tone")),
        ([SOUND], {"timestamp_granularities__": "word"}, ("invalid_value", "timestamp_granularities")),
        ([SOUND], {"timestamp_granularities__": "letter", **VERBOSE}, ("invalid_value", "timestamp_granularities[0]")),
        ([SOUND], {"response_format": "exe"}, ("invalid_value", "response_format")),
        ([SOUND], {"language": "English"}, ("invalid_value", "language")),
        ([SOUND], {"temperature": "hot"}, ("invalid_value", "temperature")),
        ([SOUND], {"temperature": "nan"}, ("invalid_value", "temperature")),
        ([SOUND], {"temperature": "1.5"}, ("invalid_value", "temperature")),
        ([SOUND], {"temperature": ["0", "1"]}, ("invalid_value", "temperature")),
        ([SOUND], {"provider": "sandbox"}, ("invalid_json", None)),
        ([SOUND], {"upload_id": "upload_1"}, ("invalid_value", "upload_id")),
        ([SOUND], {"stream": "true"}, ("invalid_value", "stream")),
        ([SOUND], {"prompt": "a" * 8_193}, ("invalid_value", "prompt")),
    ],
)
async def test_a_bad_form_names_its_field(
    audio: App,
    account: Account,
    container: Container,
    files: Sequence[bytes],
    fields: Mapping[str, Any],
    told: tuple[str, str | None],
) -> None:
    assert refusal(await hear(audio, account, *files, **fields)) == (400, *told)
    assert await holds_of(container, account) == []


async def test_a_file_of_another_field_is_refused(audio: App, account: Account) -> None:
    response = await audio.client.post(
        PATH, data={"model": MODEL}, files={"file": SOUND, "audio": SOUND}, headers=account.authorization
    )
    assert refusal(response) == (400, "invalid_value", "audio")


@pytest.mark.parametrize("body", [{}, {"url": "https://a.example/a.wav", "upload_id": "upload_" + "0" * 26}])
async def test_json_takes_one_of_url_and_upload_id(audio: App, account: Account, body: Mapping[str, Any]) -> None:
    status, code, param = refusal(await hear_json(audio, account, **body))
    assert (status, code) == (400, "invalid_value" if body else MISSING)
    assert param == ("upload_id" if body else "url")


async def test_what_a_header_claims_beyond_the_file_is_not_believed(
    audio: App, account: Account, container: Container
) -> None:
    """64 bytes of samples are held and billed as what they are, whatever their header says."""
    response = await hear(audio, account, LONG)
    assert response.json()["usage"] == {"type": "duration", "seconds": 1, "cost": "0.0105"}
    assert (await wallet_of(container, account)).available == 10 * 10**9 - EACH


async def test_a_model_without_words_is_named(audio: App, account: Account) -> None:
    response = await hear(
        audio, account, SOUND, model="openai/gpt-4o-transcribe", timestamp_granularities__="word", **VERBOSE
    )
    status, code, param = refusal(response)
    assert (status, code, param) == (400, "unsupported_parameter", "timestamp_granularities")
    assert "GET /v1/models?capability=words" in error_of(response)["message"]
