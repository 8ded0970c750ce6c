"""What each modality's models are asked, and the figures that come of it: text by name, ready for a table."""

import tomllib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from bench.quality import scores
from local.models.classifications import Classifier
from local.models.embeddings import Embedder
from local.models.moderations import FLAGGED_FROM, Item, Moderator
from local.models.rerank import Reranker
from local.models.translations import Translator

_SETS: Final = Path(__file__).parent


def read(name: str) -> dict[str, Any]:
    """A set written by hand."""
    return tomllib.loads((_SETS / f"{name}.toml").read_text(encoding="utf-8"))


def embeddings(engine: Embedder) -> dict[str, str]:
    """Whether a query's vector is nearest to the right document's."""

    def similarities(query: str, documents: list[str]) -> list[float]:
        first, *rest = (row.vector for row in engine.embed([query, *documents]))
        return [sum(a * b for a, b in zip(first, vector, strict=True)) for vector in rest]

    return _ranking(similarities)


def reranking(engine: Reranker) -> dict[str, str]:
    """Whether the right document comes first."""
    return _ranking(lambda query, documents: [row.similarity for row in engine.rerank(query, documents)])


def _ranking(similarities: Callable[[str, list[str]], list[float]]) -> dict[str, str]:
    rows = read("ranking")["queries"]
    answers = [row["right"] for row in rows]
    hard, naive, mixed = [], [], []
    for at, row in enumerate(rows):
        documents = [row["right"], *row["wrong"]]
        hard.append(scores.reciprocal_rank(similarities(row["query"], documents), 0))
        naive.append(scores.reciprocal_rank([scores.shared_words(row["query"], text) for text in documents], 0))
        mixed.append(scores.reciprocal_rank(similarities(row["query"], answers), at))
    return {
        f"right document first of {len(answers)} answers to {len(rows)} questions": _firsts(mixed),
        "first of 4, the others sharing more words with the question": _firsts(hard),
        "the same by shared words": _firsts(naive),
    }


def _firsts(reciprocal_ranks: list[float]) -> str:
    return _percent(scores.mean([rank == 1 for rank in reciprocal_ranks]))


def zero_shot(engine: Classifier) -> dict[str, str]:
    """Whether the right label is best, over several sets of labels."""
    content = read("labels")
    found, chance = [], []
    for name, labels in content["sets"].items():
        for text, right in content["test"][name]:
            (row,) = engine.classify([text], labels, multi_label=False)
            found.append(max(row.scores, key=lambda label: row.scores[label]) == labels[right])
            chance.append(1 / len(labels))
    return {
        f"right label of {len(found)} texts": _percent(scores.mean(found)),
        "by chance": _percent(scores.mean(chance)),
    }


def sentiment(engine: Classifier) -> dict[str, str]:
    """Whether the sentiment is right."""
    labels = ("positive", "neutral", "negative")
    cases = read("sentiment")["cases"]
    results = engine.classify([text for text, _ in cases], None, multi_label=False)
    found = [
        max(row.scores, key=lambda label: row.scores[label]) == labels[right]
        for row, (_, right) in zip(results, cases, strict=True)
    ]
    return {f"right sentiment of {len(found)} texts": _percent(scores.mean(found))}


def moderation(engine: Moderator) -> dict[str, str]:
    """Precision and recall of `flagged`, and of the single categories."""
    cases = read("moderation")["test"]
    flags, categories = [], []
    for case, judged in zip(cases, engine.moderate([Item(texts=(case["text"],)) for case in cases]), strict=True):
        found = {category for category, score in judged.scores.items() if score >= FLAGGED_FROM}
        wanted = {part for category in case["categories"] for part in (category, category.partition("/")[0])}
        flags.append((bool(found), bool(wanted)))
        categories += [(category in found, category in wanted) for category in found | wanted]
    harmful = sum(wanted for _, wanted in flags)
    return {
        f"flagged, {len(flags)} texts of which {harmful} harmful": _precision_recall(flags),
        "single categories": _precision_recall(categories),
    }


def translation(engine: Translator) -> dict[str, str]:
    """chrF against one reference each, and how often the language was told right."""
    figures, told = {}, []
    for pair in read("translation")["pairs"]:
        values = []
        for text, reference in pair["cases"]:
            pieces = list(engine.translate([text], None, pair["to"]))
            told.append(pieces[0].source == pair["from"])
            values.append(scores.chrf("".join(piece.text for piece in pieces), reference))
        figures[f"chrF {pair['from']} to {pair['to']}, {len(values)} sentences"] = f"{scores.mean(values):.1f}"
    return {**figures, "language told right": _percent(scores.mean(told))}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _precision_recall(pairs: list[tuple[bool, bool]]) -> str:
    precision, recall = scores.precision_recall(pairs)
    return f"precision {precision:.2f}, recall {recall:.2f}"


def _later(module: str, name: str) -> Callable[[Any], dict[str, str]]:
    """A task of a module that needs packages which may not be installed."""

    def task(engine: Any) -> dict[str, str]:
        figures: dict[str, str] = getattr(import_module(f"bench.quality.{module}"), name)(engine)
        return figures

    return task


TASKS: Final[Mapping[str, Callable[[Any], dict[str, str]]]] = {
    "minilm-l6-v2": embeddings,
    "minilm-rerank": reranking,
    "minilm-zeroshot": zero_shot,
    "vader-sentiment": sentiment,
    "lexical-moderation": moderation,
    "bergamot": translation,
    "whisper-tiny-en": _later("audio", "hearing"),
    "piper-joe": _later("audio", "speaking"),
    "rapidocr": _later("vision", "reading"),
    "centernet": _later("vision", "detecting"),
    "opennsfw": _later("vision", "judging"),
}
"""By model: `vader-sentiment` and `minilm-zeroshot` are asked different things though both classify."""
