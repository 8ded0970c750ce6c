"""Sentiment of English texts by VADER: a lexicon of rated words and rules for negation, degree and emphasis."""

from collections.abc import Iterator, Sequence

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from local.models.classifications import Classified
from local.models.errors import BadRequestError

# VADER's authors call a compound score from -0.05 to 0.05 neutral.
_NEUTRAL = 0.05


def load() -> "Vader":
    """Read the lexicon (under a tenth of a second)."""
    return Vader(SentimentIntensityAnalyzer())


class Vader:
    """The loaded lexicon, a `Classifier`."""

    def __init__(self, analyzer: SentimentIntensityAnalyzer) -> None:
        """Takes over the analyzer."""
        self._analyzer = analyzer

    def classify(
        self, texts: Sequence[str], labels: Sequence[str] | None, *, multi_label: bool
    ) -> Iterator[Classified]:
        """See `classifications.Classifier`; the tokens are words."""
        if labels is not None:
            raise BadRequestError(
                "This model has labels of its own (positive, neutral, negative): leave `labels` out, or take "
                "minilm-zeroshot.",
                param="labels",
                code="unsupported_value",
            )
        if multi_label:
            raise BadRequestError("A text has one sentiment: leave `multi_label` out.", param="multi_label")
        for text in texts:
            compound: float = self._analyzer.polarity_scores(text)["compound"]
            yield Classified(sentiment(compound), len(text.split()))


def sentiment(compound: float) -> dict[str, float]:
    """Scores that add up to 1, from VADER's -1 to 1: positive is a half at 0.05 and 1 at 1, and negative likewise."""
    strength = abs(compound)
    beyond = (strength - _NEUTRAL) / (1 - _NEUTRAL)
    score = 0.5 + beyond / 2 if beyond > 0 else strength / _NEUTRAL / 2
    positive, negative = (score, 0.0) if compound > 0 else (0.0, score)
    return {"positive": positive, "negative": negative, "neutral": 1 - score}
