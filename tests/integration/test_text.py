"""POST /v1/moderations, /v1/translations, /v1/classifications and /v1/rerank: shapes, order, bad bodies."""

from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest

from aig.modalities.moderate import CATEGORIES
from aig.wiring import Container
from aig_providers.sandbox_drawing import picture
from tests.apps import App
from tests.builders import Account, an_account, holds_of
from tests.integration.operations import PICTURE, data_url, error_of, fetches_from_loopback, refusal
from tests.unit.providers.site import running


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


async def ask(app: App, account: Account, path: str, **body: Any) -> httpx.Response:
    model = {"moderations": "moderate", "translations": "translate", "classifications": "classify"}.get(path, path)
    asked = {"model": f"sandbox/{model}", **body}
    return await app.client.post(f"/v1/{path}", json=asked, headers=account.authorization)


async def answer(app: App, account: Account, path: str, **body: Any) -> dict[str, Any]:
    response = await ask(app, account, path, **body)
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


def shown(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


BAD_PICTURE: Final = picture("flagme:sexual", "", 1, 64, 48)


async def test_a_moderation_has_openais_shape(text: App, account: Account) -> None:
    body = await answer(text, account, "moderations", input="please flagme:violence now")
    assert body["id"].startswith("modr_")
    assert body["model"] == "sandbox/moderate"
    (result,) = body["results"]
    assert result["flagged"] is True
    assert [name for name, flagged in result["categories"].items() if flagged] == ["violence"]
    for part in ("categories", "category_scores", "category_applied_input_types"):
        assert set(result[part]) == set(CATEGORIES)
    assert result["category_scores"]["violence"] > 0.9 > result["category_scores"]["hate"]
    assert set(map(tuple, result["category_applied_input_types"].values())) == {("text",)}
    assert body["usage"] == {"input_tokens": 3, "cost": "0.00000315"}


async def test_each_text_of_a_list_is_judged_by_itself(text: App, account: Account) -> None:
    body = await answer(text, account, "moderations", input=["fine", "flagme", "fine"])
    assert [result["flagged"] for result in body["results"]] == [False, True, False]


@pytest.mark.parametrize(
    ("parts", "flagged", "kinds"),
    [
        ([said("fine"), shown(data_url(PICTURE))], [], ["text", "image"]),
        ([said("fine"), shown(data_url(BAD_PICTURE))], ["sexual"], ["text", "image"]),
        ([shown(data_url(BAD_PICTURE)), said("flagme:hate")], ["hate", "sexual"], ["text", "image"]),
        ([shown(data_url(PICTURE)), shown(data_url(BAD_PICTURE))], ["sexual"], ["image"]),
    ],
)
async def test_parts_are_judged_together(
    text: App, account: Account, parts: list[Any], flagged: list[str], kinds: list[str]
) -> None:
    (result,) = (await answer(text, account, "moderations", input=parts))["results"]
    assert [name for name, is_flagged in result["categories"].items() if is_flagged] == flagged
    assert result["category_applied_input_types"]["violence"] == kinds


async def test_a_picture_at_a_url_is_fetched(text: App, account: Account) -> None:
    fetches_from_loopback(text)
    async with running() as site:
        site.says(BAD_PICTURE)
        url = f"http://127.0.0.1:{site.port}/a"
        (result,) = (await answer(text, account, "moderations", input=[shown(url)]))["results"]
        assert len(site.asked) == 1
    assert result["categories"]["sexual"] is True


async def test_so_many_pictures_by_url_and_so_large_together(
    text: App, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*parts: Any) -> tuple[int, str, str | None]:
        body = {"model": "sandbox/moderate", "input": list(parts)}
        return refusal(await text.client.post("/v1/moderations", json=body, headers=account.authorization))

    many = [shown(f"https://example.com/{number}.png") for number in range(5)]
    assert await refused(*many) == (400, "invalid_value", "input[4].image_url.url")
    monkeypatch.setattr("aig.modalities.media.limits.MAX_IMAGE_BYTES", len(PICTURE) + 1)
    one = shown(data_url(PICTURE))
    assert (await answer(text, account, "moderations", input=[one]))["results"]
    assert await refused(one, one) == (413, "request_too_large", "input[1].image_url.url")


async def test_texts_become_texts_of_the_language_in_their_order(text: App, account: Account) -> None:
    body = await answer(text, account, "translations", text=["one", "[de] zwei"], target_lang="pt-br")
    assert body["object"] == "translation"
    assert body["translations"] == [
        {"text": "[pt-BR] one", "source_lang": "en", "target_lang": "pt-BR"},
        {"text": "[pt-BR] zwei", "source_lang": "de", "target_lang": "pt-BR"},
    ]
    assert body["usage"] == {"characters": 12, "cost": "0.000126"}


@pytest.mark.parametrize(
    ("sent", "told"),
    [("pt", "pt"), ("PT-br", "pt-BR"), ("pt_BR", "pt-BR"), ("zh-hans", "zh-Hans"), ("fil", "fil")],
)
async def test_language_codes_however_they_are_written(text: App, account: Account, sent: str, told: str) -> None:
    body = await answer(text, account, "translations", text="one", target_lang=sent, source_lang="EN")
    assert body["translations"] == [{"text": f"[{told}] one", "source_lang": "en", "target_lang": told}]


async def test_labels_of_ones_own_are_ranked(text: App, account: Account) -> None:
    labels = ["refund request", "a question about delivery", "praise"]
    body = await answer(text, account, "classifications", input="my refund request", labels=labels)
    assert body["object"] == "classification"
    (result,) = body["results"]
    assert (result["index"], result["label"]) == (0, "refund request")
    assert {one["label"] for one in result["labels"]} == set(labels)
    scores = [one["score"] for one in result["labels"]]
    assert scores == sorted(scores, reverse=True)
    assert result["score"] == scores[0]
    assert sum(scores) == pytest.approx(1)
    # the text's three words, and the labels' seven
    assert body["usage"] == {"input_tokens": 10, "cost": "0.0000105"}


async def test_with_multi_label_each_label_is_judged_by_itself(text: App, account: Account) -> None:
    body = await answer(
        text, account, "classifications", input="red and round", labels=["red", "round"], multi_label=True
    )
    assert [one["score"] for one in body["results"][0]["labels"]] == pytest.approx([0.99, 0.99])


async def test_without_labels_the_model_has_its_own(text: App, account: Account) -> None:
    body = await answer(text, account, "classifications", input=["a great day", "an awful day"])
    assert [(one["index"], one["label"]) for one in body["results"]] == [(0, "positive"), (1, "negative")]


DOCUMENTS: Final = ["the cat sat", "a red fish", {"text": "one red cat"}, "nothing"]


async def test_documents_are_ranked_by_what_they_answer(text: App, account: Account) -> None:
    body = await answer(text, account, "rerank", query="red fish", documents=DOCUMENTS)
    assert body["object"] == "rerank"
    assert [one["index"] for one in body["results"]] == [1, 2, 0, 3]
    assert [one["relevance_score"] for one in body["results"]] == [1.0, 0.5, 0.0, 0.0]
    assert not any("document" in one for one in body["results"])
    assert body["usage"] == {"search_units": 1, "cost": "0.0105"}


async def test_the_best_with_their_texts(text: App, account: Account) -> None:
    body = await answer(text, account, "rerank", query="red fish", documents=DOCUMENTS, top_n=2, return_documents=True)
    assert body["results"] == [
        {"index": 1, "relevance_score": 1.0, "document": {"text": "a red fish"}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "one red cat"}},
    ]


