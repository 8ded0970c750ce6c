"""Pictures made from a prompt, or from a prompt and pictures, in OpenAI's shape."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Literal, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import BYTES_PER_TOKEN, Demand
from aig.modalities.files import Picture, fingerprint
from aig.modalities.upstream import Upstream
from aig.modalities.usage import INPUT_UNITS, OUTPUT_UNITS, Unit, Usage, units_json

MOST_STEPS = 50
USUAL_STEPS = 20
TILE = 512  # pixels of each side, that Workers AI counts pictures in: each step is billed once for each of them
USUAL_SIZE = (1024, 1024)
USUAL_TOKENS = 1_056  # of a picture that OpenAI makes of that size, in medium quality
LARGEST_SIZE = (2048, 2048)  # that a model may choose where the request does not

Format = Literal["png", "jpeg", "webp"]
Quality = Literal["auto", "low", "medium", "high", "standard", "hd"]


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`size` is (width, height) in pixels, None the model's own. With `pictures` it is an edit of these."""

    models: tuple[str, ...]
    prompt: str
    n: int = 1
    size: tuple[int, int] | None = None
    quality: Quality | None = None
    style: Literal["vivid", "natural"] | None = None
    form: Format | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    pictures: tuple[Picture, ...] = ()
    mask: Picture | None = None
    user: str | None = None
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        given = [*self.pictures, *([self.mask] if self.mask else [])]
        width, height = self.size or LARGEST_SIZE
        texts = self.prompt + (self.negative_prompt or "")
        capabilities = {"image"} | ({"edit"} if self.pictures else set()) | ({"mask"} if self.mask else set())
        return Demand(
            models=self.models,
            capabilities=frozenset(capabilities),
            input_tokens=len(texts.encode()) + 64,
            input_units=frozenset({"input_tokens", "cached_input_tokens", "input_image_tokens"}),
            output_tokens=None,
            output_units=frozenset({"output_tokens", "output_image_tokens"}),
            samples=self.n,
            images=len(given),
            counts={
                "images": self.n,
                "tiles": self.n * tiles(width, height),
                "steps": self.n * tiles(width, height) * (self.steps or MOST_STEPS),
            },
            usual=self._usual(self.n),
            preferences=self.preferences or {},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "prompt": self.prompt,
            "n": self.n,
            "size": self.size,
            "quality": self.quality,
            "style": self.style,
            "form": self.form,
            "background": self.background,
            "seed": self.seed,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": self.negative_prompt,
            "pictures": [fingerprint(one.data) for one in self.pictures],
            "mask": fingerprint(self.mask.data) if self.mask else None,
            "provider": self.preferences,
        }
        return CacheForm(modality="images", parameters=parameters, deterministic=self.seed is not None)

    def estimate(self, result: "ImageResult") -> Usage:
        read = -(-len(self.prompt.encode()) // BYTES_PER_TOKEN)
        made = len(result.images)
        return Usage(
            {
                "images": made,
                "input_tokens": read,
                **self._usual(made),
            },
            estimated=True,
        )

    def _usual(self, made: int) -> dict[Unit, int]:
        """What so many pictures come to, of models that do not count pictures."""
        area = made * tiles(*(self.size or USUAL_SIZE))
        steps = area * (self.steps or USUAL_STEPS)
        return {"tiles": area, "steps": steps, "output_image_tokens": made * USUAL_TOKENS}

    def answer(self, result: "ImageResult", usage: Usage) -> dict[str, Any]:
        """With the pictures inline, as `b64_json`; their types are in `media_type`."""
        counted = units_json(usage)
        read, written = usage.total(INPUT_UNITS), usage.total(OUTPUT_UNITS)
        if read or written:
            counted |= {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        return {"data": [image.to_json() for image in result.images], "usage": counted}


def tiles(width: int, height: int) -> int:
    return -(-width // TILE) * -(-height // TILE)


@dataclass(frozen=True, slots=True)
class Image:
    """One that was made. `revised_prompt` is what the provider made of the prompt, where it says so."""

    data: bytes = attribute(repr=False)
    media_type: str
    revised_prompt: str | None = None

    def to_json(self) -> dict[str, Any]:
        revised = {"revised_prompt": self.revised_prompt} if self.revised_prompt else {}
        return {"b64_json": base64.b64encode(self.data).decode(), "media_type": self.media_type, **revised}


@dataclass(frozen=True, slots=True)
class ImageResult:
    """At least one picture, at most as many as were asked for."""

    images: Sequence[Image]
    usage: Usage | None


class ImageAdapter(Protocol):
    """Raises UpstreamError."""

    async def image(self, upstream: Upstream, request: ImageRequest) -> ImageResult: ...
