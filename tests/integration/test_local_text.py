"""The local text models in a server of their own process: real vectors, rankings, labels, translations, flags."""

import asyncio
import base64
import math
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from local.models.app import ModelServer
from local.models.registry import Modality, Source
from tests.model_server import needs, serving

MODELS = "embed,rerank,classify,translate,moderate"
EMBED, RERANK, ZERO_SHOT = "minilm-l6-v2", "minilm-rerank", "minilm-zeroshot"
SENTIMENT, TRANSLATE, MODERATE = "vader-sentiment", "bergamot", "lexical-moderation"
LONG = "the cat sat on the mat " * 60

needs_minilm = needs(EMBED, RERANK, ZERO_SHOT)
needs_sentiment = needs(SENTIMENT)
needs_translation = needs(TRANSLATE)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("models") / "stderr.log", MODELS) as (_, url):
        yield url


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=60) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str, status: int = 200, **body: object) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    parsed: dict[str, Any] = answer.json()
    return parsed


def cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


async def vectors(client: httpx.AsyncClient, *texts: str) -> list[list[float]]:
    answer = await post(client, "/embeddings", model=EMBED, input=list(texts))
    return [row["embedding"] for row in answer["data"]]


@needs_minilm
async def test_vectors_of_like_meaning_are_near(client: httpx.AsyncClient) -> None:
    king, queen, soup = await vectors(client, "How old are you?", "What is your age?", "The soup needs salt.")
    assert len(king) == 384
    assert math.isclose(cosine(king, king), 1, abs_tol=1e-5)
    assert cosine(king, queen) > 0.7 > 0.3 > cosine(king, soup)


@needs_minilm
async def test_a_text_s_vector_does_not_hang_on_its_neighbours(client: httpx.AsyncClient) -> None:
    (alone,) = await vectors(client, "hello")
    *_, among = await vectors(client, "a much longer text that comes first " * 10, "hello")
    assert among == alone


@needs_minilm
async def test_usage_counts_the_tokens_that_were_read(client: httpx.AsyncClient) -> None:
    one = (await post(client, "/embeddings", model=EMBED, input="hello world"))["usage"]
    both = (await post(client, "/embeddings", model=EMBED, input=["hello world", "hello world"]))["usage"]
    assert one == {"prompt_tokens": 4, "total_tokens": 4}  # with the marks of beginning and end
    assert both["prompt_tokens"] == 8


@needs_minilm
async def test_base64_is_the_same_vector(client: httpx.AsyncClient) -> None:
    (plain,) = await vectors(client, "hello")
    answer = await post(client, "/embeddings", model=EMBED, input="hello", encoding_format="base64")
    assert struct.unpack("<384f", base64.b64decode(answer["data"][0]["embedding"])) == pytest.approx(plain)


@needs_minilm
async def test_openai_s_client_reads_the_vectors(base_url: str) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        answer = await client.embeddings.create(model=EMBED, input=["a", "b"])
    assert [len(row.embedding) for row in answer.data] == [384, 384]


@needs_minilm
async def test_a_whole_batch_is_answered(client: httpx.AsyncClient) -> None:
    answer = await post(client, "/embeddings", model=EMBED, input=["x"] * 300, encoding_format="base64")
    assert [row["index"] for row in answer["data"]] == list(range(300))


