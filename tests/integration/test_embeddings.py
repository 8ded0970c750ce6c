"""POST /v1/embeddings through the function's app: shapes, encodings, order, metering, bad bodies."""

import base64
import math
from array import array
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from aig.wiring import Container
from tests.apps import App
from tests.builders import Account, an_account

MODEL = "sandbox/embed"


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


async def ask(app: App, account: Account, **body: Any) -> httpx.Response:
    return await app.client.post("/v1/embeddings", json={"model": MODEL, **body}, headers=account.authorization)


def vectors(response: httpx.Response) -> list[list[float]]:
    assert response.status_code == 200, response.text
    entries = response.json()["data"]
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    return [entry["embedding"] for entry in entries]


async def test_texts_become_unit_vectors_in_order(embeddings: App, account: Account) -> None:
    first = vectors(await ask(embeddings, account, input=["hello", "world", "hello"]))
    assert first[0] == first[2] != first[1]
    assert all(math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-6) for vector in first)
    assert vectors(await ask(embeddings, account, input="world")) == [first[1]]


async def test_base64_is_the_same_vector_as_float32(embeddings: App, account: Account) -> None:
    (floats,) = vectors(await ask(embeddings, account, input="hello"))
    (text,) = vectors(await ask(embeddings, account, input="hello", encoding_format="base64"))
    assert array("f", base64.b64decode(str(text))).tolist() == floats


async def test_dimensions_are_honoured(embeddings: App, account: Account) -> None:
    (vector,) = vectors(await ask(embeddings, account, input="hello", dimensions=64))
    assert len(vector) == 64


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2, 3], [4]]])
async def test_token_ids_are_inputs(embeddings: App, account: Account, tokens: list[Any]) -> None:
    response = await ask(embeddings, account, input=tokens)
    assert len(vectors(response)) == (1 if tokens == [1, 2, 3] else 2)
    assert response.json()["usage"]["prompt_tokens"] == (3 if tokens == [1, 2, 3] else 4)


async def test_it_is_metered_to_the_last_digit(embeddings: App, account: Account) -> None:
    response = await ask(embeddings, account, input=["one two three", "four"])
    usage = response.json()["usage"]
    assert (usage["prompt_tokens"], usage["total_tokens"]) == (4, 4)
    # 4 tokens at 0.10 USD a million and five per cent
    assert usage["cost"] == response.headers["x-aig-cost"] == "0.00000042"
    assert (response.headers["x-aig-model"], response.headers["x-aig-provider"]) == (MODEL, "sandbox")
    wallet = await embeddings.module.container.wallets.wallet(account.id)
    assert wallet.held == 0


async def test_two_thousand_texts_are_one_request(embeddings: App, account: Account) -> None:
    found = vectors(await ask(embeddings, account, input=[f"text {number}" for number in range(2048)], dimensions=64))
    assert len(found) == 2048
    assert found[2047] == vectors(await ask(embeddings, account, input="text 2047", dimensions=64))[0]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [1, "a"]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [-1]}, "input[0]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": "64"}, "dimensions"),
        ({"input": "a", "input_type": "poem"}, "input_type"),
        ({"input": "a", "unknown": 1}, "unknown"),
        ({"input": "a", "provider": {"only": ["openai"]}}, "provider"),
        ({"input": "a", "model": None}, "model"),
        ({"input": "a", "model": "sandbox/echo"}, "model"),
    ],
)
async def test_a_bad_body_names_its_field(
    embeddings: App, account: Account, body: Mapping[str, Any], param: str
) -> None:
    response = await ask(embeddings, account, **body)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param), error


async def test_chat_refuses_a_model_that_embeds(chat: App, account: Account) -> None:
    error = (await chat.ask(account, model=MODEL)).json()["error"]
    assert (error["code"], error["param"]) == ("wrong_modality", "model")
    assert "GET /v1/models?capability=chat" in error["message"]
