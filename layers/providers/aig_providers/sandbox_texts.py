"""What `sandbox/moderate`, `translate`, `classify` and `rerank` say: pure, the same for the same request.

A token is a word.
"""

import re

from aig.modalities.classify import ClassifyRequest, ClassifyResult, Label
from aig.modalities.moderate import CATEGORIES, ModerateRequest, ModerateResult, Part, Verdict
from aig.modalities.rerank import DOCUMENTS_PER_UNIT, RerankRequest, RerankResult, Score
from aig.modalities.translate import TranslateRequest, TranslateResult, Translation
from aig.modalities.usage import Usage
from aig_providers.sandbox_drawing import description

_FLAG = re.compile(r"\bflagme\b(?::([a-z]+(?:[-/][a-z]+)*))?")
_SURE, _UNLIKELY = 0.99, 0.01
_MARK = re.compile(r"\[([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)\] ", re.ASCII)
_WORD = re.compile(r"\w+")
_GOOD = frozenset({"amazing", "best", "excellent", "fine", "good", "great", "happy", "like", "love", "wonderful"})
_BAD = frozenset({"angry", "awful", "bad", "broken", "hate", "horrible", "poor", "sad", "terrible", "worst"})


def _count(text: str) -> int:
    return len(text.split())


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _overlap(wanted: str, text: str) -> float:
    """The share of the wanted words that are in the text."""
    words = _words(wanted)
    return len(words & _words(text)) / len(words) if words else 0.0


def moderate(request: ModerateRequest) -> ModerateResult:
    """Flags the word `flagme`, as harassment or, in `flagme:violence`, as what it names.

    Of a picture it knows what its description says: a picture of `sandbox/image` is judged by its prompt.
    """
    verdicts = [_verdict(" ".join(_seen(part) for part in parts)) for parts in request.inputs]
    parts = [part for parts in request.inputs for part in parts]
    read = sum(_count(part) if isinstance(part, str) else 1 for part in parts)
    return ModerateResult(verdicts, Usage({"input_tokens": read}))


def _seen(part: Part) -> str:
    return part if isinstance(part, str) else description(part.data) or ""


def _verdict(text: str) -> Verdict:
    named = [match[1] for match in _FLAG.finditer(text)]
    flagged = frozenset(name if name in CATEGORIES else "harassment" for name in named)
    return Verdict(flagged, {name: _SURE if name in flagged else _UNLIKELY for name in CATEGORIES})


def translate(request: TranslateRequest) -> TranslateResult:
    """`[pt] text`; a text that bears such a mark is in that language, all others are English."""
    translations = [_translation(text, request) for text in request.texts]
    return TranslateResult(translations, Usage({"characters": sum(map(len, request.texts))}))


def _translation(text: str, request: TranslateRequest) -> Translation:
    mark = _MARK.match(text)
    plain = text[mark.end() :] if mark else text
    found = mark[1] if mark else "en"
    return Translation(f"[{request.target}] {plain}", None if request.source else found)


def classify(request: ClassifyRequest) -> ClassifyResult:
    """By the words that a label shares with the text; without labels positive or negative, by a few words of each."""
    asked = sum(_count(label) for label in request.labels)
    read = sum(_count(text) + asked for text in request.texts)
    found = [_by_labels(text, request) if request.labels else _by_mood(text) for text in request.texts]
    return ClassifyResult(found, Usage({"input_tokens": read}))


def _by_labels(text: str, request: ClassifyRequest) -> list[Label]:
    """Of one label only the scores share out the whole, and those without a word in common a little of it."""
    shares = [_UNLIKELY + (_SURE - _UNLIKELY) * _overlap(label, text) for label in request.labels]
    whole = 1.0 if request.multi_label else sum(shares)
    return [Label(label, share / whole) for label, share in zip(request.labels, shares, strict=True)]


def _by_mood(text: str) -> list[Label]:
    words = _words(text)
    good, bad = 1 + len(words & _GOOD), 1 + len(words & _BAD)
    return [Label("positive", good / (good + bad)), Label("negative", bad / (good + bad))]


def rerank(request: RerankRequest) -> RerankResult:
    """By the share of the query's words that a document has."""
    scores = [Score(at, _overlap(request.query, document)) for at, document in enumerate(request.documents)]
    return RerankResult(scores, Usage({"search_units": -(-len(request.documents) // DOCUMENTS_PER_UNIT)}))
