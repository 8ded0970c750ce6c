"""Translation by M2M-100: a text a request, and languages without a region."""

from aig.errors import UpstreamError
from aig.modalities.translate import TranslateRequest, TranslateResult, Translation
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers.batches import side_by_side, summed
from aig_providers.cloudflare.run import ask, opened_table, run_json, token_usage
from aig_providers.shapes import string, unsupported
from aig_providers.wire import HttpRequest, Post

# https://huggingface.co/facebook/m2m100_1.2B
_LANGUAGES = frozenset({
    "af", "am", "ar", "ast", "az", "ba", "be", "bg", "bn", "br", "bs", "ca", "ceb", "cs", "cy", "da", "de",
    "el", "en", "es", "et", "fa", "ff", "fi", "fr", "fy", "ga", "gd", "gl", "gu", "ha", "he", "hi", "hr",
    "ht", "hu", "hy", "id", "ig", "ilo", "is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "lb", "lg",
    "ln", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "my", "ne", "nl", "no", "ns", "oc", "or",
    "pa", "pl", "ps", "pt", "ro", "ru", "sd", "si", "sk", "sl", "so", "sq", "sr", "ss", "su", "sv", "sw",
    "ta", "th", "tl", "tn", "tr", "uk", "ur", "uz", "vi", "wo", "xh", "yi", "yo", "zh", "zu",
})  # fmt: skip
_ITS_NAMES = {"nb": "no", "nn": "no", "fil": "tl"}


def _language(code: str, param: str) -> str:
    """Raises UpstreamError that names the field, for a language that the model does not have."""
    primary = code.replace("_", "-").partition("-")[0].lower()
    found = _ITS_NAMES.get(primary, primary)
    if found not in _LANGUAGES:
        raise unsupported(param)
    return found


def build_request(upstream: Upstream, request: TranslateRequest, text: str) -> HttpRequest:
    """Raises UpstreamError of kind rejected for a source that is to be found out: the model takes it for English."""
    if request.source is None:
        raise unsupported("source_lang")
    body = {
        "text": text,
        "source_lang": _language(request.source, "source_lang"),
        "target_lang": _language(request.target, "target_lang"),
    }
    return run_json(upstream, body)


def parse(payload: bytes) -> TranslateResult:
    """Of the one text. Raises UpstreamError."""
    result = opened_table(payload)
    try:
        return TranslateResult([Translation(string(result["translated_text"]))], token_usage(result))
    except (TypeError, KeyError):
        raise UpstreamError("malformed") from None


class CloudflareTranslate:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def translate(self, upstream: Upstream, request: TranslateRequest) -> TranslateResult:
        async def send(text: str) -> TranslateResult:
            return parse(await ask(self._post, build_request(upstream, request, text), upstream))

        def consumed(text: str, result: TranslateResult) -> Usage:
            return result.usage or TranslateRequest(request.models, (text,), request.target).estimate(result)

        each = await side_by_side(upstream, request.texts, send, consumed)
        return TranslateResult(
            [translation for one in each for translation in one.translations], summed([one.usage for one in each])
        )
