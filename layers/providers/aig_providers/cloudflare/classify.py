"""Classification by a model's own labels: a text a request."""

from collections.abc import Sequence
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.classify import ClassifyRequest, ClassifyResult, Label
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers.batches import side_by_side
from aig_providers.cloudflare.run import ask, fraction, opened, run_json
from aig_providers.shapes import string, unsupported
from aig_providers.wire import HttpRequest, Post


def build_request(upstream: Upstream, request: ClassifyRequest, text: str) -> HttpRequest:
    """Raises UpstreamError of kind rejected for labels of the client's."""
    if request.labels:
        raise unsupported("labels")
    return run_json(upstream, {"text": text})


def parse(payload: bytes) -> list[Label]:
    """`[{"label", "score"}]`, of all labels. Raises UpstreamError."""
    found: Any = opened(payload)
    try:
        labels = [Label(string(entry["label"]), fraction(entry["score"])) for entry in found]
    except (TypeError, KeyError, ValueError):
        raise UpstreamError("malformed") from None
    if not labels:
        raise UpstreamError("malformed")
    return labels


class CloudflareClassify:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def classify(self, upstream: Upstream, request: ClassifyRequest) -> ClassifyResult:
        async def send(text: str) -> Sequence[Label]:
            return parse(await ask(self._post, build_request(upstream, request, text), upstream))

        def consumed(text: str, labels: Sequence[Label]) -> Usage:
            return ClassifyRequest(request.models, (text,)).estimate(ClassifyResult([labels], None))

        return ClassifyResult(await side_by_side(upstream, request.texts, send, consumed), None)
