"""What `sandbox/image`, `sandbox/detect` and `sandbox/ocr` say: pure, the same for the same request."""

import hashlib

from aig.modalities.detect import Box, Detection, DetectRequest, DetectResult
from aig.modalities.files import Document, Picture
from aig.modalities.image import USUAL_SIZE, Image, ImageRequest, ImageResult
from aig.modalities.ocr import Line, OcrRequest, OcrResult, Page
from aig.modalities.usage import Usage
from aig_providers.sandbox_drawing import description, picture
from aig_providers.shapes import unsupported

LARGEST_SIDE = 2048
_THINGS = ("person", "car", "dog", "cat", "tree", "bicycle")
_MOST_THINGS = 3


def image(request: ImageRequest) -> ImageResult:
    """PNGs that show the prompt. Raises UpstreamError for another format, and for a side of more than 2048 pixels."""
    if request.form not in (None, "png"):
        raise unsupported("output_format")
    width, height = request.size or _size_of_given(request)
    if max(width, height) > LARGEST_SIDE:
        raise unsupported("size")
    clear = request.background == "transparent"
    made = [
        picture(request.prompt, _note(request), number, width, height, clear=clear)
        for number in range(1, request.n + 1)
    ]
    return ImageResult([Image(data, "image/png") for data in made], Usage({"images": len(made)}))


def _size_of_given(request: ImageRequest) -> tuple[int, int]:
    if not request.pictures:
        return USUAL_SIZE
    given = request.pictures[0]
    return min(given.width, LARGEST_SIDE), min(given.height, LARGEST_SIDE)


def _note(request: ImageRequest) -> str:
    """What an edit was given."""
    given = " and ".join(_named(one) for one in request.pictures)
    masked = f" with a mask of {request.mask.width}x{request.mask.height}" if request.mask else ""
    return f"edit of {given}{masked}:" if given else ""


def _named(given: Picture) -> str:
    return f"{given.width}x{given.height} {given.media_type}"


def detect(request: DetectRequest) -> DetectResult:
    """One to three things, of the labels that were asked for, wherever the picture's hash says."""
    given, labels = request.picture, request.labels or _THINGS
    digest = hashlib.sha256(given.data).digest()
    found = [
        _thing(digest[8 * at : 8 * at + 8], given, labels, 0.99 - 0.2 * at)
        for at in range(1 + digest[-1] % _MOST_THINGS)
    ]
    return DetectResult(found, Usage({"images": 1}))


def _thing(digest: bytes, given: Picture, labels: tuple[str, ...], score: float) -> Detection:
    """In a box within the picture, at least a quarter of it wide and high."""
    left, top, right, bottom = (byte / 255 for byte in digest[:4])
    box = Box(
        xmin=round(given.width * left * 0.375, 1),
        ymin=round(given.height * top * 0.375, 1),
        xmax=round(given.width * (1 - right * 0.375), 1),
        ymax=round(given.height * (1 - bottom * 0.375), 1),
    )
    return Detection(labels[digest[4] % len(labels)], round(score - digest[5] / 2550, 3), box)


def ocr(request: OcrRequest) -> OcrResult:
    """The prompt of a picture that `sandbox/image` made; of any other file, what it is."""
    source = request.source
    if isinstance(source, Document):
        said = [f"sandbox read page {at} of {source.pages} of {source.media_type}" for at in range(1, source.pages + 1)]
        pages = [Page(text, [Line(text, 1.0)]) for text in said]
    else:
        pages = [_page(description(source.data) or f"sandbox read a {_named(source)}", source)]
    return OcrResult(pages, Usage({"pages": len(pages)}))


def _page(text: str, source: Picture) -> Page:
    """Its lines share the height."""
    said = text.splitlines() or [text]
    share = source.height / len(said)
    lines = [
        Line(line, 1.0, Box(0, round(at * share, 1), source.width, round((at + 1) * share, 1)))
        for at, line in enumerate(said)
    ]
    return Page(text, lines, source.width, source.height)
