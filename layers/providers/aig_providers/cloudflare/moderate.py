"""Moderation by Llama Guard 3, which names hazards: an input a request."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.moderate import VERDICT_TOKENS, ModerateRequest, ModerateResult, Part, Verdict
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers.batches import side_by_side, summed
from aig_providers.cloudflare.run import ask, opened_table, run_json, token_usage
from aig_providers.shapes import unsupported
from aig_providers.wire import HttpRequest, Post

# MLCommons' hazards, each as the categories of OpenAI's that it falls under. Some have none of their own there, such as
# privacy, specialised advice and elections: these are nearest to what is illicit.
_HAZARDS: Mapping[str, tuple[str, ...]] = {
    "S1": ("illicit", "illicit/violent", "violence"),
    "S2": ("illicit",),
    "S3": ("illicit", "sexual"),
    "S4": ("sexual", "sexual/minors"),
    "S5": ("harassment",),
    "S6": ("illicit",),
    "S7": ("illicit",),
    "S8": ("illicit",),
    "S9": ("illicit", "illicit/violent"),
    "S10": ("hate",),
    "S11": ("self-harm",),
    "S12": ("sexual",),
    "S13": ("illicit",),
    "S14": ("illicit",),
}
_KNOWN = sorted({category for categories in _HAZARDS.values() for category in categories})
_WRITTEN = re.compile(r"\s*(safe|unsafe)\b(.*)", re.DOTALL | re.IGNORECASE)


def build_request(upstream: Upstream, parts: Sequence[Part]) -> HttpRequest:
    """Raises UpstreamError of kind rejected for a picture."""
    if not all(isinstance(part, str) for part in parts):
        raise unsupported("input")
    body = {
        "messages": [{"role": "user", "content": "\n".join(str(part) for part in parts)}],
        "max_tokens": VERDICT_TOKENS,
        "temperature": 0,
        "response_format": {"type": "json_object"},
    }
    return run_json(upstream, body)


def parse(payload: bytes) -> ModerateResult:
    """Of the one input. The model is sure of what it says: scores are 0 or 1. Raises UpstreamError."""
    result = opened_table(payload)
    safe, hazards = _read(result.get("response"))
    flagged = frozenset(category for hazard in hazards for category in _HAZARDS.get(hazard, ()))
    if safe is bool(flagged):  # unsafe, and by nothing that is known; or safe, and by something
        raise UpstreamError("malformed")
    scores = {category: float(category in flagged) for category in _KNOWN}
    return ModerateResult([Verdict(flagged, scores)], token_usage(result))


def _read(response: Any) -> tuple[bool, list[str]]:
    """Whether it is safe, and the hazards. JSON is asked for; the model's own form is `unsafe`, and a line of them."""
    if isinstance(response, Mapping):
        safe, hazards = response.get("safe"), response.get("categories") or []
        if type(safe) is bool and isinstance(hazards, list) and all(isinstance(hazard, str) for hazard in hazards):
            return safe, [hazard.upper() for hazard in hazards]
    if isinstance(response, str) and (match := _WRITTEN.fullmatch(response)):
        return match[1].lower() == "safe", re.findall(r"\bS\d{1,2}\b", match[2].upper())
    raise UpstreamError("malformed")


class CloudflareModerate:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def moderate(self, upstream: Upstream, request: ModerateRequest) -> ModerateResult:
        async def send(parts: tuple[Part, ...]) -> ModerateResult:
            return parse(await ask(self._post, build_request(upstream, parts), upstream))

        def consumed(parts: tuple[Part, ...], result: ModerateResult) -> Usage:
            return result.usage or ModerateRequest(request.models, (parts,)).estimate(result)

        each = await side_by_side(upstream, request.inputs, send, consumed)
        return ModerateResult(
            [verdict for one in each for verdict in one.verdicts], summed([one.usage for one in each])
        )
