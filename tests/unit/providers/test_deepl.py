"""DeepL: its names of languages, its limits on a request, and what it bills."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.translate import TranslateRequest, Translation
from aig.modalities.upstream import Timeouts
from aig_providers.deepl import DeepLTranslate, build_request, parse, source_language, target_language
from aig_providers.wire import HttpRequest, Reply
from tests.unit.providers.replies import Canned, posting, upstream


def request(*texts: str, target: str = "de", source: str | None = None) -> TranslateRequest:
    return TranslateRequest((), texts, target, source)


def answer(*entries: Any) -> bytes:
    return json.dumps({"translations": entries}).encode()


def entry(text: str, billed: Any = 2, found: Any = "EN") -> dict[str, Any]:
    return {"text": text, "detected_source_language": found, "billed_characters": billed}


@pytest.mark.parametrize(
    ("code", "target"),
    [
        ("de", "DE"), ("DE", "DE"), ("de-AT", "DE"), ("en", "EN-US"), ("en-gb", "EN-GB"), ("en-AU", "EN-US"),
        ("pt", "PT-BR"), ("pt-PT", "PT-PT"), ("zh", "ZH-HANS"), ("zh-CN", "ZH-HANS"), ("zh-TW", "ZH-HANT"),
        ("zh-hant", "ZH-HANT"), ("es-419", "ES-419"), ("es-MX", "ES"), ("no", "NB"), ("nb", "NB"),
    ],
)  # fmt: skip
def test_a_target_is_named_with_the_variant_that_is_meant(code: str, target: str) -> None:
    assert target_language(code) == target


@pytest.mark.parametrize(("code", "source"), [("en-US", "EN"), ("pt-br", "PT"), ("zh-Hans", "ZH"), ("no", "NB")])
def test_a_source_has_no_variants(code: str, source: str) -> None:
    assert source_language(code) == source


def test_what_is_sent() -> None:
    http = build_request(upstream(api_key="k:fx"), request("a", "b", target="pt-BR", source="en-US"), ["a", "b"])
    assert (http.url, http.headers["Authorization"]) == ("https://acme.example/v1/translate", "DeepL-Auth-Key k:fx")
    assert json.loads(http.body) == {
        "text": ["a", "b"], "target_lang": "PT-BR", "source_lang": "EN", "show_billed_characters": True
    }  # fmt: skip
    assert "source_lang" not in json.loads(build_request(upstream(), request("a"), ["a"]).body)


def test_what_comes_back() -> None:
    result = parse(answer(entry("x", 3), entry("y", 4, "FR")), request("a", "b"), ["a", "b"])
    assert result.translations == [Translation("x", "en"), Translation("y", "fr")]
    assert result.usage is not None
    assert result.usage.units == {"characters": 7}
    known = parse(answer(entry("x")), request("a", source="en"), ["a"])
    assert known.translations == [Translation("x", None)]


def test_what_is_billed_is_counted_by_us_if_nobody_tells() -> None:
    untold = [{"text": "x", "detected_source_language": "EN"}]
    assert parse(answer(*untold), request("a"), ["a"]).usage is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", answer(), answer(entry("x"), entry("y")), answer(5), answer({"text": "x"}),
        answer(entry("x", -1)), answer(entry("x", "2")), answer(entry("x", found=None)),
        answer({**entry("x"), "text": 5}),
    ],
)  # fmt: skip
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse(body, request("a"), ["a"])
    assert raised.value.kind == "malformed"


class Server:
    """Translates to upper case, as far as it is let."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.batches: list[list[str]] = []
        self._fails_at = fails_at

    @asynccontextmanager
    async def post(self, http: HttpRequest, _: Timeouts) -> AsyncIterator[Reply]:
        texts = json.loads(http.body)["text"]
        if len(self.batches) == self._fails_at:
            yield Canned([b'{"message": "Quota Exceeded"}'], 456)
            return
        self.batches.append(texts)
        yield Canned([answer(*(entry(text.upper(), len(text)) for text in texts))])


async def test_many_texts_are_sent_in_pieces_and_come_back_in_order() -> None:
    server = Server()
    texts = [f"t{at:02}" for at in range(120)]
    result = await DeepLTranslate(server.post).translate(
        upstream(max_batch=50, max_batch_tokens=120_000), request(*texts)
    )
    assert [len(batch) for batch in server.batches] == [50, 50, 20]
    assert [one.text for one in result.translations] == [text.upper() for text in texts]
    assert result.usage is not None
    assert result.usage.units == {"characters": 380}


async def test_what_was_translated_before_the_quota_ended_is_told() -> None:
    server = Server(fails_at=1)
    with pytest.raises(UpstreamError) as raised:
        await DeepLTranslate(server.post).translate(upstream(max_batch=2), request("aa", "bb", "cc"))
    assert (raised.value.kind, raised.value.status) == ("auth", 456)
    assert raised.value.usage is not None
    assert raised.value.usage.units == {"characters": 4}


@pytest.mark.parametrize(
    ("status", "message", "kind", "param"),
    [
        (400, "Value for 'target_lang' not supported.", "rejected", "target_lang"),
        (400, "Value for 'source_lang' not supported.", "rejected", "source_lang"),
        (400, "Bad request", "rejected", None),
        (403, "Authorization failed", "auth", None),
        (413, "Request Entity Too Large", "rejected", None),
        (429, "Too many requests", "rate_limited", None),
        (456, "Quota Exceeded", "auth", None),
        (529, "Too many requests", "unavailable", None),
    ],
)
async def test_an_error(status: int, message: str, kind: str, param: str | None) -> None:
    post = posting(json.dumps({"message": message}).encode(), status=status)
    with pytest.raises(UpstreamError) as raised:
        await DeepLTranslate(post).translate(upstream(), request("a", source="en"))
    assert (raised.value.kind, raised.value.status, raised.value.param) == (kind, status, param)
    assert raised.value.usage is None
