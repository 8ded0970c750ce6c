"""POST /v1/audio/speech: bytes as they come, their five forms, and who pays for what breaks off."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import httpx
import pytest

from aig import speech
from aig.catalog.model import Provider
from aig.modalities.media import audio as clips
from aig.modalities.speak import SpeakChunk, SpeakRequest
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.wiring import Container
from tests.apps import App, serving
from tests.builders import Account, an_account, debits_of, holds_of, losses_of, wallet_of
from tests.integration.operations import EACH, error_of, refusal
from tests.integration.test_settling import settled
from tests.logs import Log

PATH: Final = "/v1/audio/speech"
MODEL: Final = "sandbox/speech"
TEN_DOLLARS: Final = 10 * 10**9
SAID: Final = "Hello there. It works!"  # 22 characters of 60 ms, which are billed as two seconds
SECONDS: Final = 1.32


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


async def speak(app: App, account: Account, text: str = SAID, **body: Any) -> httpx.Response:
    asked = {"model": MODEL, "input": text, **body}
    return await app.client.post(PATH, json=asked, headers=account.authorization)


async def messages(app: App, account: Account, text: str) -> list[bytes]:
    """The bodies of the answer's messages, each as it was handed to the server."""
    sent: list[bytes] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def kept(message: Any) -> None:
            sent.append(message.get("body", b""))
            await send(message)

        await app.module.app(scope, receive, kept)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(watched), base_url="http://gateway") as client:
        body = {"model": MODEL, "input": text, "response_format": "wav"}
        await client.post(PATH, json=body, headers=account.authorization)
    return [body for body in sent if body]


@pytest.mark.parametrize(
    ("form", "media_type", "magic"),
    [
        ("mp3", "audio/mpeg", b"ID3"),
        ("wav", "audio/wav", b"RIFF"),
        ("opus", "audio/ogg", b"OggS"),
        ("flac", "audio/flac", b"fLaC"),
        ("pcm", "audio/pcm", b""),
    ],
)
async def test_five_forms(audio: App, account: Account, form: str, media_type: str, magic: bytes) -> None:
    first, second = [await speak(audio, account, response_format=form) for _ in range(2)]
    assert (first.status_code, first.headers["content-type"]) == (200, media_type)
    assert first.content.startswith(magic)
    seconds = len(first.content) / 48_000 if form == "pcm" else clips.read(first.content).seconds
    assert seconds == pytest.approx(SECONDS, abs=0.06)
    assert [told.headers["x-cache"] for told in (first, second)] == ["miss", "hit"]
    assert second.content == first.content
    assert [told.headers["x-aig-cost"] for told in (first, second)] == ["0.021", "0.0021"]


async def test_mp3_is_what_comes_without_a_form(audio: App, account: Account) -> None:
    assert (await speak(audio, account)).headers["content-type"] == "audio/mpeg"


async def test_a_wav_is_24_khz_of_16_bits_mono(audio: App, account: Account) -> None:
    response = await speak(audio, account, response_format="wav")
    with wave.open(io.BytesIO(response.content)) as reader:
        assert (reader.getframerate(), reader.getsampwidth(), reader.getnchannels()) == (24_000, 2, 1)
        assert reader.getnframes() / 24_000 == SECONDS


async def test_twice_the_speed_is_half_the_length_and_the_cost(audio: App, account: Account) -> None:
    response = await speak(audio, account, response_format="wav", speed=2)
    assert clips.read(response.content).seconds == pytest.approx(SECONDS / 2)
    assert response.headers["x-aig-cost"] == "0.0105"


async def test_the_answer_has_no_length_and_comes_in_pieces(audio: App, account: Account) -> None:
    assert "content-length" not in (await speak(audio, account)).headers
    pieces = await messages(audio, account, SAID)
    assert len(pieces) > len(SAID)  # a head, and a piece for each character
    again = await messages(audio, account, SAID)
    assert b"".join(again) == b"".join(pieces)


