"""`sandbox/moderate`, `translate`, `classify` and `rerank`, through the adapter."""

import pytest

from aig.modalities.classify import ClassifyRequest, ClassifyResult
from aig.modalities.files import Picture
from aig.modalities.image import ImageRequest
from aig.modalities.moderate import CATEGORIES, ModerateRequest, ModerateResult, Part
from aig.modalities.rerank import RerankRequest, RerankResult
from aig.modalities.translate import TranslateRequest, TranslateResult
from aig.modalities.upstream import Upstream
from aig_providers.sandbox import ADAPTER
from tests.unit.providers.operations import MODELS, PICTURE, ask


def at(model: str) -> Upstream:
    return Upstream("sandbox", model, "sandbox:")


async def moderated(*inputs: tuple[Part, ...]) -> ModerateResult:
    result: ModerateResult = await ask(ADAPTER, "moderate", at("moderate"), ModerateRequest(MODELS, inputs))
    return result


@pytest.mark.parametrize(
    ("text", "flagged"),
    [
        ("nothing wrong", set()),
        ("please flagme.", {"harassment"}),
        ("flagme:violence!", {"violence"}),
        ("flagme:violence/graphic, and flagme:self-harm/intent", {"violence/graphic", "self-harm/intent"}),
        ("flagme:no-such-thing", {"harassment"}),
        ("flagmenot, unflagme", set()),
    ],
)
async def test_the_word_is_flagged(text: str, flagged: set[str]) -> None:
    (verdict,) = (await moderated((text,))).verdicts
    assert verdict.flagged == flagged
    assert verdict.scores.keys() == set(CATEGORIES)
    assert {name for name, score in verdict.scores.items() if score > 0.5} == flagged


async def test_each_input_has_its_verdict() -> None:
    result = await moderated(("fine",), ("so", "flagme:hate"), ("fine",))
    assert [sorted(verdict.flagged) for verdict in result.verdicts] == [[], ["hate"], []]
    assert result.usage is not None
    assert result.usage.units == {"input_tokens": 4}


async def test_a_picture_is_judged_by_its_description() -> None:
    drawn = await ask(ADAPTER, "image", at("image"), ImageRequest(MODELS, "a cat flagme:sexual", size=(64, 64)))
    bad = Picture(drawn.images[0].data, "image/png", 64, 64)
    result = await moderated((PICTURE,), ("look:", bad))
    assert [sorted(verdict.flagged) for verdict in result.verdicts] == [[], ["sexual"]]
    assert result.usage is not None
    assert result.usage.units == {"input_tokens": 3}  # a word, and one for each picture


async def translated(text: str, target: str, source: str | None = None) -> tuple[str, str | None]:
    request = TranslateRequest(MODELS, (text,), target, source)
    result: TranslateResult = await ask(ADAPTER, "translate", at("translate"), request)
    (one,) = result.translations
    return one.text, one.source


async def test_there_and_back() -> None:
    assert await translated("good morning", "pt-BR") == ("[pt-BR] good morning", "en")
    assert await translated("[pt-BR] good morning", "en") == ("[en] good morning", "pt-BR")
    assert await translated("[1] is no language", "de") == ("[de] [1] is no language", "en")


async def test_a_source_that_is_told_is_not_found() -> None:
    assert await translated("bom dia", "en", source="pt") == ("[en] bom dia", None)


async def classified(text: str, *labels: str, multi: bool = False) -> dict[str, float]:
    request = ClassifyRequest(MODELS, (text,), labels, multi)
    result: ClassifyResult = await ask(ADAPTER, "classify", at("classify"), request)
    (found,) = result.labels
    return {one.label: one.score for one in found}


async def test_labels_by_their_words() -> None:
    scores = await classified("The new phone has a great Camera", "camera phone", "football", "politics")
    assert max(scores, key=lambda name: scores[name]) == "camera phone"
    assert sum(scores.values()) == pytest.approx(1)
    assert scores["football"] == scores["politics"] > 0


async def test_several_labels_may_hold() -> None:
    scores = await classified("phone and football", "phone", "football", "politics", "football match", "?", multi=True)
    assert scores == pytest.approx(
        {"phone": 0.99, "football": 0.99, "politics": 0.01, "football match": 0.5, "?": 0.01}
    )


@pytest.mark.parametrize(
    ("text", "positive"), [("I love this, it is great", 0.75), ("awful and sad and bad", 0.2), ("a chair", 0.5)]
)
async def test_moods(text: str, positive: float) -> None:
    assert await classified(text) == pytest.approx({"positive": positive, "negative": 1 - positive})


async def test_words_are_counted_for_each_text() -> None:
    request = ClassifyRequest(MODELS, ("one two", "three"), ("a label", "another"))
    result: ClassifyResult = await ask(ADAPTER, "classify", at("classify"), request)
    assert result.usage is not None
    assert result.usage.units == {"input_tokens": 3 + 2 * 3}


async def test_documents_by_the_words_of_the_query() -> None:
    documents = ("blue bird", "Red fish, blue fish", "a red bird")
    request = RerankRequest(MODELS, "red fish", documents)
    result: RerankResult = await ask(ADAPTER, "rerank", at("rerank"), request)
    assert [(score.index, score.relevance) for score in result.scores] == [(0, 0.0), (1, 1.0), (2, 0.5)]
    assert result.usage is not None
    assert result.usage.units == {"search_units": 1}


async def test_a_search_unit_is_a_hundred_documents() -> None:
    request = RerankRequest(MODELS, "?", ("x",) * 101)
    result: RerankResult = await ask(ADAPTER, "rerank", at("rerank"), request)
    assert result.usage is not None
    assert result.usage.units == {"search_units": 2}
    assert request.demand.counts == {"search_units": 2}
    assert {score.relevance for score in result.scores} == {0.0}
