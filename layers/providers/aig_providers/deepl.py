"""DeepL's translations."""

from collections.abc import Mapping, Sequence
from typing import Any

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.embed import batches
from aig.modalities.translate import TranslateRequest, TranslateResult, Translation
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.shapes import string
from aig_providers.wire import Detail, HttpRequest, Post, count, parse_object, post_json

# Target languages of several variants, by what else names them. One that is named by its language alone is the variant
# that Unicode's likely subtags say: https://github.com/unicode-org/cldr, likelySubtags.
_VARIANTS: Mapping[str, str] = {
    "EN": "EN-US",
    "EN-US": "EN-US",
    "EN-GB": "EN-GB",
    "PT": "PT-BR",
    "PT-BR": "PT-BR",
    "PT-PT": "PT-PT",
    "ES-419": "ES-419",
    "ZH": "ZH-HANS",
    "ZH-HANS": "ZH-HANS",
    "ZH-HANT": "ZH-HANT",
    "ZH-TW": "ZH-HANT",
    "ZH-HK": "ZH-HANT",
    "ZH-MO": "ZH-HANT",
}
_OTHER_NAMES: Mapping[str, str] = {"NO": "NB"}
# https://developers.deepl.com/docs/best-practices/error-handling: 403 is the key, 456 the quota of the month.
_REFUSALS: Mapping[int | None, UpstreamKind] = {403: "auth", 456: "auth"}


def read_detail(body: Any) -> Detail:
    """`{"message": prose}`, which has the field's name in it where one is refused: `Value for 'target_lang' …`."""
    named = (name for name in ("target_lang", "source_lang") if f"'{name}'" in body["message"])
    return Detail(code="invalid_request_error", param=next(named, None))


def source_language(code: str) -> str:
    """A language as a source, which has no variants."""
    language = code.partition("-")[0].upper()
    return _OTHER_NAMES.get(language, language)


def target_language(code: str) -> str:
    """A language as a target: in the variant that is meant, if there are several, and without a region otherwise."""
    return _VARIANTS.get(code.upper()) or _VARIANTS.get(language := source_language(code)) or language


def build_request(upstream: Upstream, request: TranslateRequest, texts: Sequence[str]) -> HttpRequest:
    body: dict[str, Any] = {
        "text": list(texts),
        "target_lang": target_language(request.target),
        "show_billed_characters": True,
    }
    if request.source:
        body["source_lang"] = source_language(request.source)
    plain = post_json(upstream, "translate", body)
    headers = {**plain.headers, "Authorization": f"DeepL-Auth-Key {upstream.api_key or ''}"}
    return HttpRequest(plain.url, headers, plain.body)


def parse(payload: bytes, request: TranslateRequest, texts: Sequence[str]) -> TranslateResult:
    """The body of a 200: one translation for each of `texts`. Raises UpstreamError for anything else."""
    body = parse_object(payload)
    try:
        translations = [_translation(entry, request) for entry in body["translations"]]
        billed = [count(entry, "billed_characters") for entry in body["translations"]]
        told = all("billed_characters" in entry for entry in body["translations"])
    except (KeyError, TypeError, ValueError):
        raise UpstreamError("malformed") from None
    if len(translations) != len(texts):
        raise UpstreamError("malformed")
    return TranslateResult(translations, Usage({"characters": sum(billed)}) if told else None)


def _translation(entry: Mapping[str, Any], request: TranslateRequest) -> Translation:
    found = None if request.source else string(entry["detected_source_language"]).lower()
    return Translation(string(entry["text"]), found)


class DeepLTranslate:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def translate(self, upstream: Upstream, request: TranslateRequest) -> TranslateResult:
        """One request after the other for as many texts as it takes at once.

        Raises UpstreamError, with what those that were done will be billed for.
        """
        translations, characters, told = list[Translation](), 0, True
        for texts in batches(request.texts, upstream.max_batch, upstream.max_batch_tokens):
            try:
                part = await self._send(upstream, request, [str(text) for text in texts])
            except UpstreamError as error:
                error.usage = Usage({"characters": characters}) if characters else None
                raise
            translations += part.translations
            told = told and part.usage is not None
            characters += part.usage.units["characters"] if part.usage else sum(len(str(text)) for text in texts)
        return TranslateResult(translations, Usage({"characters": characters}) if told else None)

    async def _send(self, upstream: Upstream, request: TranslateRequest, texts: Sequence[str]) -> TranslateResult:
        try:
            payload = await wire.exchange(self._post, build_request(upstream, request, texts), upstream, read_detail)
        except UpstreamError as error:
            if kind := _REFUSALS.get(error.status):
                raise UpstreamError(kind, status=error.status) from None
            raise
        return parse(payload, request, texts)


class DeepL:
    translate = DeepLTranslate(wire.CLIENT.post)


ADAPTER = DeepL()