class Speaker:
    """In the place of all providers: says one piece, and the other when it is told to, or breaks off there."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.go_on = asyncio.Event()
        self.breaks = breaks

    def get(self, provider: Provider) -> "Speaker":
        return self

    @property
    def speak(self) -> "_Speaking":
        return _Speaking(self)


class _Speaking:
    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    async def speak(self, upstream: Upstream, request: SpeakRequest) -> AsyncGenerator[SpeakChunk, None]:
        yield SpeakChunk(b"first")
        await self._speaker.go_on.wait()
        if self._speaker.breaks:
            raise ConnectionResetError
        yield SpeakChunk(b" second")
        yield SpeakChunk(usage=Usage({"seconds": 2}))


def request_bytes(account: Account) -> bytes:
    body = json.dumps({"model": MODEL, "input": SAID}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {account.key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_each_piece_is_sent_before_the_next_is_there(audio: App, account: Account, container: Container) -> None:
    audio.replace(adapters=(speaker := Speaker()))
    async with asyncio.timeout(30), serving(audio.module.app) as port, httpx.AsyncClient() as client:
        body = {"model": MODEL, "input": SAID}
        url = f"http://127.0.0.1:{port}{PATH}"
        async with client.stream("POST", url, json=body, headers=account.authorization) as answer:
            pieces = answer.aiter_raw()
            assert await anext(pieces) == b"first"
            assert await debits_of(container, account) == []
            speaker.go_on.set()
            assert b"".join([piece async for piece in pieces]) == b" second"
    assert [row["amount"] for row in await debits_of(container, account)] == [2 * EACH]


async def test_a_client_that_hangs_up_pays_for_all_of_it(audio: App, account: Account, container: Container) -> None:
    audio.replace(adapters=(speaker := Speaker()))
    async with asyncio.timeout(30), serving(audio.module.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes(account))
        await reader.readuntil(b"first")
        writer.transport.abort()
        speaker.go_on.set()
        await settled(container, account)
    (debit,) = await debits_of(container, account)
    assert (debit["amount"], debit["estimated"]) == (2 * EACH, False)
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS - 2 * EACH, 0)


@pytest.mark.parametrize("by", ["sandbox/cut", "its provider"])
async def test_speech_that_breaks_off_costs_nothing_and_is_our_loss(
    audio: App, requests: App, account: Account, container: Container, logged: Log, by: str
) -> None:
    model = by
    if by == "its provider":
        audio.replace(adapters=(speaker := Speaker(breaks=True)))
        speaker.go_on.set()
        model = MODEL
    async with asyncio.timeout(30), serving(audio.module.app) as port, httpx.AsyncClient() as client:
        body = {"model": model, "input": SAID, "response_format": "wav"}
        with pytest.raises(httpx.RemoteProtocolError):  # the body has no end, so that nobody takes it for whole
            await client.post(f"http://127.0.0.1:{port}{PATH}", json=body, headers=account.authorization)
        await settled(container, account)
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)
    assert await debits_of(container, account) == []
    (loss,) = await losses_of(container, account)
    assert (loss["reason"], loss["model"]) == ("broken_stream", model)
    assert loss["amount"] > 0
    (record,) = (await requests.client.get("/v1/requests", headers=account.authorization)).json()["data"]
    assert record["error"] == "provider_unavailable"
    assert logged.lines("UnhandledError") == []


async def test_speech_that_outlasts_the_function_is_broken_off(
    audio: App, requests: App, account: Account, container: Container, logged: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "STREAM_S", 0.2)
    audio.replace(adapters=Speaker())  # who never goes on
    async with asyncio.timeout(30), serving(audio.module.app) as port, httpx.AsyncClient() as client:
        body = {"model": MODEL, "input": SAID}
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"http://127.0.0.1:{port}{PATH}", json=body, headers=account.authorization)
        await settled(container, account)
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)
    (loss,) = await losses_of(container, account)
    assert loss["reason"] == "broken_stream"
    (record,) = (await requests.client.get("/v1/requests", headers=account.authorization)).json()["data"]
    assert record["error"] == "upstream_timeout"
    assert audio.module.gateway.traffic.well(f"sandbox/{MODEL}")  # it was we who ended it
    assert logged.lines("UnhandledError") == []


async def test_speech_that_broke_off_is_not_given_again(audio: App, account: Account) -> None:
    await speak(audio, account, model="sandbox/cut")
    assert (await speak(audio, account, model="sandbox/cut")).headers["x-cache"] == "miss"


async def test_a_provider_that_tells_no_usage_is_paid_by_what_was_heard(
    audio: App, account: Account, container: Container
) -> None:
    assert (await speak(audio, account, model="sandbox/no-usage", response_format="wav")).status_code == 200
    (debit,) = await debits_of(container, account)
    # sandbox/no-usage has a price for characters and for tokens too: the text is taken for 6, its sound for 28.
    tokens = 6 * 1_050 + 28 * 2_100
    assert (debit["amount"], debit["estimated"]) == (2 * EACH + len(SAID) * 10_500 + tokens, True)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": ["a"]}, "input"),
        ({"input": "a" * 10_001}, "input"),
        ({"response_format": "aac"}, "response_format"),
        ({"speed": 0}, "speed"),
        ({"speed": 5}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"voice": ""}, "voice"),
        ({"voice": "a" * 201}, "voice"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"instructions": "a" * 4_097}, "instructions"),
        ({"pitch": 2}, "pitch"),
    ],
)
async def test_a_bad_body_names_its_field(
    audio: App, account: Account, container: Container, body: Mapping[str, Any], param: str
) -> None:
    response = await speak(audio, account, **body)
    assert (response.status_code, error_of(response)["param"]) == (400, param)
    assert (await wallet_of(container, account)).available == TEN_DOLLARS
    assert {hold["phase"] for hold in await holds_of(container, account)} <= {"void"}


async def test_a_text_too_long_for_the_model_is_told_so(audio: App, container: Container) -> None:
    rich = await an_account(container, "20.00")  # for it may take a quarter of a second to say a character
    assert refusal(await speak(audio, rich, "a" * 4_097)) == (400, "string_above_max_length", "input")
    assert (await wallet_of(container, rich)).available == 2 * TEN_DOLLARS
