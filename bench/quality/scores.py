"""What the answers are measured by. All pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

_LONGEST = 6
_BETA = 2.0


def chrf(hypothesis: str, reference: str) -> float:
    """chrF2 of one sentence, 0 to 100: F-score of character n-grams (1 to 6), recall weighing double."""
    precisions, recalls = [], []
    for length in range(1, _LONGEST + 1):
        said, wanted = _ngrams(hypothesis, length), _ngrams(reference, length)
        if not said or not wanted:
            continue
        common = (said & wanted).total()
        precisions.append(common / said.total())
        recalls.append(common / wanted.total())
    precision, recall = mean(precisions), mean(recalls)
    if precision + recall == 0:
        return 0.0
    return 100 * (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)


def _ngrams(text: str, length: int) -> Counter[str]:
    packed = "".join(text.split())
    return Counter(packed[start : start + length] for start in range(len(packed) - length + 1))


def mean(values: Sequence[float]) -> float:
    """0 for none."""
    return sum(values) / len(values) if values else 0.0


def reciprocal_rank(similarities: Sequence[float], right: int) -> float:
    """1 when the right one is first, 1/2 when it is second, and so on; a tie counts against it."""
    better = sum(value >= similarities[right] for at, value in enumerate(similarities) if at != right)
    return 1 / (1 + better)


def precision_recall(pairs: Iterable[tuple[bool, bool]]) -> tuple[float, float]:
    """Of pairs of found and wanted. Precision is 1 when nothing was found."""
    counted = Counter(pairs)
    right, wrong, missed = counted[True, True], counted[True, False], counted[False, True]
    return right / (right + wrong) if right + wrong else 1.0, right / (right + missed) if right + missed else 1.0


def shared_words(query: str, document: str) -> float:
    """How many of the query's words the document has: what a model that reads no meaning would rank by."""
    return float(len(_words(query) & _words(document)))


def _words(text: str) -> set[str]:
    return {word.strip(".,;:?!'\"").lower() for word in text.split()}
