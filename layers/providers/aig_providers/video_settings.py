"""What a video model can be asked for, and what it is asked for where the client leaves it open. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.video import VideoRequest


@dataclass(frozen=True, slots=True)
class Makes:
    """Of each list the first is the usual. An empty one is of what cannot be said.

    `picture_ratios` are for videos that begin with a picture: without any, they have the picture's own.
    `longest_prompt` is in characters, as JavaScript counts them.
    """

    seconds: Sequence[int]
    ratios: Sequence[str]
    resolutions: Sequence[str]
    picture_ratios: Sequence[str] = ()
    prompts: bool = True
    pictures: bool = True
    negative_prompt: bool = False
    seed: bool = False
    sound: Literal["never", "always", "by choice"] = "never"
    longest_prompt: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked for in the end; None of what is not said."""

    seconds: int
    ratio: str | None
    resolution: str | None

    @property
    def kept(self) -> dict[str, Any]:
        """What a handle keeps of it, for the bill."""
        return {"seconds": self.seconds} | ({"resolution": self.resolution} if self.resolution else {})


def refusal(param: str, message: str) -> UpstreamError:
    """Of a value that a model has not: nobody is asked, and the client is told what there is."""
    return UpstreamError("rejected", code="unsupported_value", param=param, message=message)


def _or(values: Sequence[Any]) -> str:
    """`4, 6 or 8`; a long run of whole numbers by its ends."""
    if len(values) > 3 and list(values) == list(range(values[0], values[-1] + 1)):
        return f"from {values[0]} to {values[-1]}"
    texts = [str(value) for value in values]
    return f"{', '.join(texts[:-1])} or {texts[-1]}" if len(texts) > 1 else texts[0]


def _chosen(param: str, wanted: Any, offered: Sequence[Any]) -> Any:
    """Raises UpstreamError of kind rejected for what is not offered."""
    if wanted is None:
        return offered[0] if offered else None
    if not offered:
        raise refusal(param, f"This model is not told its {param}. Leave {param} out.")
    if wanted not in offered:
        raise refusal(param, f"{param} must be {_or(sorted(offered) if param == 'duration' else offered)} here.")
    return wanted


def settings(makes: Makes, request: VideoRequest) -> Settings:
    """Raises UpstreamError of kind rejected, with a message, for what the model cannot do."""
    _refuse(makes, request)
    ratios = makes.picture_ratios if request.picture else makes.ratios
    ratio = request.aspect_ratio
    if request.picture and ratios and ratio is None:
        ratio = nearest(request.picture, ratios)
    return Settings(
        _chosen("duration", request.seconds, makes.seconds),
        _chosen("aspect_ratio", ratio, ratios),
        _chosen("resolution", request.resolution, makes.resolutions),
    )


def _refuse(makes: Makes, request: VideoRequest) -> None:
    if request.picture and not makes.pictures:
        raise refusal("image_url", "This model makes videos from a prompt alone. Leave the picture out.")
    if not request.picture and not makes.prompts:
        raise refusal("prompt", "This model makes videos from a picture. Send image_url, image_b64 or upload_id too.")
    if request.negative_prompt and not makes.negative_prompt:
        raise refusal("negative_prompt", "This model takes no negative_prompt. Say what to leave out in the prompt.")
    if request.seed is not None and not makes.seed:
        raise refusal("seed", "This model takes no seed. Leave seed out.")
    if request.sound and makes.sound == "never":
        raise refusal("audio", "This model makes silent videos. Leave audio out.")
    if request.sound is False and makes.sound == "always":
        raise refusal("audio", "This model makes no silent videos. Leave audio out.")
    if makes.longest_prompt and len(request.prompt.encode("utf-16-le")) // 2 > makes.longest_prompt:
        raise refusal("prompt", f"This model reads prompts of {makes.longest_prompt} characters at most. Shorten it.")


def nearest(picture: Picture, ratios: Sequence[str]) -> str:
    """The ratio that cuts least off a picture."""

    def cut(ratio: str) -> float:
        width, height = map(int, ratio.split(":"))
        asked, there = width * picture.height, picture.width * height
        return max(asked, there) / min(asked, there)

    return min(ratios, key=cut)


def known(models: Mapping[str, Makes], model_id: str) -> Makes:
    """Raises UpstreamError of kind rejected for a model that this adapter has not been told about."""
    if (makes := models.get(model_id)) is None:
        raise UpstreamError("rejected", code="model_not_found", param="model")
    return makes
