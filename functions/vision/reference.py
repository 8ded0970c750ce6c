"""The vision routes' part of the OpenAPI document."""

from aig.http.reference import METERED_ERRORS, METERED_HEADERS, operation
from aig.modalities import detect_body, ocr_body

_BOX = {"xmin": 12.0, "ymin": 8.0, "xmax": 220.0, "ymax": 40.0}
OCR = operation(
    "createOcr",
    "Read the text of a picture or a PDF",
    "vision",
    request={
        "schema": ocr_body.body_schema(),
        "example": {"model": "sandbox/ocr", "image_url": "https://example.com/invoice.png"},
    },
    answer={
        "object": "ocr",
        "text": "INVOICE 20481",
        "pages": [
            {
                "index": 0,
                "text": "INVOICE 20481",
                "width": 640,
                "height": 480,
                "lines": [{"text": "INVOICE 20481", "score": 0.98, "box": _BOX}],
            }
        ],
        "model": "sandbox/ocr",
        "usage": {"pages": 1, "cost": "0.0105"},
    },
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
DETECTIONS = operation(
    "createDetection",
    "Find what is to be seen in a picture, and where",
    "vision",
    request={
        "schema": detect_body.body_schema(),
        "example": {"model": "sandbox/detect", "image_url": "https://example.com/street.jpg", "threshold": 0.5},
    },
    answer={
        "object": "detection",
        "image": {"width": 640, "height": 480},
        "detections": [{"label": "person", "score": 0.9, "box": _BOX}],
        "model": "sandbox/detect",
        "usage": {"images": 1, "cost": "0.0105"},
    },
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
