"""Several pictures from providers that make one for a request, side by side."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.image import Image, ImageResult
from aig.modalities.usage import Usage


async def side_by_side(making: Iterable[Coroutine[Any, Any, Image]]) -> ImageResult:
    """Those that came of it, billed by the picture.

    Raises UpstreamError if none did: the first that was raised, with what all of them cost.
    """
    made = await asyncio.gather(*making, return_exceptions=True)
    for one in made:
        if isinstance(one, BaseException) and not isinstance(one, UpstreamError):
            raise one
    images = [one for one in made if isinstance(one, Image)]
    errors = [one for one in made if isinstance(one, UpstreamError)]
    if not images:
        lost = sum(error.usage.units.get("images", 0) for error in errors if error.usage)
        errors[0].usage = Usage({"images": lost}) if lost else None
        raise errors[0]
    return ImageResult(images, Usage({"images": len(images)}))