@needs_minilm
@pytest.mark.parametrize("text", [LONG, "x " * 1_000_000])
async def test_a_text_over_the_context_is_refused_and_not_cut(client: httpx.AsyncClient, text: str) -> None:
    error = (await post(client, "/embeddings", 400, model=EMBED, input=["short", text]))["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["param"] == "input[1]"
    assert "256" in error["message"]


@needs_minilm
async def test_the_right_document_comes_first(client: httpx.AsyncClient) -> None:
    documents = ["Bananas are rich in potassium.", {"text": "To get a new password, follow 'forgot your login?'."}]
    answer = await post(client, "/rerank", model=RERANK, query="I cannot sign in any more", documents=documents)
    first, second = answer["results"]
    assert (first["index"], second["index"]) == (1, 0)
    assert 1 >= first["relevance_score"] > 0.3 > second["relevance_score"] >= 0
    assert "document" not in first
    assert answer["usage"]["total_tokens"] > 0


@needs_minilm
async def test_what_is_far_down_a_long_document_counts(client: httpx.AsyncClient) -> None:
    documents = [LONG, f"{LONG} The password can be reset under Settings. {LONG}"]
    answer = await post(client, "/rerank", model=RERANK, query="reset the password", documents=documents, top_n=1)
    assert [row["index"] for row in answer["results"]] == [1]


@needs_minilm
async def test_the_caller_s_labels_are_chosen_from(client: httpx.AsyncClient) -> None:
    texts = ["My card was charged twice.", "The parcel never arrived."]
    labels = ["shipping", "billing", "weather"]
    answer = await post(client, "/classifications", model=ZERO_SHOT, input=texts, labels=labels)
    assert [row["label"] for row in answer["results"]] == ["billing", "shipping"]
    for row in answer["results"]:
        assert sum(label["score"] for label in row["labels"]) == pytest.approx(1, abs=1e-4)
    assert answer["usage"]["input_tokens"] > 0


@needs_minilm
async def test_with_multi_label_several_labels_are_likely_at_once(client: httpx.AsyncClient) -> None:
    text = "Bake the bread, then plant the tomatoes and water the garden."
    labels = ["cooking", "gardening", "football"]
    body: dict[str, Any] = {"model": ZERO_SHOT, "input": text, "labels": labels, "multi_label": True}
    (row,) = (await post(client, "/classifications", **body))["results"]
    likely = {label["label"] for label in row["labels"] if label["score"] > 0.5}
    assert likely == {"cooking", "gardening"}


@needs_minilm
async def test_zero_shot_without_labels_is_refused(client: httpx.AsyncClient) -> None:
    error = (await post(client, "/classifications", 400, model=ZERO_SHOT, input="x"))["error"]
    assert error["param"] == "labels"


@needs_minilm
async def test_the_models_of_one_engine_load_it_once(client: httpx.AsyncClient) -> None:
    await post(client, "/embeddings", model=EMBED, input="x")
    health = (await client.get(str(client.base_url).removesuffix("/v1/") + "/health")).json()["models"]
    assert {health[model]["state"] for model in (EMBED, RERANK, ZERO_SHOT)} == {"ready"}


@needs_minilm
async def test_hanging_up_in_a_batch_frees_the_engine(client: httpx.AsyncClient) -> None:
    text = "the cat sat on the mat " * 35
    abandoned = asyncio.create_task(post(client, "/embeddings", model=EMBED, input=[text] * 2048))
    health = str(client.base_url).removesuffix("/v1/") + "/health"
    async with asyncio.timeout(60):
        while not (await client.get(health)).json()["models"][EMBED]["running"]:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.01)
        abandoned.cancel()
        await vectors(client, "hello")


@needs_sentiment
async def test_sentiment(client: httpx.AsyncClient) -> None:
    texts = ["I love it, great work!", "I hate this broken phone.", "The meeting is at three."]
    answer = await post(client, "/classifications", model=SENTIMENT, input=texts)
    assert [row["label"] for row in answer["results"]] == ["positive", "negative", "neutral"]


@needs_sentiment
async def test_sentiment_takes_no_labels(client: httpx.AsyncClient) -> None:
    error = (await post(client, "/classifications", 400, model=SENTIMENT, input="x", labels=["a", "b"]))["error"]
    assert error["param"] == "labels"
    assert "minilm-zeroshot" in error["message"]


@needs_translation
async def test_translates_both_ways_and_tells_the_language(client: httpx.AsyncClient) -> None:
    to_pt = await post(client, "/translations", model=TRANSLATE, text="The black dog sleeps.", target_lang="pt-BR")
    (row,) = to_pt["translations"]
    assert (row["source_lang"], row["target_lang"]) == ("en", "pt")
    assert row["text"].startswith("O c")
    assert row["text"].endswith("dorme.")
    to_en = await post(client, "/translations", model=TRANSLATE, text=["O cachorro preto dorme."], target_lang="en")
    assert to_en["translations"][0]["source_lang"] == "pt"
    assert "black dog" in to_en["translations"][0]["text"]
    assert to_en["usage"] == {"characters": 23}


