"""A request of each operation but chat and speech, as small as it may be, and how an adapter is asked for it."""

from collections.abc import Mapping
from typing import Any

from aig.modalities.classify import ClassifyRequest
from aig.modalities.detect import DetectRequest
from aig.modalities.embed import EmbedRequest
from aig.modalities.files import Document, Picture, Sound
from aig.modalities.image import ImageRequest
from aig.modalities.moderate import ModerateRequest
from aig.modalities.music import MusicRequest
from aig.modalities.ocr import OcrRequest
from aig.modalities.rerank import RerankRequest
from aig.modalities.speak import SpeakChunk, SpeakRequest
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.transcribe import TranscribeRequest
from aig.modalities.translate import TranslateRequest
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest

MODELS = ("v/m",)
PICTURE = Picture(b"no PNG", "image/png", 640, 480)
SOUND = Sound(b"no WAV", "audio/wav", 3.2)
DOCUMENT = Document(b"%PDF-", "application/pdf", 2)
WHOLE: Mapping[str, Any] = {
    "classify": ClassifyRequest(MODELS, ("a good day",)),
    "detect": DetectRequest(MODELS, PICTURE),
    "embed": EmbedRequest("v/m", ("two words",)),
    "image": ImageRequest(MODELS, "a cat", n=2, size=(64, 48)),
    "moderate": ModerateRequest(MODELS, (("fine words",),)),
    "ocr": OcrRequest(MODELS, DOCUMENT),
    "rerank": RerankRequest(MODELS, "red fish", ("one fish", "red fish")),
    "transcribe": TranscribeRequest(MODELS, SOUND),
    "translate": TranslateRequest(MODELS, ("hello",), "pt"),
}
JOBS: Mapping[str, Any] = {
    "music": MusicRequest(MODELS, "a slow waltz"),
    "three_d": ThreeDRequest(MODELS, "a chair"),
    "video": VideoRequest(MODELS, "a cat at sea"),
}


async def ask(adapter: Any, operation: str, upstream: Upstream, request: Any = None) -> Any:
    """The adapter's whole answer to the request, or to the one above."""
    return await getattr(getattr(adapter, operation), operation)(upstream, request or WHOLE[operation])


async def spoken(adapter: Any, upstream: Upstream, request: SpeakRequest) -> list[SpeakChunk]:
    return [chunk async for chunk in adapter.speak.speak(upstream, request)]
