"""A walk through every modality as a new user takes it: the `openai` package, no keys, local models and the sandbox.

Each call shows its cost and, asked twice, is a hit at a tenth; each is in the usage reports under its tag.
"""

import base64
import io
import time
import wave
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import httpx
import openai
import pytest
from openai import OpenAI

from tests.e2e.stack import Stack
from tests.model_server import needs

VOICE, EARS, EYES, RANKER = "piper-joe", "whisper-tiny-en", "rapidocr", "minilm-rerank"
TRANSLATOR, LABELLER, MODERATOR = "bergamot", "minilm-zeroshot", "lexical-moderation"
MODELS: Final = (VOICE, EARS, EYES, RANKER, TRANSLATOR, LABELLER, MODERATOR)
SENTENCE: Final = "The weather is lovely today."
NANO: Final = Decimal("0.000000001")
PATIENCE_S: Final = 20.0

pytestmark = [needs(*MODELS), pytest.mark.timeout(300)]


class Walk:
    """A client of a running stack, that asks everything twice."""

    def __init__(self, client: OpenAI) -> None:
        self.client = client

    def twice(self, tag: str, ask: Callable[[dict[str, str]], Any]) -> Any:
        """The second answer to a call that has cost a tenth of the first; both are in the report of their tag."""
        first, second = [ask({"x-aig-tag": tag}) for _ in range(2)]
        assert [answer.headers["x-cache"] for answer in (first, second)] == ["miss", "hit"]
        cost, hit = [Decimal(answer.headers["x-aig-cost"]) for answer in (first, second)]
        assert cost > 0
        assert abs(hit - cost / 10) < NANO
        deadline, shown = time.monotonic() + PATIENCE_S, (0, Decimal(0))
        while shown != (2, cost + hit):  # the ledger's stream is counted a moment later
            assert time.monotonic() < deadline, (shown, cost, hit)
            shown = self._reported(tag)
        return second

    def _reported(self, tag: str) -> tuple[int, Decimal]:
        """The requests of a tag, and what they cost."""
        usage = self.client.get("/usage/by-tag", cast_to=httpx.Response).json()
        rows = [row for row in usage["data"] if row["tag"] == tag]
        return sum(row["requests"] for row in rows), sum((Decimal(row["cost"]) for row in rows), Decimal(0))

    def post(self, path: str, tag: str, **body: Any) -> Any:
        """The second answer to what the client has no method for."""

        def ask(headers: dict[str, str]) -> httpx.Response:
            return self.client.post(path, cast_to=httpx.Response, body=body, options={"headers": headers})

        return self.twice(tag, ask).json()


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    with Stack(MODELS=",".join(MODELS)) as stack, OpenAI(base_url=stack.base_url, api_key=stack.key) as client:
        yield Walk(client)


def test_what_is_spoken_is_written_down_again(walk: Walk) -> None:
    speech = walk.twice(
        "speak",
        lambda headers: walk.client.audio.speech.with_raw_response.create(
            model=f"local/{VOICE}", voice="joe", input=SENTENCE, response_format="wav", extra_headers=headers
        ),
    )
    assert speech.headers["content-type"] == "audio/wav"
    heard = walk.twice(
        "transcribe",
        lambda headers: walk.client.audio.transcriptions.with_raw_response.create(
            model=f"local/{EARS}", file=("speech.wav", speech.content), extra_headers=headers
        ),
    ).parse()
    # Piper's voice is not twice the same, and a capital is not to be heard: one in six begins with a small letter.
    assert heard.text.strip().lower() == SENTENCE.lower()


def rendered(text: str) -> str:
    """A picture of the text, as base64."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (900, 160), "white")
    ImageDraw.Draw(image).text((40, 50), text, font=ImageFont.load_default(36), fill="black")
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_a_picture_is_read(walk: Walk) -> None:
    read = walk.post("/ocr", "read", model=f"local/{EYES}", image_b64=rendered("Total to pay: 34.47 EUR"))
    assert read["text"] == "Total to pay: 34.47 EUR"


def test_passages_are_ranked(walk: Walk) -> None:
    passages = [
        "The Eiffel Tower is 330 metres tall.",
        "Bananas are rich in potassium.",
        "Lisbon is the capital city of Portugal.",
        "A cat sleeps for most of the day.",
        "The bank opens at nine o'clock.",
    ]
    ranked = walk.post(
        "/rerank", "rank", model=f"local/{RANKER}", query="What is the capital of Portugal?", documents=passages
    )
    assert len(ranked["results"]) == 5
    assert ranked["results"][0]["index"] == 2


def test_a_text_is_translated(walk: Walk) -> None:
    told = walk.post(
        "/translations", "translate", model=f"local/{TRANSLATOR}", text="Good morning, my friend.", target_lang="pt"
    )
    (translation,) = told["translations"]
    assert (translation["source_lang"], translation["target_lang"]) == ("en", "pt")
    assert translation["text"].startswith("Bom dia")


def test_a_text_is_given_one_of_ones_own_labels(walk: Walk) -> None:
    told = walk.post(
        "/classifications",
        "classify",
        model=f"local/{LABELLER}",
        input="My parcel has not arrived yet, where is it?",
        labels=["delivery", "cooking", "music"],
    )
    assert told["results"][0]["label"] == "delivery"


def test_a_threat_is_flagged(walk: Walk) -> None:
    judged = walk.twice(
        "moderate",
        lambda headers: walk.client.moderations.with_raw_response.create(
            model=f"local/{MODERATOR}", input=["I will kill you", "I like tea"], extra_headers=headers
        ),
    ).parse()
    assert [result.flagged for result in judged.results] == [True, False]


def test_a_picture_is_made_and_its_link_opens(walk: Walk) -> None:
    made = walk.twice(
        "paint",
        lambda headers: walk.client.images.with_raw_response.generate(
            model="sandbox/image", prompt="a cat", size="1024x1024", extra_body={"seed": 7}, extra_headers=headers
        ),
    ).parse()
    url = made.data[0].url
    opened = httpx.get(url, follow_redirects=True)  # as a browser does, without a key
    assert (opened.status_code, opened.headers["content-type"]) == (200, "image/png")
    assert opened.content.startswith(b"\x89PNG")
    assert httpx.get(url.replace("sig=", "sig=0")).status_code == 403


def test_a_file_that_is_too_large_for_a_request_goes_by_an_upload(walk: Walk) -> None:
    with wave.open(file := io.BytesIO(), "wb") as writer:
        writer.setparams((1, 2, 24_000, 0, "NONE", ""))
        writer.writeframes(bytes(2 * 24_000 * 150))  # 7.2 MB of silence
    data = file.getvalue()
    with pytest.raises(openai.APIStatusError) as refused:
        walk.client.audio.transcriptions.create(model="sandbox/transcribe", file=("long.wav", data))
    assert refused.value.status_code == 413
    upload = walk.client.post("/uploads", cast_to=httpx.Response, body={"bytes": len(data)}).json()
    httpx.put(upload["url"], content=data).raise_for_status()
    heard = walk.post("/audio/transcriptions", "upload", model="sandbox/transcribe", upload_id=upload["id"])
    assert heard["text"].startswith("sandbox heard 150.0 seconds of audio/wav")