async def test_more_than_there_are_are_all_of_them(text: App, account: Account) -> None:
    body = await answer(text, account, "rerank", query="red fish", documents=DOCUMENTS, top_n=100)
    assert len(body["results"]) == len(DOCUMENTS)


async def test_each_hundred_documents_are_a_search(text: App, account: Account) -> None:
    body = await answer(text, account, "rerank", query="q", documents=["a"] * 101)
    assert body["usage"] == {"search_units": 2, "cost": "0.021"}


MISSING: Final = "missing_required_parameter"
INVALID: Final = "invalid_value"
RANKED: Final[dict[str, Any]] = {"query": "q", "documents": ["a"]}
TRANSLATED: Final[dict[str, Any]] = {"text": "one", "target_lang": "pt"}


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("moderations", {}, MISSING, "input"),
        ("moderations", {"input": ""}, INVALID, "input"),
        ("moderations", {"input": []}, INVALID, "input"),
        ("moderations", {"input": ["a", ""]}, INVALID, "input[1]"),
        ("moderations", {"input": ["a", said("b")]}, INVALID, "input[1]"),
        ("moderations", {"input": [said("a"), "b"]}, INVALID, "input[1]"),
        ("moderations", {"input": ["a"] * 257}, INVALID, "input"),
        ("moderations", {"input": [said("a")] * 33}, INVALID, "input"),
        ("moderations", {"input": [{"type": "input_audio"}]}, INVALID, "input[0]"),
        ("moderations", {"input": [{"type": "text"}]}, MISSING, "input[0].text"),
        ("moderations", {"input": [shown("https://127.0.0.1/a.png")]}, "url_not_allowed", "input[0].image_url.url"),
        ("moderations", {"input": [said("a"), shown(data_url(b"<svg/>"))]}, "invalid_image", "input[1].image_url.url"),
        ("translations", {"text": "one"}, MISSING, "target_lang"),
        ("translations", {"target_lang": "pt"}, MISSING, "text"),
        ("translations", {**TRANSLATED, "text": []}, INVALID, "text"),
        ("translations", {**TRANSLATED, "text": ["a"] * 51}, INVALID, "text"),
        ("translations", {**TRANSLATED, "text": ["a", 1]}, INVALID, "text[1]"),
        ("translations", {**TRANSLATED, "text": "a" * 100_001}, INVALID, "text"),
        ("translations", {**TRANSLATED, "target_lang": "Portuguese"}, INVALID, "target_lang"),
        ("translations", {**TRANSLATED, "target_lang": "pt-"}, INVALID, "target_lang"),
        ("translations", {**TRANSLATED, "source_lang": "<script>"}, INVALID, "source_lang"),
        ("translations", {**TRANSLATED, "tone": "kind"}, INVALID, "tone"),
        ("classifications", {}, MISSING, "input"),
        ("classifications", {"input": "a", "labels": []}, INVALID, "labels"),
        ("classifications", {"input": "a", "labels": ["x", ""]}, INVALID, "labels[1]"),
        ("classifications", {"input": "a", "labels": ["x", "y", "x"]}, INVALID, "labels"),
        ("classifications", {"input": "a", "labels": ["x", " x "]}, INVALID, "labels"),
        ("classifications", {"input": "a", "labels": [str(n) for n in range(101)]}, INVALID, "labels"),
        ("classifications", {"input": ["a"] * 129}, INVALID, "input"),
        ("classifications", {"input": "a", "multi_label": "yes"}, INVALID, "multi_label"),
        ("rerank", {"query": "q"}, MISSING, "documents"),
        ("rerank", {**RANKED, "query": ""}, INVALID, "query"),
        ("rerank", {**RANKED, "documents": []}, INVALID, "documents"),
        ("rerank", {**RANKED, "documents": ["a", None]}, INVALID, "documents[1]"),
        ("rerank", {**RANKED, "documents": ["a", ""]}, INVALID, "documents[1]"),
        ("rerank", {**RANKED, "documents": [{"title": "a"}]}, INVALID, "documents[0].title"),
        ("rerank", {**RANKED, "documents": ["a"] * 1_001}, INVALID, "documents"),
        ("rerank", {**RANKED, "top_n": 0}, INVALID, "top_n"),
        ("rerank", {**RANKED, "top_n": -1}, INVALID, "top_n"),
        ("rerank", {**RANKED, "top_n": "2"}, INVALID, "top_n"),
    ],
)
async def test_a_bad_body_names_its_field(
    text: App, account: Account, container: Container, path: str, body: Mapping[str, Any], code: str, param: str
) -> None:
    assert refusal(await ask(text, account, path, **body)) == (400, code, param)
    assert await holds_of(container, account) == []


async def test_a_model_of_texts_only_is_named(text: App, account: Account) -> None:
    response = await ask(
        text, account, "moderations", model="local/lexical-moderation", input=[shown(data_url(PICTURE))]
    )
    assert refusal(response) == (400, "unsupported_parameter", "input")
    assert "GET /v1/models?capability=vision" in error_of(response)["message"]