@needs_translation
async def test_no_sentence_or_line_of_a_long_text_is_left_out(client: httpx.AsyncClient) -> None:
    text = "The committee met on Monday. " * 40 + "\n\n- 42 -\n\nIt was over at three."
    answer = await post(client, "/translations", model=TRANSLATE, text=text, source_lang="en", target_lang="pt")
    translated = answer["translations"][0]["text"]
    assert translated.count("segunda-feira") == 40
    assert "\n\n- 42 -\n\n" in translated


@needs_translation
async def test_a_word_of_portuguese_is_not_taken_for_english(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {
        "model": TRANSLATE,
        "text": "The boy is in the park.",
        "source_lang": "en",
        "target_lang": "pt",
    }
    assert "no parque" in (await post(client, "/translations", **body))["translations"][0]["text"]


@needs_translation
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"text": "Hello.", "source_lang": "en", "target_lang": "fr"}, "target_lang"),
        ({"text": "Hello.", "source_lang": "fr", "target_lang": "en"}, "source_lang"),
        ({"text": "Hello, my good friend.", "target_lang": "en"}, "target_lang"),
        ({"text": ["Hello.", "Ich möchte ein Zimmer reservieren."], "target_lang": "pt"}, "text[1]"),
    ],
)
async def test_other_languages_are_refused_with_the_pairs_that_there_are(
    client: httpx.AsyncClient, body: dict[str, Any], param: str
) -> None:
    error = (await post(client, "/translations", 400, model=TRANSLATE, **body))["error"]
    assert error["code"] == "unsupported_language"
    assert error["param"] == param
    assert "en to pt, pt to en" in error["message"]


async def test_moderation_flags_a_threat_and_passes_a_process(client: httpx.AsyncClient) -> None:
    texts = ["I will kill you.", "Kill the process with pid 42."]
    answer = await post(client, "/moderations", model=MODERATE, input=texts)
    threat, process = answer["results"]
    assert threat["flagged"]
    assert threat["categories"]["harassment/threatening"]
    assert threat["category_applied_input_types"]["harassment/threatening"] == ["text"]
    assert not process["flagged"]


async def test_openai_s_client_reads_the_moderation(base_url: str) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        answer = await client.moderations.create(model=MODERATE, input="You are a stupid idiot.")
    assert answer.results[0].categories.harassment


async def test_text_moderation_refuses_pictures(client: httpx.AsyncClient) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    error = (await post(client, "/moderations", 400, model=MODERATE, input=parts))["error"]
    assert error["code"] == "unsupported_value"


async def test_a_model_of_another_kind_is_not_found_and_the_right_ones_are_named(client: httpx.AsyncClient) -> None:
    error = (await post(client, "/embeddings", 404, model=MODERATE, input="x"))["error"]
    assert error["code"] == "model_not_found"
    assert EMBED in error["message"]


async def test_what_was_not_asked_for_is_not_served(client: httpx.AsyncClient) -> None:
    assert (await client.post("/chat/completions", json={})).status_code == 404


async def test_each_model_is_listed_with_its_modality(client: httpx.AsyncClient) -> None:
    rows = (await client.get("/models")).json()["data"]
    assert ("lexical-moderation", "moderate") in [(row["id"], row["modality"]) for row in rows]
    assert "chat" not in {row["modality"] for row in rows}


async def test_a_missing_package_is_named_with_the_group_to_install() -> None:
    source = Source("ghost", "local.models.ghost", "models-text", {"no_such_module": "no-such-package"})
    app = ModelServer([Modality("embed", "local.models.embeddings", (source,))]).app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://models/v1") as client:
        error = (await post(client, "/embeddings", 503, model="ghost", input="x"))["error"]
    assert error["code"] == "package_missing"
    assert "no-such-package" in error["message"]
    assert "--group models-text" in error["message"]
