"""PP-OCRv4 by rapidocr-onnxruntime: one model finds lines, one turns them upright, one reads; all are in the package.

What it is good for: printed English and Chinese, also photographed and a little askew. It does not know accents, puts
the lines of columns side by side, and is not made for handwriting.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from rapidocr_onnxruntime import RapidOCR as Pipeline

from local.models import images
from local.models.ctc import SpacedDecoder
from local.models.errors import BadRequestError
from local.models.ocr import Line, OcrRequest, Page

LANGUAGES: Final = frozenset({"en", "zh"})


def load() -> "RapidOCR":
    """Read the weights (about a second)."""
    pipeline = Pipeline(intra_op_num_threads=1, inter_op_num_threads=1)
    pipeline.text_rec.postprocess_op = SpacedDecoder(pipeline.text_rec.postprocess_op.character)
    # It logs a warning for every page without text, which is an answer like any other.
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(pipeline)


class RapidOCR:
    """The loaded models. Not for two threads at once."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Takes over a pipeline that has its weights."""
        self._pipeline = pipeline

    def read(self, request: OcrRequest) -> Iterator[Page]:
        """See `ocr.OcringEngine`."""
        if unknown := request.languages - LANGUAGES:
            raise BadRequestError(
                f"{request.model} reads {' and '.join(sorted(LANGUAGES))}, not {', '.join(sorted(unknown))}.",
                param="languages",
                code="unsupported_value",
            )
        image = images.seen(request.image)
        blue_first = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
        found = self._pipeline(blue_first)[0] or []
        skew = _skew([corners for corners, _, _ in found])
        lines = tuple(_line(np.asarray(corners), text, score, skew) for corners, text, score in found)
        yield Page(image.width, image.height, lines)


def _skew(quads: Sequence[Any]) -> float:
    """By how much the page leans, in radians: what half of the lines, the longer counting more, lean less than."""
    edges = np.asarray([np.subtract(corners[1], corners[0]) for corners in quads]).reshape(-1, 2)
    if not len(edges):
        return 0.0
    angles = np.arctan2(edges[:, 1], edges[:, 0])
    order = np.argsort(angles)
    lengths = np.cumsum(np.hypot(edges[:, 0], edges[:, 1])[order])
    return float(angles[order][np.searchsorted(lengths, lengths[-1] / 2)])


def _line(corners: Any, text: str, score: Any, skew: float) -> Line:
    """`corners`: upper left, upper right, lower right, lower left of a line that may be askew, [4, 2] in pixels."""
    x, y = corners.mean(axis=0)
    (xmin, ymin), (xmax, ymax) = corners.min(axis=0), corners.max(axis=0)
    return Line(
        text,
        round(float(score), 4),
        level=float(y * math.cos(skew) - x * math.sin(skew)),
        height=float(np.hypot(*(corners[3] - corners[0]))),
        xmin=round(float(xmin), 1),
        ymin=round(float(ymin), 1),
        xmax=round(float(xmax), 1),
        ymax=round(float(ymax), 1),
    )
